package apitest_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"loginhub/api"
	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// Values of the site in these tests.
const (
	rpSecret   = "rp-secret: 16+ %"
	rpCallback = "https://rp.example/cb"
	verifier   = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
)

// openIDSite is a server with OpenID clients: "rp" with a secret, "spa" and "cli" without.
type openIDSite struct {
	*testServer
	states *memStateStore
}

func hashOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

func startOpenID(t *testing.T, o options) *openIDSite {
	t.Helper()
	s := &openIDSite{states: &memStateStore{held: map[string][]byte{}}}
	code := []string{client.GrantCode}
	o.clients = append([]*client.Client{demo(),
		{ID: "rp", LabelEN: "The <Site>", Secret: hashOf(rpSecret), RedirectURIs: []string{rpCallback, rpCallback + "?tenant=1"}, Grants: code, IDTokenAlg: client.AlgEdDSA},
		{ID: "spa", RedirectURIs: []string{"http://127.0.0.1/cb"}, Grants: code, IDTokenAlg: client.AlgEdDSA},
		{ID: "cli", Grants: []string{client.GrantDevice}, IDTokenAlg: client.AlgEdDSA}}, o.clients...)
	before := o.api
	o.api = func(c *api.Config) {
		c.StateStore = s.states
		if before != nil {
			before(c)
		}
	}
	s.testServer = start(t, o)
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return s
}

// query returns parameters of a valid authorization request; changes are names and values,
// and a value "-" removes the name.
func query(changes ...string) url.Values {
	q := url.Values{"client_id": {"rp"}, "redirect_uri": {rpCallback}, "response_type": {"code"}, "scope": {"openid profile"}, "state": {"st"}, "nonce": {"no"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(hashOf(verifier))}, "code_challenge_method": {"S256"}}
	for i := 0; i+1 < len(changes); i += 2 {
		if q.Set(changes[i], changes[i+1]); changes[i+1] == "-" {
			q.Del(changes[i])
		}
	}
	return q
}

// authorize opens the authorize page.
func (s *openIDSite) authorize(t *testing.T, q url.Values, headers ...string) *answer {
	t.Helper()
	a, err := s.send(s.stepContext(t), "GET", "/oauth2/authorize?"+q.Encode(), nil, headers...)
	must(t, err)
	if a.header.Get("Cache-Control") != "no-store" && a.status != http.StatusNotFound {
		t.Errorf("Cache-Control %q", a.header.Get("Cache-Control"))
	}
	return a
}

var requestMeta = regexp.MustCompile(`<meta name="loginhub-request" content="([A-Za-z0-9_-]+)">`)

// open opens the page of a request, and returns REQUEST and the cookie.
func (s *openIDSite) open(t *testing.T, q url.Values, headers ...string) (request, cookie string) {
	t.Helper()
	a := s.authorize(t, q, headers...)
	found := requestMeta.FindSubmatch(a.body)
	if a.status != http.StatusOK || found == nil {
		t.Fatalf("%d: %s", a.status, a.body)
	}
	set := a.header.Get("Set-Cookie")
	cookie, _, _ = strings.Cut(set, ";")
	if !strings.HasPrefix(cookie, "__Host-") || !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "Secure") {
		t.Errorf("cookie %q", set)
	}
	return string(found[1]), cookie
}

// login opens the page, lets alice confirm, and returns the answer's parameters.
func (s *openIDSite) login(t *testing.T, changes ...string) url.Values {
	t.Helper()
	request, cookie := s.open(t, query(changes...))
	p := s.createTicket(t, map[string]any{"request": request}, "Cookie", cookie, "Origin", public)
	s.phone("alice").mustDo(t, p, "confirm")
	v := p.view(t)
	to, _ := v["redirect_to"].(string)
	if again := p.view(t)["redirect_to"]; to == "" || again != to || v["token"] != nil {
		t.Fatalf("view %v, then %v", v, again)
	}
	u, err := url.Parse(to)
	must(t, err)
	s.forbidInLogs(u.Query().Get("code"))
	return u.Query()
}

// exchange sends a token request.
func (s *openIDSite) exchange(t *testing.T, form url.Values, headers ...string) *answer {
	t.Helper()
	return s.post(t, "/oauth2/token", form, headers...)
}

