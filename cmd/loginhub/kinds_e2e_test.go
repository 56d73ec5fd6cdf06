package main_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"loginhub/hub/hubtest"
	"loginhub/hub/provider/dingtalk/dingtalktest"
	"loginhub/hub/provider/feishu/feishutest"
	"loginhub/hub/provider/oidc/oidctest"
	"loginhub/hub/provider/providertest"
	"loginhub/hub/provider/qq/qqtest"
	"loginhub/hub/provider/wecom/wecomtest"
)

// redirectKinds are the kinds that log in at their own page, with the imitation of each,
// its lines in the clients file (URL is the imitation's, SECRET a file), and the subject
// of the imitation's user alice.
var redirectKinds = map[string]struct {
	imitate func(providertest.Options) http.Handler
	fields  string
	secret  string
	subject string
}{
	"feishu": {func(o providertest.Options) http.Handler { return feishutest.New(o) },
		"app_id: " + feishutest.AppID + ", app_secret_file: SECRET, api_url: URL, token_url: URL, authorize_url: URL", feishutest.Secret,
		"feishu:" + feishutest.AppID + ":ou_alice"},
	"oidc": {func(o providertest.Options) http.Handler { return oidctest.New(o) },
		"issuer: URL, client_id: " + oidctest.ClientID + ", client_secret_file: SECRET", oidctest.Secret, "oidc:door:sub-alice"},
	"dingtalk": {func(o providertest.Options) http.Handler { return dingtalktest.New(o) },
		"client_id: " + dingtalktest.ClientID + ", client_secret_file: SECRET, corp_id: " + dingtalktest.CorpID + ", api_url: URL, legacy_api_url: URL, authorize_url: URL", dingtalktest.Secret,
		"dingtalk:" + dingtalktest.CorpID + ":alice"},
	"qq": {func(o providertest.Options) http.Handler { return qqtest.New(o) },
		"app_id: '" + qqtest.AppID + "', app_key_file: SECRET, api_url: URL", qqtest.Key, "qq:" + qqtest.AppID + ":" + qqtest.OpenID("alice")},
	"wecom": {func(o providertest.Options) http.Handler { return wecomtest.New(o) },
		"corp_id: " + wecomtest.CorpID + ", agent_id: " + wecomtest.AgentID + ", secret_file: SECRET, api_url: URL, authorize_url: URL", wecomtest.Secret,
		"wecom:" + wecomtest.CorpID + ":alice"},
}

// TestKinds_Login: a browser goes to each provider's page from one node. That node is
// killed, and the provider sends the browser back to another, where it also waits.
func TestKinds_Login(t *testing.T) {
	t.Parallel()
	for kind, k := range redirectKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			imitation := httptest.NewServer(k.imitate(providertest.Options{User: "alice", Host: "login.test"}))
			t.Cleanup(imitation.Close)
			fields := strings.NewReplacer("URL", imitation.URL, "SECRET", hubtest.WriteFile(t, "secret", k.secret+"\n")).Replace(k.fields)
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
			if _, err := p.waitToken(ctx, nodes[1].URL, k.subject); err != nil {
				t.Fatal(err)
			}
			out, code := runCheck(t, "", nil, append(settings, "REDIS_URL=embedded", "KEYS="+hubtest.Key)...)
			if line := findLine(out, "door"); !strings.HasPrefix(line, "ok") || strings.Contains(out, k.secret) {
				t.Errorf("loginhub check, %d: %s\n%s", code, line, out)
			}
		})
	}
}
