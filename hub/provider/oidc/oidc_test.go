package oidc_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"loginhub/hub/provider"
	"loginhub/hub/provider/oidc"
	"loginhub/hub/provider/oidc/oidctest"
	"loginhub/hub/provider/providertest"
)

const verifier = "verifier-of-43-characters-that-only-we-know"

// visit is one visit to the provider's page.
func visit() provider.Visit {
	return provider.Visit{Callback: "https://login.test/api/connect/staff/callback", State: "state-1", Verifier: verifier}
}

// start returns an imitation and the provider's configuration with changed fields.
func start(t *testing.T, change map[string]string) (*oidctest.Server, *httptest.Server, provider.Config, error) {
	t.Helper()
	s := oidctest.New(providertest.Options{User: "alice"})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	f := &provider.Fields{ID: "staff", Values: map[string]string{"issuer": server.URL, "client_id": oidctest.ClientID, "client_secret_env": "X"},
		ReadSecret: func(string, string) (string, error) { return oidctest.Secret, nil }}
	for name, value := range change {
		f.Values[name] = value
	}
	c := oidc.Kind().Read(f)
	return s, server, c, f.Err()
}

// open returns an imitation and an open provider.
func open(t *testing.T, change map[string]string) (*oidctest.Server, *httptest.Server, *provider.Provider) {
	t.Helper()
	s, server, c, err := start(t, change)
	if err != nil {
		t.Fatal(err)
	}
	p, err := oidc.Kind().Open(c, provider.Env{ID: "staff"})
	if err != nil {
		t.Fatal(err)
	}
	return s, server, p
}