// post sends a form to an endpoint of sites.
func (s *openIDSite) post(t *testing.T, path string, form url.Values, headers ...string) *answer {
	t.Helper()
	a, err := s.send(s.stepContext(t), "POST", path, form.Encode(), withDefaults(headers, "Content-Type", "application/x-www-form-urlencoded")...)
	must(t, err)
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: Cache-Control %q", path, a.header.Get("Cache-Control"))
	}
	return a
}

// basic returns the header of client_secret_basic.
func basic(id, secret string) []string {
	text := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(text))}
}

// codeForm returns the token request of a code; changes as in query.
func codeForm(code string, changes ...string) url.Values {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {rpCallback}, "code_verifier": {verifier}}
	for i := 0; i+1 < len(changes); i += 2 {
		if form.Set(changes[i], changes[i+1]); changes[i+1] == "-" {
			form.Del(changes[i])
		}
	}
	return form
}

// requireOAuth requires an error of RFC 6749.
func (a *answer) requireOAuth(t *testing.T, what string, status int, code string) {
	t.Helper()
	if a.status != status || !strings.Contains(string(a.body), `{"error":"`+code+`"`) {
		t.Errorf("%s: %d %s, want %d %s", what, a.status, a.body, status, code)
	}
}

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
	if jti := fmt.Sprint(object(t, payload)["jti"]); s.states.held["revoked:"+jti] == nil {
		t.Errorf("a replay leaves the access token %s valid: %v", jti, s.states.held)
	}
	// Form post, and a reject.
	request, cookie := s.open(t, query("response_mode", "form_post"))
	p := s.createTicket(t, map[string]any{"request": request}, "Cookie", cookie)
	s.phone("alice").mustDo(t, p, "reject")
	form, _ := p.view(t)["form_post"].(map[string]any)
	if !equal(form, map[string]any{"action": rpCallback, "fields": map[string]any{"error": "access_denied", "state": "st", "iss": public}}) {
		t.Errorf("form %v", form)
	}
}

