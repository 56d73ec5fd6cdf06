package apitest_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"loginhub/api/gate"
	"loginhub/hub/client"
	"loginhub/hub/hubtest"
)

// dpopKey is the key of a client that proves it (RFC 9449).
type dpopKey struct{ hubtest.DPoPKey }

func newDPoPKey(t *testing.T) dpopKey { return dpopKey{hubtest.NewDPoPKey(t)} }

// prove returns a DPoP header, and with a token its Authorization.
func (k dpopKey) prove(t *testing.T, method, path, token string) []string {
	t.Helper()
	return k.Prove(t, method, public+path, token)
}

// token returns the header of a token request.
func (k dpopKey) token(t *testing.T) []string { return k.prove(t, "POST", "/oauth2/token", "") }

// startDPoP is startTokens with the public client "native", and "strict", which must prove a
// key.
func startDPoP(t *testing.T) *openIDSite {
	native := client.Client{ID: "native", RedirectURIs: []string{rpCallback}, Grants: []string{client.GrantCode, client.GrantRefresh, client.GrantDevice}, OfflineAccess: true, IDTokenAlg: client.AlgEdDSA}
	strict := native
	strict.ID, strict.DPoPBound = "strict", true
	app := client.Client{ID: "app", Secret: hashOf(rpSecret), RedirectURIs: []string{rpCallback}, Grants: []string{client.GrantCode, client.GrantRefresh}, OfflineAccess: true, IDTokenAlg: client.AlgES256}
	return startOpenID(t, options{clients: []*client.Client{&native, &strict, &app}})
}

// obtain sends a token request that must give tokens of that type.
func (s *openIDSite) obtain(t *testing.T, typ string, form url.Values, headers ...string) (all tokens) {
	t.Helper()
	a := s.exchange(t, form, headers...)
	if err := json.Unmarshal(a.body, &all); err != nil || a.status != 200 || all.Type != typ {
		t.Fatalf("%d %s, want the type %s", a.status, a.body, typ)
	}
	s.forbidInLogs(all.Access, all.Refresh)
	return all
}

// TestOpenID_DPoPPublic: code, access token and refresh token of a public client belong to
// its key, and what a thief tries spends nothing.
func TestOpenID_DPoPPublic(t *testing.T) {
	s := startDPoP(t)
	own, thief := newDPoPKey(t), newDPoPKey(t)
	got := s.login(t, "client_id", "native", "scope", "openid offline_access", "dpop_jkt", own.Thumbprint)
	code := codeForm(got.Get("code"), "client_id", "native")
	s.exchange(t, code).requireOAuth(t, "code without a proof", 400, "invalid_dpop_proof")
	s.exchange(t, code, thief.token(t)...).requireOAuth(t, "code with another key", 400, "invalid_grant")
	s.exchange(t, code, own.prove(t, "POST", "/oauth2/par", "")...).requireOAuth(t, "proof of another endpoint", 400, "invalid_dpop_proof")
	s.exchange(t, code, append(own.token(t), own.token(t)...)...).requireOAuth(t, "two proofs", 400, "invalid_dpop_proof")
	s.exchange(t, codeForm(got.Get("code"), "client_id", "native", "code_verifier", strings.ToUpper(verifier)), own.token(t)...).requireOAuth(t, "another verifier", 400, "invalid_grant")
	for name := range s.states.held {
		if strings.HasPrefix(name, "dpop:") {
			t.Errorf("a refused request has stored %s", name)
		}
	}
	proof := own.token(t)
	all := s.obtain(t, "DPoP", code, proof...)
	if cnf, _ := payload(t, all.Access)["cnf"].(map[string]any); cnf["jkt"] != own.Thumbprint {
		t.Errorf("cnf %v", cnf)
	}
	s.checkUserInfo(t, own, thief, all.Access)

	refresh := refreshForm(all.Refresh, "client_id", "native")
	s.exchange(t, refresh).requireOAuth(t, "refresh without a proof", 400, "invalid_dpop_proof")
	s.exchange(t, refresh, thief.token(t)...).requireOAuth(t, "refresh with another key", 400, "invalid_grant")
	s.exchange(t, refresh, proof...).requireOAuth(t, "refresh with a used proof", 400, "invalid_dpop_proof")
	next := s.obtain(t, "DPoP", refresh, own.token(t)...)
	s.exchange(t, refreshForm(next.Refresh, "client_id", "native")).requireOAuth(t, "the next without a proof", 400, "invalid_dpop_proof")
	s.obtain(t, "DPoP", refreshForm(next.Refresh, "client_id", "native"), own.token(t)...)
}

