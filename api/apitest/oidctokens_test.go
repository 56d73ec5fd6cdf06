package apitest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"loginhub/hub/client"
)

// tokens are the answer of a login, as its site gets it.
type tokens struct {
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token"`
	Scope   string `json:"scope"`
	Expires int    `json:"expires_in"`
	Type    string `json:"token_type"`
}

// startTokens is a server with the clients "app" and "other", which may have refresh
// tokens, beside those of startOpenID.
func startTokens(t *testing.T, change func(*client.Client)) *openIDSite {
	t.Helper()
	app := &client.Client{ID: "app", Secret: hashOf(rpSecret), RedirectURIs: []string{rpCallback}, PostLogoutRedirectURIs: []string{"https://rp.example/bye?x=1"},
		Grants: []string{client.GrantCode, client.GrantRefresh}, OfflineAccess: true, IDTokenAlg: client.AlgES256,
		Claims: map[string]any{"email": "{sub}@x.example", "alias": "{sub_local}", "groups": []any{"staff"}, "union": "{unionid}"}}
	if change != nil {
		change(app)
	}
	other := *app
	other.ID = "other"
	return startOpenID(t, options{clients: []*client.Client{app, &other}})
}

// tokens logs alice in at the client "app".
func (s *openIDSite) tokens(t *testing.T, scope string) (all tokens) {
	t.Helper()
	return s.redeem(t, "app", codeForm(s.login(t, "client_id", "app", "scope", scope).Get("code")))
}

// redeem sends a token request that must succeed.
func (s *openIDSite) redeem(t *testing.T, id string, form url.Values) (all tokens) {
	t.Helper()
	a := s.exchange(t, form, basic(id, rpSecret)...)
	if err := json.Unmarshal(a.body, &all); err != nil || a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	s.forbidInLogs(all.Access, all.ID)
	return all
}

