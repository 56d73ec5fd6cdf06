package apitest_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"loginhub/api"
	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/hubtest"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

func TestOpenID_Login(t *testing.T) {
	t.Parallel()
	s := startOpenID(t, options{})
	page := string(s.authorize(t, query()).body)
	for _, want := range []string{"The &lt;Site&gt;", "rp.example"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %s", want)
		}
	}
	got := s.login(t)
	if got.Get("state") != "st" || got.Get("iss") != public || len(got) != 3 {
		t.Errorf("answer %v", got)
	}
	tokens := s.exchange(t, codeForm(got.Get("code")), basic("rp", rpSecret)...).ok(t, http.StatusOK)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(fmt.Sprint(tokens["id_token"]), ".")[1])
	must(t, err)
	id := object(t, payload)
	if id["iss"] != public || id["aud"] != "rp" || id["nonce"] != "no" || id["sub"] != "sandbox:alice" {
		t.Errorf("ID token %v", id)
	}
	if len(s.states.held) != 0 {
		t.Errorf("a login stores %v", s.states.held)
	}
	s.exchange(t, codeForm(got.Get("code")), basic("rp", rpSecret)...).requireOAuth(t, "replay", 400, "invalid_grant")
	payload, err = base64.RawURLEncoding.DecodeString(strings.Split(fmt.Sprint(tokens["access_token"]), ".")[1])
	must(t, err)
	if sid := fmt.Sprint(object(t, payload)["sid"]); s.states.held["ended:"+sid] == nil {
		t.Errorf("a replay leaves the login %s valid: %v", sid, s.states.held)
	}
	// Form post, and a reject; a page's key is not used.
	key, err := hubtest.NewPageKey()
	must(t, err)
	request, cookie := s.open(t, query("response_mode", "form_post"))
	p := s.createTicket(t, map[string]any{"request": request, "jwk": key.JWK()}, "Cookie", cookie, "Origin", public)
	if login := s.phone("alice").mustDo(t, p, "scan")["login"].(map[string]any); !equal(login["hosts"], []any{"rp.example"}) {
		t.Errorf("the phone shows the hosts %v, not the site's", login["hosts"])
	}
	s.phone("alice").mustDo(t, p, "reject")
	form, _ := p.view(t)["form_post"].(map[string]any)
	if !equal(form, map[string]any{"action": rpCallback, "fields": map[string]any{"error": "access_denied", "state": "st", "iss": public}}) {
		t.Errorf("form %v", form)
	}
}

