package main_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"loginhub/hub/hubtest"
)

// safeguardClients are clients with and without safeguards that WeChat's website login bypasses.
const safeguardClients = `clients:
  - id: numbers
    number_matching: true
  - id: near
    address_mismatch: refuse
  - id: both
    number_matching: true
    address_mismatch: refuse
  - id: own
    number_matching: auto
    wechat_web: {app_id: wxother, app_secret_env: OUTFLANKED_SECRET}
  - id: without
    number_matching: true
    address_mismatch: refuse
    providers: [wechat]
  - id: meant
    number_matching: true
    providers: [wechat, wechat_web]
  - id: open
    address_mismatch: warn
`

// TestSafeguardWarnings: the start's log and `loginhub check` warn of exactly these clients.
func TestSafeguardWarnings(t *testing.T) {
	t.Setenv("OUTFLANKED_SECRET", "hunter2")
	down := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(down.Close)
	alone := []string{"REDIS_URL=embedded", "WECHAT_API_URL=" + down.URL, "WECHAT_OPEN_URL=" + down.URL,
		"WECHAT_APP_ID=" + appID, "WECHAT_APP_SECRET=" + appSecret}
	website := []string{"WECHAT_WEB_APP_ID=" + webID, "WECHAT_WEB_APP_SECRET=" + webSecret}
	numbers, near := "number_matching", "address_mismatch: refuse"
	for name, c := range map[string]struct {
		settings []string
		clients  string
		weak     map[string]string // the client and its safeguards
	}{
		"a website for all":    {append(alone, website...), safeguardClients, map[string]string{"numbers": numbers, "near": near, "both": numbers + " and " + near, "own": numbers}},
		"a website of its own": {alone, strings.Replace(safeguardClients, ", wechat_web]", "]", 1), map[string]string{"own": numbers}},
	} {
		t.Run(name, func(t *testing.T) {
			found := regexp.MustCompile(`client ([a-z]+): ([a-z_: ]+) does nothing against relayed codes of wechat_web,[^"]* providers`)
			warned := func(lines, grade string) map[string]string {
				all := map[string]string{}
				for line := range strings.Lines(lines) {
					if m := found.FindStringSubmatch(line); m != nil {
						if all[m[1]] = m[2]; !strings.Contains(line, grade) {
							t.Errorf("not a warning: %s", line)
						}
					}
				}
				return all
			}
			settings := append([]string{"CLIENTS=" + hubtest.WriteFile(t, "clients.yaml", c.clients)}, c.settings...)
			log := hubtest.StartNode(t, program, settings...).Stop(t)
			if got := warned(log, `"level":"WARN"`); !maps.Equal(got, c.weak) {
				t.Errorf("the start warned of %v, wanted %v:\n%s", got, c.weak, log)
			}
			out, code := runCheck(t, "", nil, append(settings, "PUBLIC_URL="+down.URL, "KEYS="+hubtest.Key)...)
			if got := warned(out, "warn  clients"); code == 2 || !maps.Equal(got, c.weak) {
				t.Errorf("check, exit code %d, warned of %v, wanted %v:\n%s", code, got, c.weak, out)
			}
		})
	}
}