func refreshForm(token string, more ...string) url.Values {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

// payload returns the claims of a JWT, unverified.
func payload(t *testing.T, token string) (claims map[string]any) {
	t.Helper()
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	must(t, err)
	must(t, json.Unmarshal(body, &claims))
	return claims
}

// userinfo returns the answer to a bearer token.
func (s *openIDSite) userinfo(t *testing.T, token string) *answer {
	t.Helper()
	a, err := s.send(s.stepContext(t), "GET", "/oauth2/userinfo", nil, "Authorization", "Bearer "+token)
	must(t, err)
	return a
}

func TestTokens_Claims(t *testing.T) {
	s := startTokens(t, nil)
	for scope, want := range map[string]map[string]any{
		"openid":               {"alias": "sandbox_3aalice", "groups": []any{"staff"}},
		"openid email profile": {"alias": "sandbox_3aalice", "groups": []any{"staff"}, "email": "sandbox:alice@x.example"},
	} {
		all := s.tokens(t, scope)
		if all.Refresh != "" || all.Scope != scope || all.Type != "Bearer" || all.Expires != 3600 {
			t.Errorf("%+v", all)
		}
		info, id, access := s.userinfo(t, all.Access).object(t), payload(t, all.ID), payload(t, all.Access)
		for name, value := range want {
			if !reflect.DeepEqual(info[name], value) || !reflect.DeepEqual(id[name], value) {
				t.Errorf("%s: %s is %v, in the ID token %v", scope, name, info[name], id[name])
			}
		}
		sum := sha256.Sum256([]byte(all.Access))
		if info["sub"] != "sandbox:alice" || len(info) != len(want)+1 || id["nonce"] != "no" || id["aud"] != "app" || id["sid"] == nil || id["auth_time"] == nil ||
			id["at_hash"] != base64.RawURLEncoding.EncodeToString(sum[:16]) {
			t.Errorf("userinfo %v, ID token %v", info, id)
		}
		if access["aud"] != public || access["client_id"] != "app" || access["scope"] != scope || access["jti"] == nil {
			t.Errorf("access token %v", access)
		}
	}
}

// sign returns a token with changed claims; changes are names and values.
func (s *openIDSite) sign(t *testing.T, claims map[string]any, typ, alg string, changes ...any) string {
	t.Helper()
	body := maps.Clone(claims)
	for i := 0; i < len(changes); i += 2 {
		body[changes[i].(string)] = changes[i+1]
	}
	text, err := json.Marshal(body)
	must(t, err)
	token, err := s.signer.Sign(s.signer.Current(), typ, alg, text)
	must(t, err)
	return token
}

// TestUserInfo_Refuses: what an attacker has instead of an access token.
func TestUserInfo_Refuses(t *testing.T) {
	s := startTokens(t, nil)
	all := s.tokens(t, "openid")
	parts := strings.Split(all.Access, ".")
	claims := payload(t, all.Access)
	signed := func(typ, alg string, changes ...any) string { return s.sign(t, claims, typ, alg, changes...) }
	header := func(alg string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + alg + `","kid":"` + s.signer.Current() + `","typ":"at+jwt"}`))
	}
	confused := header("HS256") + "." + parts[1] // signed with the public key as a secret
	key := s.signer.JWKS().Keys[0].Key
	mac := hmac.New(sha256.New, []byte(reflect.ValueOf(key).Bytes()))
	mac.Write([]byte(confused))
	if a := s.userinfo(t, signed("at+jwt", "EdDSA")); a.status != 200 {
		t.Fatalf("a token that this test has signed: %d %s", a.status, a.body)
	}
	for what, token := range map[string]string{
		"none":              header("none") + "." + parts[1] + ".",
		"HS256":             confused + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
		"an ID token":       all.ID,
		"a login token":     signed("login+jwt", "EdDSA"),
		"a logout token":    signed("logout+jwt", "EdDSA"),
		"expired":           signed("at+jwt", "EdDSA", "exp", time.Now().Unix()-1),
		"of another hub":    signed("at+jwt", "EdDSA", "iss", "https://evil.example"),
		"another audience":  signed("at+jwt", "EdDSA", "aud", "app"),
		"an unknown client": signed("at+jwt", "EdDSA", "client_id", "gone"),
		"a client without":  signed("at+jwt", "EdDSA", "client_id", "demo"),
		"another signature": parts[0] + "." + parts[1] + "." + strings.Split(all.ID, ".")[2],
		"garbage":           "x.y.z",
		"a long one":        strings.Repeat("a", 9000),
	} {
		a := s.userinfo(t, token)
		if h := a.header.Get("WWW-Authenticate"); a.status != 401 || !strings.HasPrefix(h, `Bearer realm="loginhub", error="invalid_token"`) || a.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %q %s", what, a.status, h, a.body)
		}
		s.post(t, "/oauth2/userinfo", url.Values{"access_token": {token}}).requireOAuth(t, what+" in the form", 401, "invalid_token")
		if a := s.post(t, "/oauth2/introspect", url.Values{"token": {token}}, basic("app", rpSecret)...); a.status != 200 || string(a.body) != "{\"active\":false}\n" {
			t.Errorf("introspect %s: %d %s", what, a.status, a.body)
		}
	}
	if a := s.post(t, "/oauth2/userinfo", url.Values{"access_token": {all.Access}}); a.status != 200 {
		t.Errorf("in the form: %d %s", a.status, a.body)
	}
	none, err := s.send(s.stepContext(t), "GET", "/oauth2/userinfo", nil)
	must(t, err)
	narrow := signed("at+jwt", "EdDSA", "scope", "profile")
	for what, c := range map[string]struct {
		a      *answer
		status int
		want   string
	}{
		"twice":     {s.post(t, "/oauth2/userinfo", url.Values{"access_token": {all.Access}}, "Authorization", "Bearer "+all.Access), 400, `error="invalid_request"`},
		"no token":  {s.post(t, "/oauth2/userinfo", nil), 401, `Bearer realm="loginhub"`},
		"no header": {none, 401, `Bearer realm="loginhub"`},
		"narrow":    {s.post(t, "/oauth2/userinfo", url.Values{"access_token": {narrow}}), 403, `error="insufficient_scope"`},
		"Basic":     {s.post(t, "/oauth2/userinfo", nil, basic("app", rpSecret)...), 401, `Bearer realm="loginhub"`},
		"no openid": {s.userinfo(t, narrow), 403, `error="insufficient_scope"`},
	} {
		if h := c.a.header.Get("WWW-Authenticate"); c.a.status != c.status || !strings.HasSuffix(h, c.want) && !strings.Contains(h, c.want+",") {
			t.Errorf("%s: %d %q", what, c.a.status, h)
		}
	}
}