// TestToken_Errors: nothing that does not fit a code spends it.
func TestToken_Errors(t *testing.T) {
	t.Parallel()
	s := startOpenID(t, options{})
	code := s.login(t).Get("code")
	plain := s.login(t, "code_challenge", "-", "code_challenge_method", "-").Get("code")
	good := basic("rp", rpSecret)
	spa := []string{"client_id", "spa"}
	for what, c := range map[string]struct {
		form    url.Values
		headers []string
		status  int
		code    string
	}{
		"no grant type":         {codeForm(code, "grant_type", "-"), good, 400, "invalid_request"},
		"password":              {codeForm(code, "grant_type", "password"), good, 400, "unsupported_grant_type"},
		"no code":               {codeForm("-", "code", "-"), good, 400, "invalid_request"},
		"code twice":            {url.Values{"grant_type": {"authorization_code"}, "code": {code, code}}, good, 400, "invalid_request"},
		"changed code":          {codeForm(code[:23] + strings.Repeat("A", 43)), good, 400, "invalid_grant"},
		"code of another":       {codeForm(code[:22] + plain[22:]), good, 400, "invalid_grant"},
		"no ticket":             {codeForm("AAAAAAAAAAAAAAAAAAAAAA" + code[22:]), good, 400, "invalid_grant"},
		"malformed code":        {codeForm("x"), good, 400, "invalid_grant"},
		"no redirect URI":       {codeForm(code, "redirect_uri", "-"), good, 400, "invalid_grant"},
		"other redirect URI":    {codeForm(code, "redirect_uri", rpCallback+"?tenant=1"), good, 400, "invalid_grant"},
		"no verifier":           {codeForm(code, "code_verifier", "-"), good, 400, "invalid_grant"},
		"other verifier":        {codeForm(code, "code_verifier", strings.ToUpper(verifier)), good, 400, "invalid_grant"},
		"challenge as verifier": {codeForm(code, "code_verifier", query().Get("code_challenge")), good, 400, "invalid_grant"},
		"downgraded":            {codeForm(plain), good, 400, "invalid_grant"},
		"other client":          {codeForm(code, spa...), nil, 400, "invalid_grant"},
		"client without codes":  {codeForm(code, "client_id", "cli"), nil, 400, "unauthorized_client"},
		"no client":             {codeForm(code), nil, 401, "invalid_client"},
		"unknown client":        {codeForm(code, "client_id", "unknown"), nil, 401, "invalid_client"},
		"client without OpenID": {codeForm(code, "client_id", "demo"), nil, 401, "invalid_client"},
		"no secret":             {codeForm(code, "client_id", "rp"), nil, 401, "invalid_client"},
		"wrong secret":          {codeForm(code), basic("rp", "wrong"), 401, "invalid_client"},
		"secret not encoded":    {codeForm(code), []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("rp:"+rpSecret))}, 401, "invalid_client"},
		"not base64":            {codeForm(code), []string{"Authorization", "Basic rp:x"}, 401, "invalid_client"},
		"Bearer":                {codeForm(code), []string{"Authorization", "Bearer " + rpSecret}, 401, "invalid_client"},
		"public with a secret":  {codeForm(code, "client_id", "spa", "client_secret", "x"), nil, 401, "invalid_client"},
		"public with Basic":     {codeForm(code), basic("spa", ""), 401, "invalid_client"},
		"Basic and another id":  {codeForm(code, spa...), good, 401, "invalid_client"},
		"Basic and post":        {codeForm(code, "client_secret", rpSecret), good, 400, "invalid_request"},
		"assertion and post":    {codeForm(code, "client_id", "rp", "client_secret", rpSecret, "client_assertion", "x", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), nil, 400, "invalid_request"},
		"assertion of no type":  {codeForm(code, "client_assertion", "x"), nil, 400, "invalid_request"},
		"not a JWT":             {codeForm(code, "client_assertion", "x", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), nil, 401, "invalid_client"},
	} {
		a := s.exchange(t, c.form, c.headers...)
		a.requireOAuth(t, what, c.status, c.code)
		if challenge := a.header.Get("WWW-Authenticate"); (c.status == 401) != strings.HasPrefix(challenge, "Basic ") || strings.Contains(string(a.body), rpSecret) {
			t.Errorf("%s: %q %s", what, challenge, a.body)
		}
	}
	post := codeForm(code, "client_id", "rp", "client_secret", rpSecret)
	s.exchange(t, post).ok(t, http.StatusOK)
	s.exchange(t, codeForm(plain, "code_verifier", ""), good...).ok(t, http.StatusOK)
	cli := s.login(t, "client_id", "spa", "redirect_uri", "http://127.0.0.1:4711/cb").Get("code")
	s.exchange(t, codeForm(cli, "client_id", "spa", "redirect_uri", "http://127.0.0.1:4711/cb", "client_secret", "")).ok(t, http.StatusOK)
	for _, path := range []string{"/oauth2/token", "/oauth2/revoke", "/oauth2/userinfo"} {
		preflight, err := s.send(s.stepContext(t), "OPTIONS", path, nil, "Origin", "https://spa.example")
		must(t, err)
		preflight.noContent(t)
	}
}

// TestPAR: a pushed request is of one client, and used once.
func TestPAR(t *testing.T) {
	t.Parallel()
	s := startOpenID(t, options{})
	good := basic("rp", rpSecret)
	push := func() string {
		return s.post(t, "/oauth2/par", query(), good...).ok(t, http.StatusCreated)["request_uri"].(string)
	}
	uri := push()
	for what, q := range map[string]url.Values{"another client": {"client_id": {"spa"}, "request_uri": {uri}}, "no client": {"request_uri": {uri}},
		"changed": {"client_id": {"rp"}, "request_uri": {uri + "A"}}, "twice": {"client_id": {"rp"}, "request_uri": {uri, uri}}} {
		if a := s.authorize(t, q); a.status != 400 {
			t.Errorf("%s: %d", what, a.status)
		}
	}
	s.open(t, url.Values{"client_id": {"rp"}, "request_uri": {uri}, "redirect_uri": {"https://evil.example/"}, "state": {"other"}})
	if a := s.authorize(t, url.Values{"client_id": {"rp"}, "request_uri": {uri}}); a.status != 400 {
		t.Errorf("used twice: %d", a.status)
	}
	s.ask(t, "POST", ticketsPath, map[string]any{"request": strings.TrimPrefix(uri, "urn:ietf:params:oauth:request_uri:")}).problem(t, 403, "state_invalid") // of another purpose
	for what, c := range map[string]struct {
		form    url.Values
		headers []string
		status  int
		code    string
	}{
		"no client":     {query("client_id", "-"), nil, 401, "invalid_client"},
		"redirect URI":  {query("redirect_uri", "https://evil.example"), good, 400, "invalid_request"},
		"request_uri":   {query("request_uri", uri), good, 400, "invalid_request"},
		"request":       {query("request", "x"), good, 400, "request_not_supported"},
		"implicit":      {query("response_type", "token"), good, 400, "unsupported_response_type"},
		"scope":         {query("scope", "\n"), good, 400, "invalid_scope"},
		"device client": {query("client_id", "cli"), nil, 400, "unauthorized_client"},
	} {
		s.post(t, "/oauth2/par", c.form, c.headers...).requireOAuth(t, what, c.status, c.code)
	}
}

