package main_test

import (
	"crypto/ed25519"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"loginhub/hub/hubtest"
)

// TestMetrics_Refusals: what an operator switches off, and which keys, secrets and settings a node
// does not accept.
func TestMetrics_Refusals(t *testing.T) {
	t.Parallel()
	ctx, dir := hubtest.Context(t, 60*time.Second), t.TempDir()
	secret, clients := "0123456789abcdef-secret", filepath.Join(dir, "clients.yaml")
	if err := os.WriteFile(dir+"/secret", []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	replaceFile(t, clients, fmt.Sprintf(openIDClients, dir+"/secret")+"    grants: [authorization_code, refresh_token]\n")
	n := startMetered(t, "REDIS_URL=embedded", "CLIENTS="+clients)
	post := func(status int, path, body string, headers ...string) func() {
		return func() {
			if a, err := hubtest.Request(ctx, "POST", n.URL+path, body, headers...); err != nil || a.Status != status {
				t.Errorf("%s: %v %v", path, a, err)
			}
		}
	}
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	token := func(status int, grant, id, secret string) func() {
		return post(status, "/oauth2/token", url.Values{"grant_type": {grant}, "client_id": {id}, "client_secret": {secret}, "refresh_token": {"another.sid.1.mac"}}.Encode(), form...)
	}
	put := func(body string) func() {
		return func() {
			if a, err := hubtest.Request(ctx, "PUT", n.Admin+"/clients/rp/login", body, "Content-Type", "application/json"); err != nil || a.Status != 204 {
				t.Errorf("%v %v", a, err)
			}
		}
	}
	reload := func(text, line string) func() {
		return func() { replaceFile(t, clients, text); sendSIGHUP(t, n); waitLog(t, n, 1, line) }
	}
	good := readFile(t, clients)
	runEvents(t, n, []event{
		{"switched off", put(`{"enabled":false}`), map[string]float64{`client_login_off{client="rp",reason="switched_off"}`: 1, `client_login_off{client="rp",reason="unreadable"}`: 0}},
		{"a ticket of it", post(403, "/api/login/tickets", "{}", "Content-Type", "application/json"), map[string]float64{`http_refusals_total{code="login_disabled"}`: 1}},
		{"switched on", put(`{"enabled":true}`), map[string]float64{`client_login_off{client="rp",reason="switched_off"}`: -1}},
		{"a wrong secret", token(401, "authorization_code", "rp", "wrong"), map[string]float64{`client_credentials_refused_total{client="rp",credential="secret"}`: 1,
			`oauth_grants_total{grant="authorization_code",outcome="invalid_client"}`: 1, `http_refusals_total{code="invalid_client"}`: 1}},
		{"another client", token(401, "x", "x", "wrong"), map[string]float64{`client_credentials_refused_total{client="unknown",credential="secret"}`: 1, `oauth_grants_total{grant="other",outcome="invalid_client"}`: 1}},
		{"a foreign refresh token", token(400, "refresh_token", "rp", secret), map[string]float64{`tokens_refused_total{reason="unknown_key",token="refresh_token"}`: 1, `oauth_grants_total{grant="refresh_token",outcome="invalid_grant"}`: 1}},
		{"no DPoP proof", post(400, "/oauth2/token", "grant_type=refresh_token&client_id=rp&client_secret="+secret, append(form, "DPoP", "x")...), map[string]float64{`oauth_grants_total{grant="refresh_token",outcome="invalid_dpop_proof"}`: 1}},
		{"no access token", post(401, "/oauth2/userinfo", "", "Authorization", "Bearer x"), map[string]float64{`tokens_refused_total{reason="invalid",token="access_token"}`: 1}},
		{"a foreign access token", post(401, "/oauth2/userinfo", "", "Authorization", "Bearer "+foreignToken(t)), map[string]float64{`tokens_refused_total{reason="unknown_key",token="access_token"}`: 1}},
		{"a hint", post(200, "/oauth2/logout", "id_token_hint=x", form...), map[string]float64{`tokens_refused_total{reason="invalid",token="id_token_hint"}`: 1}},
		{"invalid settings", reload("clients: [{}]", reloadRefused), map[string]float64{`config_last_reload_successful`: -1, `config_reloads_total{result="refused"}`: 1}},
		{"valid settings", reload(good+"  - {id: new, origins: ['https://a.test']}\n", reloadDone), map[string]float64{`config_last_reload_successful`: 1, `config_reloads_total{result="applied"}`: 1}},
	})
	if s := scrape(t, n); s[`loginhub_transitions_total{client="new",state="pending"}`] != 0 || s[`loginhub_redis_connections{state="subscribed"}`] != 1 {
		t.Errorf("the new client, or the subscription, has no series: %v", s)
	}
}

// foreignToken returns an access token under a key that no node has.
func foreignToken(t *testing.T) string {
	t.Helper()
	key := jose.JSONWebKey{Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), KeyID: "another"}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, (&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