// checkUserInfo: userinfo takes a bound token with its key alone, and each proof once.
func (s *openIDSite) checkUserInfo(t *testing.T, own, thief dpopKey, token string) {
	t.Helper()
	const path = "/oauth2/userinfo"
	good := own.prove(t, "GET", path, token)
	for _, c := range []struct {
		what    string
		headers []string
		code    string // "" for claims
	}{
		{"no proof", []string{"Authorization", "DPoP " + token}, "invalid_dpop_proof"},
		{"bearer", []string{"Authorization", "Bearer " + token}, "invalid_token"},
		{"bearer with a proof", append([]string{"Authorization", "Bearer " + token}, own.prove(t, "GET", path, token)[2:]...), "invalid_token"},
		{"another key", thief.prove(t, "GET", path, token), "invalid_token"},
		{"a proof without the token", append([]string{"Authorization", "DPoP " + token}, own.prove(t, "GET", path, "")...), "invalid_dpop_proof"},
		{"a proof of POST", own.prove(t, "POST", path, token), "invalid_dpop_proof"},
		{"garbage", own.prove(t, "GET", path, "x"), "invalid_token"},
		{"good", good, ""},
		{"the same proof again", good, "invalid_dpop_proof"},
		{"the next", own.prove(t, "GET", path, token), ""},
	} {
		a, err := s.send(s.stepContext(t), "GET", path, nil, c.headers...)
		must(t, err)
		challenge := a.header.Get("WWW-Authenticate")
		if c.code == "" && a.status != 200 || c.code != "" && (a.status != 401 || !strings.HasPrefix(challenge, `DPoP realm="loginhub", error="`+c.code) || !strings.HasSuffix(challenge, `algs="ES256 EdDSA RS256 PS256"`)) {
			t.Errorf("%s: %d %q %s", c.what, a.status, challenge, a.body)
		}
	}
	for method, want := range map[string]int{"HEAD": 200, "GET": 401} { // of the proof (RFC 9449, section 4.3)
		a, err := s.send(s.stepContext(t), "HEAD", path, nil, own.prove(t, method, path, token)...)
		if must(t, err); a.status != want {
			t.Errorf("HEAD with a proof of %s: %d", method, a.status)
		}
	}
	s.post(t, path, nil, "Authorization", "DPoP "+token).requireOAuth(t, "posted without a proof", 401, "invalid_dpop_proof")
	s.post(t, path, url.Values{"access_token": {token}}).requireOAuth(t, "in a form", 401, "invalid_token")
	s.post(t, path, url.Values{"access_token": {token}}, own.prove(t, "POST", path, token)...).requireOAuth(t, "twice", 400, "invalid_request")
	a, err := s.send(s.stepContext(t), "GET", path, nil)
	must(t, err)
	if challenges := a.header.Values("WWW-Authenticate"); len(challenges) != 2 || !strings.HasPrefix(challenges[1], "DPoP ") {
		t.Errorf("without a token: %q", challenges)
	}
}

// TestOpenID_DPoPConfidential: a client with a secret may change its key, because the
// secret protects the refresh token (RFC 9449, section 5).
func TestOpenID_DPoPConfidential(t *testing.T) {
	s := startDPoP(t)
	secret := basic("app", rpSecret)
	first, second := newDPoPKey(t), newDPoPKey(t)
	form := codeForm(s.login(t, "client_id", "app", "scope", "openid offline_access").Get("code"))
	all := s.obtain(t, "DPoP", form, append(first.token(t), secret...)...)
	next := s.obtain(t, "DPoP", refreshForm(all.Refresh), append(second.token(t), secret...)...)
	info := s.post(t, "/oauth2/introspect", url.Values{"token": {next.Access}}, secret...).object(t)
	if cnf, _ := info["cnf"].(map[string]any); info["token_type"] != "DPoP" || cnf["jkt"] != second.Thumbprint {
		t.Errorf("introspection %v", info)
	}
	if info = s.post(t, "/oauth2/introspect", url.Values{"token": {next.Refresh}}, secret...).object(t); info["active"] != true || info["cnf"] != nil {
		t.Errorf("introspection of a refresh token, which is not bound: %v", info)
	}
	bearer := s.obtain(t, "Bearer", refreshForm(next.Refresh), secret...)
	info = s.post(t, "/oauth2/introspect", url.Values{"token": {bearer.Access}}, secret...).object(t)
	if info["token_type"] != "Bearer" || info["cnf"] != nil || s.userinfo(t, bearer.Access).status != 200 {
		t.Errorf("introspection %v", info)
	}
	a, err := s.send(s.stepContext(t), "GET", "/oauth2/userinfo", nil, first.prove(t, "GET", "/oauth2/userinfo", bearer.Access)...)
	must(t, err)
	a.requireOAuth(t, "a bearer token with the scheme DPoP", 401, "invalid_token")

	// A client that gets a secret now: its refresh tokens stay bound.
	all = s.obtain(t, "DPoP", codeForm(s.login(t, "client_id", "native", "scope", "openid offline_access").Get("code"), "client_id", "native"), first.token(t)...)
	native := client.Client{ID: "native", Secret: hashOf(rpSecret), RedirectURIs: []string{rpCallback}, Grants: []string{client.GrantRefresh}, OfflineAccess: true, IDTokenAlg: client.AlgEdDSA}
	s.server.Reload(gate.Reloadable{Signer: s.signer, Clients: []*client.Client{&native}})
	info = s.post(t, "/oauth2/introspect", url.Values{"token": {all.Refresh}}, basic("native", rpSecret)...).object(t)
	if cnf, _ := info["cnf"].(map[string]any); cnf["jkt"] != first.Thumbprint {
		t.Errorf("introspection of a bound refresh token %v", info)
	}
}