// TestOpenID_Off: without a client that uses it there is no OpenID Connect.
func TestOpenID_Off(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for _, r := range contract.Routes {
		if r.Answers[404] != nil && (strings.HasPrefix(r.Path, "/oauth2/") || strings.HasPrefix(r.Path, "/.well-known/o") || r.Path == "/device") {
			if a, err := s.send(s.stepContext(t), r.Method, r.Path, nil); err != nil || a.status != http.StatusNotFound {
				t.Errorf("%s %s: %v %v", r.Method, r.Path, a, err)
			}
		}
	}
}

// brokenStore is a store that Redis does not answer while down is set.
type brokenStore struct {
	hub.Store
	down *atomic.Bool
}

var errDown = fmt.Errorf("redis is down: %w", ticket.ErrStoreUnavailable)

func (s brokenStore) Attach(ctx context.Context, node string, ids ...ticket.ID) ([]ticket.Stored, error) {
	if s.down.Load() {
		return nil, errDown
	}
	return s.Store.Attach(ctx, node, ids...)
}

// TestOpenID_StoreDown: errors that pass have Retry-After, and spend nothing.
func TestOpenID_StoreDown(t *testing.T) {
	t.Parallel()
	down := &atomic.Bool{}
	s := startOpenID(t, options{hub: func(c *hub.Config) { c.Store = brokenStore{c.Store, down} }})
	good := basic("rp", rpSecret)
	all := s.redeem(t, "rp", codeForm(s.login(t).Get("code")))
	code := s.login(t).Get("code")
	uri := s.post(t, "/oauth2/par", query(), good...).ok(t, http.StatusCreated)["request_uri"].(string)
	down.Store(true)
	s.states.failure = errDown
	bearer, token := []string{"Authorization", "Bearer " + all.Access}, url.Values{"token": {all.Access}}
	for what, c := range map[string]struct {
		method, path string
		form         url.Values
		headers      []string
		page         bool
	}{
		"token":       {"POST", "/oauth2/token", codeForm(code), good, false},
		"device":      {"POST", "/oauth2/device_authorization", url.Values{"client_id": {"cli"}}, nil, false},
		"introspect":  {"POST", "/oauth2/introspect", token, good, false},
		"revoke":      {"POST", "/oauth2/revoke", token, good, false},
		"userinfo":    {"GET", "/oauth2/userinfo", nil, bearer, false},
		"posted":      {"POST", "/oauth2/userinfo", nil, bearer, false},
		"logout":      {"GET", "/oauth2/logout?id_token_hint=" + all.ID, nil, nil, true},
		"logout form": {"POST", "/oauth2/logout", url.Values{"id_token_hint": {all.ID}}, nil, true},
		"user code":   {"POST", "/device", url.Values{"user_code": {"BBBB-BBBB"}}, []string{"Origin", public}, true},
		"authorize":   {"GET", "/oauth2/authorize?" + url.Values{"client_id": {"rp"}, "request_uri": {uri}}.Encode(), nil, nil, true},
	} {
		a, err := s.send(s.stepContext(t), c.method, c.path, c.form.Encode(), withDefaults(c.headers, "Content-Type", "application/x-www-form-urlencoded")...)
		must(t, err)
		if c.page {
			a.requirePage(t, 503, "store_unavailable")
		} else {
			a.requireOAuth(t, what, 503, "temporarily_unavailable")
		}
		if retryAfter(t, a, "1"); t.Failed() {
			t.Fatalf("at %s", what)
		}
	}
	down.Store(false)
	s.states.failure = nil
	s.exchange(t, codeForm(code), good...).ok(t, http.StatusOK)
	s.open(t, url.Values{"client_id": {"rp"}, "request_uri": {uri}})
}