// TestAuthorize_Errors: errors go to the site only if its redirect URI is proven.
func TestAuthorize_Errors(t *testing.T) {
	t.Parallel()
	s := startOpenID(t, options{})
	twice := func(name string) url.Values { return url.Values(map[string][]string{name: {"a", "a"}}) }
	with := func(q, more url.Values) url.Values {
		for name, values := range more {
			q[name] = values
		}
		return q
	}
	for what, c := range map[string]struct {
		q    url.Values
		want string // the error of the redirect; "" for a page
	}{
		"no client":                 {query("client_id", "-"), ""},
		"unknown client":            {query("client_id", "nobody"), ""},
		"client without OpenID":     {query("client_id", "demo"), ""},
		"client of devices":         {query("client_id", "cli"), ""},
		"client twice":              {with(query(), url.Values{"client_id": {"rp", "rp"}}), ""},
		"no redirect URI":           {query("redirect_uri", "-"), ""},
		"redirect URI twice":        {with(query(), url.Values{"redirect_uri": {rpCallback, rpCallback}}), ""},
		"foreign redirect URI":      {query("redirect_uri", "https://evil.example/cb"), ""},
		"longer redirect URI":       {query("redirect_uri", rpCallback+"/../x", "response_type", "x"), ""},
		"unknown request_uri":       {query("request_uri", "urn:ietf:params:oauth:request_uri:abc"), ""},
		"no response type":          {query("response_type", "-"), "invalid_request"},
		"implicit":                  {query("response_type", "id_token token"), "unsupported_response_type"},
		"hybrid":                    {query("response_type", "code id_token"), "unsupported_response_type"},
		"fragment":                  {query("response_mode", "fragment"), "invalid_request"},
		"state twice":               {with(query(), twice("state")), "invalid_request"},
		"scope twice":               {with(query(), twice("scope")), "invalid_request"},
		"unknown parameter twice":   {with(query(), twice("x\"")), "invalid_request"},
		"request object":            {query("request", "eyJ"), "request_not_supported"},
		"request_uri of the web":    {query("request_uri", "https://rp.example/r"), "request_uri_not_supported"},
		"request_uri of metadata":   {query("request_uri", "http://169.254.169.254/"), "request_uri_not_supported"},
		"registration":              {query("registration", "{}"), "registration_not_supported"},
		"plain challenge":           {query("code_challenge_method", "plain"), "invalid_request"},
		"challenge, no method":      {query("code_challenge_method", "-"), "invalid_request"},
		"method, no challenge":      {query("code_challenge", "-"), "invalid_request"},
		"short challenge":           {query("code_challenge", "abc"), "invalid_request"},
		"public, no challenge":      {query("client_id", "spa", "redirect_uri", "http://127.0.0.1:5/cb", "code_challenge", "-", "code_challenge_method", "-"), "invalid_request"},
		"long state":                {query("state", strings.Repeat("s", ticket.MaxState+1)), "invalid_request"},
		"control character":         {query("state", "a\r\nb"), "invalid_request"},
		"long nonce":                {query("nonce", strings.Repeat("s", ticket.MaxGrantNonce+1)), "invalid_request"},
		"scope of control":          {query("scope", "openid\x00"), "invalid_scope"},
		"prompt none":               {query("prompt", "none"), "login_required"},
		"prompt none and login":     {query("prompt", "none login"), "invalid_request"},
		"prompt none, with a query": {query("prompt", "none", "redirect_uri", rpCallback+"?tenant=1"), "login_required"},
	} {
		a := s.authorize(t, c.q)
		to, err := url.Parse(a.header.Get("Location"))
		must(t, err)
		if c.want == "" {
			if a.status != 400 || to.String() != "" || !strings.Contains(string(a.body), `data-code="invalid_request"`) || strings.Contains(string(a.body), "evil.example") {
				t.Errorf("%s: %d to %q", what, a.status, to)
			}
			continue
		}
		if q := to.Query(); a.status != 303 || to.Host == "evil.example" || q.Get("error") != c.want || q.Get("iss") != public || q.Get("code") != "" || strings.ContainsAny(q.Get("state"), "\r\n") {
			t.Errorf("%s: %d to %q", what, a.status, to)
		}
	}
	for _, ignored := range [][]string{{"prompt", "login consent select_account"}, {"max_age", "0"}, {"max_age", "x"}, {"ui_locales", "zh en"}, {"login_hint", "<x>"},
		{"acr_values", "9"}, {"claims", "{"}, {"display", "popup"}, {"id_token_hint", "x"}, {"state", "-"}, {"nonce", "-"}, {"scope", "-"}, {"request", ""}, {"response_mode", "query"},
		{"code_challenge", "-", "code_challenge_method", "-"}} {
		if a := s.authorize(t, query(ignored...)); a.status != 200 || strings.Contains(string(a.body), "<x>") {
			t.Errorf("%v: %d", ignored, a.status)
		}
	}
	form := s.authorize(t, query("prompt", "none", "response_mode", "form_post", "state", `"><script>`))
	if body := string(form.body); form.status != 200 || !strings.Contains(body, `action="`+rpCallback+`"`) || !strings.Contains(body, `value="login_required"`) || strings.Contains(body, `"><script>`) {
		t.Errorf("form_post: %d %s", form.status, body)
	}
	for what, status := range map[string]int{"client_id=rp": 400, strings.Repeat("x", 17<<10): 413, query().Encode(): 200} {
		a, err := s.send(s.stepContext(t), "POST", "/oauth2/authorize", what, "Content-Type", "application/x-www-form-urlencoded")
		must(t, err)
		if a.status != status {
			t.Errorf("posted %.20s: %d, want %d", what, a.status, status)
		}
	}
	a, err := s.send(s.stepContext(t), "POST", "/oauth2/authorize", "{}")
	must(t, err)
	a.requirePage(t, 415, "unsupported_media_type")
}

