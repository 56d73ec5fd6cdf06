package main_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"loginhub/hub/hubtest"
)

const openIDClients = `
clients:
  - id: rp
    label: {en: Site}
    secret_file: %s
    redirect_uris: [http://127.0.0.1/cb]
`

// openIDNodes starts two nodes with the OpenID client "rp".
func openIDNodes(t *testing.T) (secret string, nodes []*hubtest.Node) {
	t.Helper()
	secret = "0123456789abcdef-secret"
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	_, nodes = cluster(t, 2, "CLIENTS="+hubtest.WriteFile(t, "clients.yaml", fmt.Sprintf(openIDClients, file)))
	return secret, nodes
}

var loginRequest = regexp.MustCompile(`<meta name="loginhub-request" content="([^"]+)">`)

// TestOpenID_KilledNodes: after each step of a login the node that made it is killed, and
// the next step is made on the other node.
func TestOpenID_KilledNodes(t *testing.T) {
	t.Parallel()
	secret, nodes := openIDNodes(t)
	ctx := hubtest.Context(t, 90*time.Second)
	step := -1
	// on returns the node of the next step. The node of the step before is dead by then,
	// and the one before that runs again.
	on := func() string {
		t.Helper()
		if step++; step > 1 {
			nodes[step%2].Restart(t)
		}
		if step > 0 {
			nodes[(step+1)%2].Kill()
		}
		return nodes[step%2].URL
	}
	must := func(a *hubtest.Response, err error) *hubtest.Response {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	query := url.Values{"client_id": {"rp"}, "redirect_uri": {"http://127.0.0.1/cb"}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"}, "nonce": {"n"}}
	page := must(hubtest.Request(ctx, "GET", on()+"/oauth2/authorize?"+query.Encode(), nil))
	found := loginRequest.FindSubmatch(page.Body)
	if found == nil {
		t.Fatalf("%d %s", page.Status, page.Body)
	}
	cookie, _, _ := strings.Cut(page.Header.Get("Set-Cookie"), ";")

	p, err := hubtest.CreateTicket(ctx, on(), map[string]string{"request": string(found[1])}, "Cookie", cookie)
	if err != nil {
		t.Fatal(err)
	}
	phone := hubtest.NewPhone("alice")
	for _, action := range []string{"scan", "confirm"} {
		if err := hubtest.CallOK(ctx, phone, on(), p.ID, action); err != nil {
			t.Fatal(err)
		}
	}
	var view struct {
		RedirectTo string `json:"redirect_to"`
	}
	if err := must(p.PollResponse(ctx, on(), 0, 0)).Decode(200, &view); err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(view.RedirectTo)
	if err != nil || to.Query().Get("state") != "s" {
		t.Fatalf("%s, %v", view.RedirectTo, err)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": to.Query()["code"], "redirect_uri": query["redirect_uri"], "client_id": {"rp"}, "client_secret": {secret}}
	var tokens struct {
		ID string `json:"id_token"`
	}
	if err := must(hubtest.Request(ctx, "POST", on()+"/oauth2/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")).Decode(200, &tokens); err != nil {
		t.Fatal(err)
	}
	next := on()
	checkIDToken(t, next, tokens.ID)
	replay := must(hubtest.Request(ctx, "POST", next+"/oauth2/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded"))
	if replay.Status != 400 || !strings.Contains(string(replay.Body), "invalid_grant") {
		t.Errorf("replay on the other node: %d %s", replay.Status, replay.Body)
	}
}

// checkIDToken verifies an RS256 ID token with the keys of another node.
func checkIDToken(t *testing.T, node, token string) {
	t.Helper()
	a, err := hubtest.Request(t.Context(), "GET", node+"/.well-known/jwks.json", nil)
	var keys jose.JSONWebKeySet
	if err == nil {
		err = a.Decode(200, &keys)
	}
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := signed.Verify(keys)
	var claims struct{ Sub, Nonce, Aud string }
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil || claims.Sub != "sandbox:alice" || claims.Nonce != "n" || claims.Aud != "rp" {
		t.Errorf("%+v, %v", claims, err)
	}
}

// TestOpenID_DPoPNodes: each node knows what another has bound, and a proof is accepted
// once on all of them.
func TestOpenID_DPoPNodes(t *testing.T) {
	t.Parallel()
	_, nodes := cluster(t, 2, "CLIENTS="+hubtest.WriteFile(t, "clients.yaml", "clients: [{id: tv, grants: [device_code, refresh_token], dpop_bound_access_tokens: true}]"))
	ctx, a, b := hubtest.Context(t, 30*time.Second), nodes[0].URL, nodes[1].URL
	key, thief := hubtest.NewDPoPKey(t), hubtest.NewDPoPKey(t)
	// send returns the status and the error code, and decodes a 200.
	send := func(method, url string, form url.Values, answer any, headers ...string) string {
		t.Helper()
		got, err := hubtest.Request(ctx, method, url, form.Encode(), append(headers, "Content-Type", "application/x-www-form-urlencoded")...)
		if err != nil {
			t.Fatal(err)
		}
		var refused struct{ Error string }
		if got.Status == 200 {
			err = got.Decode(200, answer)
		} else {
			err = json.Unmarshal(got.Body, &refused)
		}
		if err != nil {
			t.Fatalf("%d %s: %v", got.Status, got.Body, err)
		}
		return fmt.Sprint(got.Status, " ", refused.Error)
	}
	var server struct {
		Token string `json:"token_endpoint"`
		Info  string `json:"userinfo_endpoint"`
	}
	send("GET", a+"/.well-known/openid-configuration", nil, &server)
	var device struct {
		Code string `json:"device_code"`
		Link string `json:"verification_uri_complete"`
	}
	send("POST", a+"/oauth2/device_authorization", url.Values{"client_id": {"tv"}, "scope": {"openid offline_access"}}, &device)
	if err := hubtest.CallOK(ctx, hubtest.NewPhone("alice"), b, path.Base(device.Link), "confirm"); err != nil {
		t.Fatal(err)
	}
	type tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Type    string `json:"token_type"`
	}
	var first, next tokens
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {device.Code}, "client_id": {"tv"}}
	proof := key.Prove(t, "POST", server.Token, "")
	if got := send("POST", a+"/oauth2/token", form, &first, proof...); got != "200 " || first.Type != "DPoP" {
		t.Fatalf("%s %+v", got, first)
	}
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Refresh}, "client_id": {"tv"}}
	info := key.Prove(t, "GET", server.Info, first.Access)
	for _, c := range []struct{ what, got, want string }{
		{"the same proof on the other node", send("POST", b+"/oauth2/token", refresh, &next, proof...), "400 invalid_dpop_proof"},
		{"another key on the other node", send("POST", b+"/oauth2/token", refresh, &next, thief.Prove(t, "POST", server.Token, "")...), "400 invalid_grant"},
		{"the key on the other node", send("POST", b+"/oauth2/token", refresh, &next, key.Prove(t, "POST", server.Token, "")...), "200 "},
		{"an address of the node itself", send("GET", b+"/oauth2/userinfo", nil, &next, key.Prove(t, "GET", b+"/oauth2/userinfo", first.Access)...), "401 invalid_dpop_proof"},
		{"userinfo", send("GET", b+"/oauth2/userinfo", nil, &next, info...), "200 "},
		{"userinfo again on the other node", send("GET", a+"/oauth2/userinfo", nil, &next, info...), "401 invalid_dpop_proof"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.what, c.got, c.want)
		}
	}
	for _, n := range nodes {
		log := n.Stop(t)
		for _, secret := range append(proof, first.Access, first.Refresh) {
			if secret != "DPoP" && strings.Contains(log, secret) {
				t.Errorf("the log contains %.20s…", secret)
			}
		}
	}
}