// TestOpenID_DPoPRequests: what binds a code, and what a client must prove.
func TestOpenID_DPoPRequests(t *testing.T) {
	s := startDPoP(t)
	own, other := newDPoPKey(t), newDPoPKey(t)
	// Pushed, with a proof in place of dpop_jkt.
	push := func(key dpopKey, changes ...string) *answer {
		return s.post(t, "/oauth2/par", query(append([]string{"client_id", "native"}, changes...)...), key.prove(t, "POST", "/oauth2/par", "")...)
	}
	push(own, "dpop_jkt", other.Thumbprint).requireOAuth(t, "another dpop_jkt", 400, "invalid_dpop_proof")
	for _, malformed := range []string{"x", "AAAA"} {
		push(own, "dpop_jkt", malformed).requireOAuth(t, "a malformed dpop_jkt", 400, "invalid_request")
	}
	proof := own.prove(t, "POST", "/oauth2/par", "")
	s.post(t, "/oauth2/par", query("client_id", "native", "dpop_jkt", own.Thumbprint), proof...).ok(t, 201)
	s.post(t, "/oauth2/par", query("client_id", "native"), proof...).requireOAuth(t, "a used proof", 400, "invalid_dpop_proof")
	uri := push(own).ok(t, 201)["request_uri"]
	request, cookie := s.open(t, url.Values{"client_id": {"native"}, "request_uri": {uri.(string)}})
	p := s.createTicket(t, map[string]any{"request": request}, "Cookie", cookie, "Origin", public)
	s.phone("alice").mustDo(t, p, "confirm")
	to, err := url.Parse(p.view(t)["redirect_to"].(string))
	must(t, err)
	form := codeForm(to.Query().Get("code"), "client_id", "native")
	s.exchange(t, form, other.token(t)...).requireOAuth(t, "the pushed request's code with another key", 400, "invalid_grant")
	s.obtain(t, "DPoP", form, own.token(t)...)

	// A client that must prove a key; authorize needs no dpop_jkt.
	form = codeForm(s.login(t, "client_id", "strict", "scope", "openid offline_access").Get("code"), "client_id", "strict")
	s.exchange(t, form).requireOAuth(t, "dpop_bound_access_tokens, without a proof", 400, "invalid_dpop_proof")
	all := s.obtain(t, "DPoP", form, own.token(t)...)
	s.exchange(t, refreshForm(all.Refresh, "client_id", "strict")).requireOAuth(t, "its refresh, without a proof", 400, "invalid_dpop_proof")
	d := s.newDevice(t, "strict")
	d.poll(t).requireOAuth(t, "its device, without a proof", 400, "invalid_dpop_proof")
	s.phone("alice").mustDo(t, d.page(), "confirm")
	used := own.token(t)
	s.obtain(t, "DPoP", d.form(), used...)
	d.poll(t, used...).requireOAuth(t, "its device, with a used proof", 400, "invalid_dpop_proof")

	// A session without a key is bound by its first proof.
	bearer := s.obtain(t, "Bearer", codeForm(s.login(t, "client_id", "native", "scope", "openid offline_access").Get("code"), "client_id", "native"))
	next := s.obtain(t, "DPoP", refreshForm(bearer.Refresh, "client_id", "native"), own.token(t)...)
	s.exchange(t, refreshForm(next.Refresh, "client_id", "native")).requireOAuth(t, "bound since the refresh", 400, "invalid_dpop_proof")
}