// TestAuthorize_OtherBrowser: a request is of one browser and ends; what another browser
// tries spends nothing, and a page may make several tickets.
func TestAuthorize_OtherBrowser(t *testing.T) {
	t.Parallel()
	s := startOpenID(t, options{})
	request, cookie := s.open(t, query())
	_, others := s.open(t, query())
	name, _, _ := strings.Cut(cookie, "=")
	body := map[string]any{"request": request}
	for what, headers := range map[string][]string{"none": nil, "another's": {"Cookie", others}, "empty": {"Cookie", name + "="}, "two": {"Cookie", cookie + "; " + cookie},
		"plain name": {"Cookie", strings.TrimPrefix(cookie, "__Host-")}} {
		if detail := s.ask(t, "POST", ticketsPath, body, headers...).problem(t, 403, "state_foreign"); strings.Contains(detail, "WeChat") {
			t.Errorf("%s: %s", what, detail)
		}
	}
	for range 2 {
		p := s.createTicket(t, body, "Cookie", cookie, "Origin", public)
		p.requireState(t, "pending", 1)
	}
	if again, same := s.open(t, query(), "Cookie", cookie); same != cookie || again == request {
		t.Errorf("a second page has the cookie %q", same)
	}
	s.ask(t, "POST", ticketsPath, body, "Cookie", cookie, "Origin", "https://evil.example").problem(t, 403, "origin_not_allowed")
	for _, bad := range []string{"", "abc", request[1:], request[:len(request)-1]} {
		s.ask(t, "POST", ticketsPath, map[string]any{"request": bad}, "Cookie", cookie).problem(t, 403, "state_invalid")
	}
	s.ask(t, "POST", ticketsPath, map[string]any{"request": 1}, "Cookie", cookie).problem(t, 400, "invalid_request")
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
		"unknown client":        {codeForm(code, "client_id", "nobody"), nil, 401, "invalid_client"},
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
		"JSON":                  {codeForm(code), append([]string{"Content-Type", "application/json"}, good...), 400, "invalid_request"},
		"large":                 {codeForm(code, "x", strings.Repeat("x", 17<<10)), good, 413, "invalid_request"},
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
	preflight, err := s.send(s.stepContext(t), "OPTIONS", "/oauth2/token", nil, "Origin", "https://spa.example")
	must(t, err)
	preflight.noContent(t)
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
		"large":         {query("x", strings.Repeat("x", 17<<10)), good, 413, "invalid_request"},
	} {
		s.post(t, "/oauth2/par", c.form, c.headers...).requireOAuth(t, what, c.status, c.code)
	}
}

// TestOpenID_Off: without a client that uses it there is no OpenID Connect.
func TestOpenID_Off(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for _, r := range contract.Routes {
		if r.Answers[404] != nil && (strings.HasPrefix(r.Path, "/oauth2/") || strings.HasPrefix(r.Path, "/.well-known/o")) {
			if a, err := s.send(s.stepContext(t), r.Method, r.Path, nil); err != nil || a.status != http.StatusNotFound {
				t.Errorf("%s %s: %v %v", r.Method, r.Path, a, err)
			}
		}
	}
}

// brokenStore is a store that Redis does not answer.
type brokenStore struct{ hub.Store }

var errDown = fmt.Errorf("redis is down: %w", ticket.ErrStoreUnavailable)

func (brokenStore) Attach(context.Context, string, ...ticket.ID) ([]ticket.Stored, error) {
	return nil, errDown
}

// TestOpenID_StoreDown: errors that pass have Retry-After, and spend nothing.
func TestOpenID_StoreDown(t *testing.T) {
	t.Parallel()
	s := startOpenID(t, options{hub: func(c *hub.Config) { c.Store = brokenStore{c.Store} }})
	a := s.exchange(t, codeForm("AAAAAAAAAAAAAAAAAAAAAA."+strings.Repeat("A", 43)), basic("rp", rpSecret)...)
	if a.requireOAuth(t, "token", 503, "temporarily_unavailable"); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	uri := s.post(t, "/oauth2/par", query(), basic("rp", rpSecret)...).ok(t, http.StatusCreated)["request_uri"].(string)
	s.states.failure = errDown
	if a := s.authorize(t, url.Values{"client_id": {"rp"}, "request_uri": {uri}}); a.status != 503 {
		t.Errorf("pushed: %d", a.status)
	}
}

// TestOpenID_Limits: floods are bounded by address, /48 and client, and store nothing.
func TestOpenID_Limits(t *testing.T) {
	o := behindProxy(withRateLimit(2))
	t.Parallel()
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
}