// TestOpenID_Limits: floods are bounded by address, /48 and client, and store nothing.
func TestOpenID_Limits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := behindProxy(withRateLimit(2))
		o.pipes = true
		s := startOpenID(t, o)
		from := func(addr string) []string { return []string{forwarded, addr} }
		flood := func(what string, most int, addr func(i int) string) {
			t.Helper()
			for i := range most + 50 {
				if a := s.authorize(t, query(), from(addr(i))...); a.status == http.StatusTooManyRequests {
					if i < most {
						t.Errorf("%s: refused after %d", what, i)
					}
					return
				}
			}
			t.Errorf("%s: no limit", what)
		}
		flood("address", 2, func(int) string { return "203.0.113.1" })
		flood("IPv6 /48", 16, func(i int) string { return fmt.Sprintf("2001:db8:1:%x::1", i) })
		flood("client", 150, func(i int) string { return fmt.Sprintf("203.0.%d.9", 114+i%100) })
		s.post(t, "/oauth2/par", query(), append(basic("rp", rpSecret), from("198.51.100.1")...)...).requireOAuth(t, "pushed", 429, "temporarily_unavailable")
		if len(s.states.held) > 0 {
			t.Errorf("a flood stores %v", s.states.held)
		}
	})
}

func TestOpenID_Discovery(t *testing.T) {
	t.Parallel()
	s := startOpenID(t, options{})
	document := s.ask(t, "GET", "/.well-known/openid-configuration", nil).ok(t, http.StatusOK)
	if other := s.ask(t, "GET", "/.well-known/oauth-authorization-server", nil).ok(t, http.StatusOK); !equal(document, other) {
		t.Error("the two documents differ")
	}
	for name, want := range map[string]any{"issuer": public, "token_endpoint": public + "/oauth2/token", "jwks_uri": public + "/.well-known/jwks.json",
		"code_challenge_methods_supported": []any{"S256"}, "end_session_endpoint": public + "/oauth2/logout", "claims_parameter_supported": false, "subject_types_supported": []any{"public"},
		"id_token_signing_alg_values_supported": []any{"RS256", "ES256", "EdDSA"}, "backchannel_logout_supported": true, "backchannel_logout_session_supported": true,
		"response_types_supported": []any{"code"}, "authorization_response_iss_parameter_supported": true} {
		if !equal(document[name], want) {
			t.Errorf("%s is %v", name, document[name])
		}
	}
}

// TestOpenID_InApp: inside an app that can log in by itself the page goes that way, and
// from there to the site.
func TestOpenID_InApp(t *testing.T) {
	t.Parallel()
	app := &provider.Provider{ID: "h5", Kind: provider.Kind{Name: "h5", InAgent: func(agent string) bool { return strings.Contains(agent, "TheApp") }},
		Access: provider.Access{InApp: website{errorProvider()}}}
	s := startOpenID(t, options{api: func(c *api.Config) { c.Reloadable.Listed = []*provider.Provider{app} }})
	inside := []string{"User-Agent", "Mobile TheApp/1"}
	form := `action="/api/connect/h5"`
	if page := s.authorize(t, query()); strings.Contains(string(page.body), form) {
		t.Error("a browser outside of the app has its form")
	}
	if page := s.authorize(t, query(), inside...); !strings.Contains(string(page.body), form) || !strings.Contains(page.header.Get("Content-Security-Policy"), "form-action 'self' https://open.test") {
		t.Errorf("%s %s", page.header, page.body)
	}
	request, cookie := s.open(t, query(), inside...)
	p := s.createTicket(t, map[string]any{"request": request}, "Cookie", cookie)
	post := func(headers ...string) *answer {
		return s.post(t, "/api/connect/h5", url.Values{"ticket": {p.id}, "secret": {p.secret}, "continue": {"1"}}, append(headers, "Origin", public)...)
	}
	post().problem(t, 400, "invalid_request") // outside of the app
	a := post(inside...)
	to, err := url.Parse(a.header.Get("Location"))
	must(t, err)
	cookie, _, _ = strings.Cut(a.header.Get("Set-Cookie"), ";")
	a, err = s.send(s.stepContext(t), "GET", "/api/connect/h5/callback?"+url.Values{"code": {"h5:ann:1"}, "state": {to.Query().Get("state")}}.Encode(), nil, "Cookie", cookie)
	must(t, err)
	if to, _ := url.Parse(a.header.Get("Location")); a.status != 303 || to.Host != "rp.example" || len(to.Query().Get("code")) != ticket.CodeLength {
		t.Errorf("%d to %s", a.status, to)
	}
}