// visitPage visits the provider's page and returns the code and the page's link.
func visitPage(t *testing.T, p *provider.Provider) (code string, link url.Values) {
	t.Helper()
	to, err := p.Redirect.Authorize(t.Context(), visit())
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(httptest.NewRequest("GET", to, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	back, err := resp.Location()
	if err != nil || back.Query().Get("state") != "state-1" {
		t.Fatalf("the page %s: %d %s", to, resp.StatusCode, body)
	}
	at, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return back.Query().Get("code"), at.Query()
}

func TestLogin_Identity(t *testing.T) {
	t.Parallel()
	s, _, p := open(t, map[string]string{"label": "Acme"})
	code, link := visitPage(t, p)
	by, err := p.Redirect.Exchange(t.Context(), provider.Credential{Code: code, Visit: visit()})
	if err != nil {
		t.Fatal(err)
	}
	if sub, err := by.Sub(""); sub != "oidc:staff:sub-alice" || err != nil || by.Nickname != "alice" || by.Picture != "https://sso.test/alice.png" {
		t.Errorf("%+v is %q %v", by, sub, err)
	}
	if link.Get("nonce") == link.Get("code_challenge") || strings.Contains(link.Encode(), verifier) || link.Get("scope") != "openid profile" || p.Kind.Label.EN != "Acme" {
		t.Errorf("link %v, label %+v", link, p.Kind.Label)
	}
	s.Rotate()
	if code, _ = visitPage(t, p); s.Calls("/keys") != 1 || s.Calls("/.well-known/openid-configuration") != 1 {
		t.Error("keys or document are not kept")
	}
	if _, err := p.Redirect.Exchange(t.Context(), provider.Credential{Code: code, Visit: visit()}); err != nil {
		t.Errorf("after a rotation of keys: %v", err)
	}
}

// TestLogin_Refused: each fault has its error, and no error reveals the code or a secret.
func TestLogin_Refused(t *testing.T) {
	t.Parallel()
	claim := func(name string, value any) func(*oidctest.Server, *provider.Credential) {
		return func(s *oidctest.Server, _ *provider.Credential) {
			s.Change(func(claims map[string]any) { claims[name] = value })
		}
	}
	answer := func(path string, f providertest.Fault) func(*oidctest.Server, *provider.Credential) {
		return func(s *oidctest.Server, _ *provider.Credential) { s.Fail(path, f) }
	}
	for name, c := range map[string]struct {
		prepare func(*oidctest.Server, *provider.Credential)
		want    error
	}{
		"foreign code":     {func(_ *oidctest.Server, c *provider.Credential) { c.Code = "a-code-of-another" }, provider.ErrCodeInvalid},
		"other verifier":   {func(_ *oidctest.Server, c *provider.Credential) { c.Visit.Verifier += "x" }, provider.ErrCodeInvalid},
		"nonce":            {claim("nonce", "another"), provider.ErrCodeInvalid},
		"no nonce":         {claim("nonce", ""), provider.ErrCodeInvalid},
		"iss":              {claim("iss", "https://evil.test"), provider.ErrProviderMisconfigured},
		"aud":              {claim("aud", []string{"other"}), provider.ErrProviderMisconfigured},
		"azp":              {claim("azp", "other"), provider.ErrProviderMisconfigured},
		"expired":          {claim("exp", time.Now().Add(-time.Minute).Unix()), provider.ErrProviderMisconfigured},
		"no sub":           {claim("sub", ""), provider.ErrIdentityIncomplete},
		"alg none":         {answer("/token", providertest.Fault{Body: `{"access_token":"a","id_token":"eyJhbGciOiJub25lIn0.e30."}`}), provider.ErrProviderMisconfigured},
		"no ID token":      {answer("/token", providertest.Fault{Body: `{"access_token":"a"}`}), provider.ErrProviderMisconfigured},
		"invalid_client":   {answer("/token", providertest.Fault{Status: 400, Body: `{"error":"invalid_client"}`}), provider.ErrProviderMisconfigured},
		"401":              {answer("/token", providertest.Fault{Status: 401, Body: `{}`}), provider.ErrProviderMisconfigured},
		"busy":             {answer("/token", providertest.Fault{Status: 503, Body: `{"error":"invalid_grant"}`}), provider.ErrProviderUnavailable},
		"throttled":        {answer("/token", providertest.Fault{Status: 429, Body: `{}`}), provider.ErrProviderUnavailable},
		"HTML":             {answer("/token", providertest.Fault{Status: 200}), provider.ErrProviderUnavailable},
		"redirect":         {answer("/token", providertest.Fault{Status: 307, Body: "x"}), provider.ErrProviderUnavailable},
		"lost":             {answer("/token", providertest.Fault{Lose: true}), provider.ErrProviderUnavailable},
		"endless":          {answer("/keys", providertest.Fault{Body: `{"keys":[],"pad":"` + strings.Repeat("x", 600<<10) + `"}`}), provider.ErrProviderUnavailable},
		"keys unavailable": {answer("/keys", providertest.Fault{Status: 500}), provider.ErrProviderUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, p := open(t, nil)
			code, _ := visitPage(t, p)
			credential := provider.Credential{Code: code, Visit: visit()}
			c.prepare(s, &credential)
			by, err := p.Redirect.Exchange(t.Context(), credential)
			if !errors.Is(err, c.want) || by.Subject != "" || s.Calls("/token") != 1 {
				t.Errorf("%+v, %v after %d exchanges", by, err, s.Calls("/token"))
			}
			var retry *provider.RetryError
			if errors.As(err, &retry) != (c.want == provider.ErrProviderUnavailable) || len(err.Error()) > 700 {
				t.Errorf("retry %v: %v", retry, err)
			}
			for _, hidden := range []string{credential.Code, oidctest.Secret, credential.Visit.Verifier} {
				if strings.Contains(err.Error(), hidden) {
					t.Errorf("the error reveals %s: %v", hidden, err)
				}
			}
		})
	}
}

// TestDiscovery_Retried: a provider that was away, or that hangs, is asked again.
func TestDiscovery_Retried(t *testing.T) {
	t.Parallel()
	s, _, p := open(t, nil)
	const document = "/.well-known/openid-configuration"
	s.Fail(document, providertest.Fault{Status: 502}, providertest.Fault{Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	start := time.Now()
	for range time.Tick(50 * time.Millisecond) {
		_, err := p.Redirect.Authorize(ctx, visit())
		if err == nil {
			break
		}
		if !errors.Is(err, provider.ErrProviderUnavailable) {
			t.Fatal(err)
		}
	}
	if n, took := s.Calls(document), time.Since(start); n != 3 || took > 10*time.Second {
		t.Errorf("%d requests in %v", n, took)
	}
}

func TestFields_Refused(t *testing.T) {
	t.Parallel()
	for field, value := range map[string]string{"issuer": "http://sso.example.com", "scopes": "profile", "page_origins": "https://a.test/x", "client_secret": "in-the-file"} {
		if _, _, _, err := start(t, map[string]string{field: value}); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s %q: %v", field, value, err)
		}
	}
}

func TestCheck_Findings(t *testing.T) {
	t.Parallel()
	s, server, c, err := start(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, step := range map[string]struct {
		fault func()
		want  provider.Severity
	}{
		"good":         {func() {}, provider.OK},
		"wrong secret": {func() { s.Fail("/token", providertest.Fault{Status: 401, Body: `{"error":"invalid_client"}`}) }, provider.Fail},
		"other issuer": {func() {
			s.Fail("/.well-known/openid-configuration", providertest.Fault{Body: `{"issuer":"` + server.URL + `/"}`})
		}, provider.Fail},
	} {
		step.fault()
		found := c.Check(t.Context(), provider.Env{ID: "staff", PublicURL: "https://login.test"})
		if last := found[len(found)-1]; last.Severity != step.want || strings.Contains(last.Text, oidctest.Secret) {
			t.Errorf("%s: %+v", name, found)
		}
	}
}
