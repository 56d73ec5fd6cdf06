package main_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"loginhub/hub/hubtest"
	"loginhub/hub/provider/providertest"
	"loginhub/hub/provider/providertest/imitations"
)

// TestKinds_Login: a browser goes to each provider's page from one node. That node is
// killed, and the provider sends the browser back to another, where it also waits.
func TestKinds_Login(t *testing.T) {
	t.Parallel()
	for kind, k := range imitations.All() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			imitation := httptest.NewServer(k.New(providertest.Options{User: "alice", Host: "login.test"}))
			t.Cleanup(imitation.Close)
			fields := strings.NewReplacer("URL", imitation.URL, "SECRET", hubtest.WriteFile(t, "secret", k.Secret+"\n")).Replace(k.Fields)
			settings := []string{"PUBLIC_URL=" + ourOrigin, "INSECURE_HTTP=true", "CLIENTS=" + hubtest.WriteFile(t, "clients.yaml",
				"providers: [{id: door, kind: "+kind+", "+fields+"}]\nclients: [{id: demo, origins: ['"+ourOrigin+"']}]\n")}
			_, nodes := cluster(t, 2, settings...)
			ctx := loginContext(t)
			p, tab := mustOpenWaiter(t, ctx, nodes[0].URL, nodes[1].URL), newBrowser(t, nodes[0])
			page := tab.do("POST", ourOrigin+"/api/connect/door", url.Values{"ticket": {p.ID}, "secret": {p.Secret}}, "Origin", ourOrigin).Header.Get("Location")
			back := tab.do("GET", page, nil).Header.Get("Location")
			if !strings.HasPrefix(back, ourOrigin+"/api/connect/door/callback?") {
				t.Fatalf("the page %s sends the browser to %q", page, back)
			}
			nodes[0].Kill()
			tab.node = nodes[1].URL
			wantPage(t, "callback", tab.do("GET", back, nil), 200, "You are logged in")
			if _, err := p.waitToken(ctx, nodes[1].URL, k.Subject); err != nil {
				t.Fatal(err)
			}
			out, code := runCheck(t, "", nil, append(settings, "REDIS_URL=embedded", "KEYS="+hubtest.Key)...)
			if line := findLine(out, "door"); !strings.HasPrefix(line, "ok") || strings.Contains(out, k.Secret) {
				t.Errorf("loginhub check, %d: %s\n%s", code, line, out)
			}
		})
	}
}