// TestOpenID_Assertion: private_key_jwt, with keys of a file and of a URL.
func TestOpenID_Assertion(t *testing.T) {
	t.Parallel()
	public1, private, err := ed25519.GenerateKey(nil)
	must(t, err)
	_, foreign, err := ed25519.GenerateKey(nil)
	must(t, err)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public1, KeyID: "k", Use: "sig", Algorithm: "EdDSA"}}})
	must(t, err)
	fetched := 0
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/down" {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		fetched++
		w.Write(set)
	}))
	t.Cleanup(site.Close)
	keyed := func(id string) *client.Client {
		return &client.Client{ID: id, Grants: []string{client.GrantCode}, RedirectURIs: []string{rpCallback}, IDTokenAlg: client.AlgEdDSA}
	}
	file, uri, down := keyed("file"), keyed("uri"), keyed("down")
	file.JWKS, uri.JWKSURI, down.JWKSURI = set, site.URL, site.URL+"/down"
	s := startOpenID(t, options{clients: []*client.Client{file, uri, down}})
	serial := 0
	assertion := func(id string, key any, alg jose.SignatureAlgorithm, changes map[string]any) string {
		serial++
		now := time.Now()
		claims := map[string]any{"iss": id, "sub": id, "aud": public, "jti": fmt.Sprint(serial), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
		maps.Copy(claims, changes)
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k").WithHeader("jku", site.URL+"/evil"))
		must(t, err)
		text, err := jwt.Signed(signer).Claims(claims).Serialize()
		must(t, err)
		return text
	}
	push := func(text string, more ...string) *answer {
		form := query(append([]string{"client_id", "-", "client_assertion", text, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, more...)...)
		return s.post(t, "/oauth2/par", form)
	}
	once := assertion("file", private, jose.EdDSA, nil)
	push(once).ok(t, http.StatusCreated)
	push(once).requireOAuth(t, "used twice", 401, "invalid_client")
	for _, audience := range []any{public + "/oauth2/token", public + "/oauth2/par", []string{"x", public}} {
		push(assertion("uri", private, jose.EdDSA, map[string]any{"aud": audience}), "client_id", "uri").ok(t, http.StatusCreated)
	}
	if fetched != 1 {
		t.Errorf("the keys were fetched %d times", fetched)
	}
	for what, c := range map[string]map[string]any{"other issuer": {"iss": "uri"}, "other audience": {"aud": "https://evil.example"}, "no audience": {"aud": nil}, "expired": {"exp": time.Now().Add(-time.Minute).Unix()},
		"no expiry": {"exp": nil}, "for a day": {"exp": time.Now().Add(24 * time.Hour).Unix()}, "not yet": {"nbf": time.Now().Add(time.Hour).Unix()}, "no jti": {"jti": nil}, "a client with a secret": {"iss": "rp", "sub": "rp"}} {
		push(assertion("file", private, jose.EdDSA, c)).requireOAuth(t, what, 401, "invalid_client")
	}
	push(assertion("file", foreign, jose.EdDSA, nil)).requireOAuth(t, "foreign key", 401, "invalid_client")
	push(assertion("file", []byte(set), jose.HS256, nil)).requireOAuth(t, "HMAC of the public key", 401, "invalid_client")
	push(assertion("file", private, jose.EdDSA, nil), "client_id", "uri").requireOAuth(t, "another client_id", 401, "invalid_client")
	a := push(assertion("down", private, jose.EdDSA, nil))
	if a.requireOAuth(t, "jwks_uri down", 503, "temporarily_unavailable"); !strings.Contains(string(a.body), "jwks_uri") {
		t.Errorf("jwks_uri down: %s", a.body)
	}
	s.states.failure = errDown
	push(assertion("file", private, jose.EdDSA, nil)).requireOAuth(t, "store down", 503, "temporarily_unavailable")
}
