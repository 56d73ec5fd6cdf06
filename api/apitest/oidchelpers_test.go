package apitest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"loginhub/api"
	"loginhub/hub/client"
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
		{ID: "rp", LabelEN: "The <Site>", Secret: hashOf(rpSecret), RedirectURIs: []string{rpCallback, rpCallback + "?tenant=1"}, Grants: code, IDTokenAlg: client.AlgEdDSA,
			TokenEncryption: client.EncryptionRequire}, // it is for tokens, which these pages do not get
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
