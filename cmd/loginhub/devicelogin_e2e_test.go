package main_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// shownTicket finds the ticket in what `loginhub login` shows.
var shownTicket = regexp.MustCompile(`/s/([A-Za-z0-9_-]{22})\n`)

// TestDeviceLogin runs `loginhub login` at a node, while the phone calls another.
func TestDeviceLogin(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	port := hubtest.FreePort(t)
	issuer := "http://localhost:" + port
	file := t.TempDir() + "/clients.yaml"
	if err := os.WriteFile(file, []byte("clients: [{id: cli, grants: [device_code]}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := []string{"REDIS_URL=" + redis.URL, "PUBLIC_URL=" + issuer, "CLIENTS=" + file}
	near := hubtest.LaunchNode(t, program, append(settings, "LISTEN=127.0.0.1:"+port)...)
	near.URL = issuer
	far := hubtest.StartNode(t, program, settings...)
	hubtest.Eventually(t, 20*time.Second, "node is ready", func() bool { return near.Get("/readyz") == 200 })
	for name, c := range map[string]struct {
		args []string
		act  string // of the phone; "" is Ctrl-C
		code int
		out  func(string) bool
	}{
		"token": {nil, "confirm", 0, func(out string) bool {
			var token map[string]any
			return json.Unmarshal([]byte(out), &token) == nil && strings.Count(token["id_token"].(string), ".") == 2
		}},
		"handed over": {[]string{"--exec", `read -r body; [ "${#body}" -gt 200 ] && echo "${#LOGINHUB_ID_TOKEN} $LOGINHUB_ACCESS_TOKEN"; exit 7`}, "confirm", 7,
			regexp.MustCompile(`^[0-9]{3,4} ey[^ ]+\n$`).MatchString},
		"declined":    {nil, "reject", 3, func(out string) bool { return out == "" }},
		"interrupted": {nil, "", 130, func(out string) bool { return out == "" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := loginContext(t)
			cmd := exec.CommandContext(ctx, program, append([]string{"login", "--issuer", issuer, "--client", "cli"}, c.args...)...)
			var out strings.Builder
			cmd.Stdout = &out
			screen, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			shown, chunk := "", make([]byte, 4096)
			for !strings.Contains(shown, "Waiting") {
				n, err := screen.Read(chunk)
				if err != nil {
					t.Fatalf("%v after %q", err, shown)
				}
				shown += string(chunk[:n])
			}
			if c.act == "" {
				err = cmd.Process.Signal(syscall.SIGINT)
			} else {
				_, err = hubtest.NewPhone("ann").Do(ctx, far.URL, shownTicket.FindStringSubmatch(shown)[1], c.act, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			cmd.Wait() // the exit code is the result
			if code := cmd.ProcessState.ExitCode(); code != c.code || !c.out(out.String()) {
				t.Errorf("exit code %d, want %d, printed %q after %q", code, c.code, out.String(), shown)
			}
		})
	}
}