// TestTokens_IntrospectAndRevoke: a client sees and ends its own tokens only.
func TestTokens_IntrospectAndRevoke(t *testing.T) {
	s := startTokens(t, nil)
	all := s.tokens(t, "openid offline_access")
	active := func(token, id string) bool {
		t.Helper()
		a := s.post(t, "/oauth2/introspect", url.Values{"token": {token}}, basic(id, rpSecret)...)
		return a.object(t)["active"] == true
	}
	for _, token := range []string{all.Access, all.Refresh} {
		if !active(token, "app") || active(token, "rp") {
			t.Errorf("%s: active for app %v, for rp %v", token, active(token, "app"), active(token, "rp"))
		}
	}
	s.post(t, "/oauth2/introspect", url.Values{"token": {all.Access}, "client_id": {"spa"}}).requireOAuth(t, "introspection by a public client", 401, "invalid_client")
	s.post(t, "/oauth2/introspect", nil, basic("app", rpSecret)...).requireOAuth(t, "introspection of nothing", 400, "invalid_request")
	s.post(t, "/oauth2/revoke", url.Values{"token": {all.Access}}, basic("rp", rpSecret)...).requireOAuth(t, "revocation by another client", 400, "invalid_grant")
	s.post(t, "/oauth2/revoke", url.Values{"token": {all.Access}}, basic("app", "wrong secret 0123")...).requireOAuth(t, "revocation without the secret", 401, "invalid_client")
	for what, token := range map[string]string{"unknown": "x", "an ID token": all.ID, "another client's refresh token": all.Refresh} {
		if a := s.post(t, "/oauth2/revoke", url.Values{"token": {token}}, basic("rp", rpSecret)...); a.status != 200 {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	if !active(all.Access, "app") || !active(all.Refresh, "app") {
		t.Fatal("another client has ended the tokens")
	}
	if a := s.post(t, "/oauth2/revoke", url.Values{"token": {all.Refresh}}, basic("app", rpSecret)...); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if active(all.Access, "app") || active(all.Refresh, "app") || s.userinfo(t, all.Access).status != 401 {
		t.Error("the tokens are still valid")
	}
	s.exchange(t, refreshForm(all.Refresh), basic("app", rpSecret)...).requireOAuth(t, "a revoked refresh token", 400, "invalid_grant")
}

// TestRefresh_Rotation: a client that asks twice at once, or has lost the answer, gets one
// successor. A copied token ends the login's tokens.
func TestRefresh_Rotation(t *testing.T) {
	s := startTokens(t, nil)
	all := s.tokens(t, "openid email offline_access")
	if all.Refresh == "" || s.tokens(t, "openid").Refresh != "" {
		t.Fatalf("refresh token %q", all.Refresh)
	}
	s.exchange(t, refreshForm(all.Refresh), basic("rp", rpSecret)...).requireOAuth(t, "a client without the grant", 400, "unauthorized_client")
	s.exchange(t, refreshForm(all.Refresh), basic("other", rpSecret)...).requireOAuth(t, "another client with the grant", 400, "invalid_grant")
	s.exchange(t, refreshForm(all.Refresh+"x"), basic("app", rpSecret)...).requireOAuth(t, "a forged one", 400, "invalid_grant")
	s.exchange(t, refreshForm(all.Refresh, "scope", "openid phone"), basic("app", rpSecret)...).requireOAuth(t, "a larger scope", 400, "invalid_scope")
	s.exchange(t, refreshForm(""), basic("app", rpSecret)...).requireOAuth(t, "none", 400, "invalid_request")
	second := s.redeem(t, "app", refreshForm(all.Refresh, "scope", "openid")).Refresh
	third := s.redeem(t, "app", refreshForm(second))
	if id := payload(t, third.ID); id["sub"] != "sandbox:alice" || id["nonce"] != nil || id["email"] == nil || id["auth_time"] != payload(t, all.ID)["auth_time"] || id["sid"] != payload(t, all.ID)["sid"] {
		t.Errorf("ID token %v", id)
	}
	s.exchange(t, refreshForm(all.Refresh), basic("app", rpSecret)...).requireOAuth(t, "the first again", 400, "invalid_grant")
	s.exchange(t, refreshForm(third.Refresh), basic("app", rpSecret)...).requireOAuth(t, "the last, after the copy", 400, "invalid_grant")
	if a := s.userinfo(t, third.Access); a.status != 401 {
		t.Errorf("the access token after the copy: %d", a.status)
	}
}

// TestRefresh_Concurrent: of concurrent uses of one token at most one succeeds, and the
// session ends.
func TestRefresh_Concurrent(t *testing.T) {
	s := startTokens(t, nil)
	all := s.tokens(t, "openid offline_access")
	found := make(chan string, 8)
	for range cap(found) {
		go func() {
			var next tokens
			_ = json.Unmarshal(s.exchange(t, refreshForm(all.Refresh), basic("app", rpSecret)...).body, &next)
			found <- next.Refresh
		}()
	}
	var got []string
	for range cap(found) {
		if next := <-found; next != "" {
			got = append(got, next)
		}
	}
	if len(got) > 1 {
		t.Fatalf("%d uses succeeded", len(got))
	}
	for _, next := range got {
		s.exchange(t, refreshForm(next), basic("app", rpSecret)...).requireOAuth(t, "the successor", 400, "invalid_grant")
	}
}

// TestToken_CodeTwiceEnds: the tokens of a code end if it comes again.
func TestToken_CodeTwiceEnds(t *testing.T) {
	s := startTokens(t, nil)
	form := codeForm(s.login(t, "client_id", "app", "scope", "openid offline_access").Get("code"))
	all := s.redeem(t, "app", form)
	s.exchange(t, form, basic("app", rpSecret)...).requireOAuth(t, "the code again", 400, "invalid_grant")
	if a := s.userinfo(t, all.Access); a.status != 401 {
		t.Errorf("the access token: %d", a.status)
	}
	s.exchange(t, refreshForm(all.Refresh), basic("app", rpSecret)...).requireOAuth(t, "the refresh token", 400, "invalid_grant")
}

// TestEndUser_Unredeemed: the operator also ends a login that is confirmed but not
// redeemed, and none that is confirmed later in the same second.
func TestEndUser_Unredeemed(t *testing.T) {
	s := startTokens(t, nil)
	before := codeForm(s.login(t, "client_id", "app", "scope", "openid offline_access").Get("code"))
	must(t, s.server.EndUser(s.stepContext(t), "app", "sandbox:alice", ""))
	after := s.tokens(t, "openid offline_access")
	s.exchange(t, before, basic("app", rpSecret)...).requireOAuth(t, "confirmed before", 400, "invalid_grant")
	if next := s.redeem(t, "app", refreshForm(after.Refresh)); s.userinfo(t, after.Access).status != 200 || s.userinfo(t, next.Access).status != 200 {
		t.Error("a login that was confirmed after the end has ended")
	}
}

// TestLogout: the browser goes to a listed address or to none.
func TestLogout(t *testing.T) {
	got := make(chan string, 4)
	site := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.FormValue("logout_token") }))
	t.Cleanup(site.Close)
	s := startTokens(t, func(c *client.Client) { c.BackchannelLogoutURI = site.URL })
	t.Cleanup(s.server.Close)
	all := s.tokens(t, "openid offline_access")
	const back = "https://rp.example/bye?x=1"
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + strings.Split(all.ID, ".")[1] + "."
	claims := payload(t, all.ID)
	expired := s.sign(t, claims, "JWT", "ES256", "exp", 1)
	for what, c := range map[string]struct {
		method, query string
		status        int
		location      string
	}{
		"nothing":                 {"GET", "", 200, ""},
		"a hint only":             {"GET", "id_token_hint=" + all.ID, 200, ""},
		"an expired hint":         {"GET", "id_token_hint=" + expired + "&state=a%26b&post_logout_redirect_uri=" + url.QueryEscape(back), 303, back + "&state=a%26b"},
		"posted":                  {"POST", "id_token_hint=" + all.ID + "&post_logout_redirect_uri=" + url.QueryEscape(back), 303, back},
		"asks first":              {"GET", "client_id=app&post_logout_redirect_uri=" + url.QueryEscape(back), 200, ""},
		"asks first, posted":      {"POST", "client_id=app", 200, ""},
		"confirmed in the query":  {"GET", "confirmed=1&client_id=app&post_logout_redirect_uri=" + url.QueryEscape(back), 200, ""},
		"confirmed":               {"POST", "confirmed=1&client_id=app&post_logout_redirect_uri=" + url.QueryEscape(back), 303, back},
		"not listed":              {"GET", "id_token_hint=" + all.ID + "&post_logout_redirect_uri=https://evil.example/", 400, ""},
		"not exactly":             {"GET", "id_token_hint=" + all.ID + "&post_logout_redirect_uri=" + url.QueryEscape(back+"&y=2"), 400, ""},
		"a redirect URI":          {"GET", "id_token_hint=" + all.ID + "&post_logout_redirect_uri=" + url.QueryEscape(rpCallback), 400, ""},
		"of another client":       {"POST", "confirmed=1&client_id=rp&post_logout_redirect_uri=" + url.QueryEscape(back), 400, ""},
		"no client":               {"POST", "confirmed=1&post_logout_redirect_uri=" + url.QueryEscape(back), 400, ""},
		"two clients":             {"GET", "client_id=rp&id_token_hint=" + all.ID, 400, ""},
		"an access token as hint": {"GET", "id_token_hint=" + all.Access + "&post_logout_redirect_uri=" + url.QueryEscape(back), 400, ""},
		"an unsigned hint":        {"GET", "id_token_hint=" + unsigned + "&post_logout_redirect_uri=" + url.QueryEscape(back), 400, ""},
		"a changed hint":          {"GET", "id_token_hint=" + all.ID[:len(all.ID)-4] + "AAAA&post_logout_redirect_uri=" + url.QueryEscape(back), 400, ""},
		"no hint and no client":   {"GET", "state=a&post_logout_redirect_uri=" + url.QueryEscape(back), 400, ""},
		"a state only":            {"GET", "state=a", 200, ""},
		"given twice":             {"GET", "state=a&state=b", 400, ""},
	} {
		path, body, headers := "/oauth2/logout?"+c.query, any(nil), []string{}
		if c.method == "POST" {
			path, body, headers = "/oauth2/logout", c.query, []string{"Content-Type", "application/x-www-form-urlencoded"}
		}
		a, err := s.send(s.stepContext(t), c.method, path, body, headers...)
		must(t, err)
		if a.status != c.status || a.header.Get("Location") != c.location {
			t.Errorf("%s: %d %q", what, a.status, a.header.Get("Location"))
		}
	}
	// One logout token for the login, whatever came again.
	logout := payload(t, <-got)
	events, _ := logout["events"].(map[string]any)
	if logout["aud"] != "app" || logout["sub"] != "sandbox:alice" || logout["sid"] != claims["sid"] || logout["nonce"] != nil || events["http://schemas.openid.net/event/backchannel-logout"] == nil {
		t.Errorf("logout token %v", logout)
	}
	if a := s.userinfo(t, all.Access); a.status != 401 {
		t.Errorf("the access token after the logout: %d", a.status)
	}
	// The operator ends a user's logins; a later one is not concerned.
	other := s.tokens(t, "openid offline_access")
	must(t, s.server.EndUser(s.stepContext(t), "app", "sandbox:alice", ""))
	if logout = payload(t, <-got); logout["sid"] != nil || logout["sub"] != "sandbox:alice" {
		t.Errorf("the operator's logout token %v", logout)
	}
	s.exchange(t, refreshForm(other.Refresh), basic("app", rpSecret)...).requireOAuth(t, "after the operator", 400, "invalid_grant")
	if len(got) > 0 || s.userinfo(t, other.Access).status != 401 {
		t.Error("more logout tokens, or tokens that are still valid")
	}
}
