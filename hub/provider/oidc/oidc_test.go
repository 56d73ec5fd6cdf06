package oidc_test

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"loginhub/hub/provider"
	"loginhub/hub/provider/oidc"
	"loginhub/hub/provider/oidc/oidctest"
	"loginhub/hub/provider/providertest"
)

func fields(change map[string]string) map[string]string {
	all := map[string]string{"issuer": "URL", "client_id": oidctest.ClientID, "client_secret_file": oidctest.Secret}
	maps.Copy(all, change)
	return all
}

func open(t *testing.T, change map[string]string) (*oidctest.Server, *provider.Provider, provider.Config) {
	t.Helper()
	s := oidctest.New(providertest.Options{Host: providertest.Host})
	p, c := providertest.Open(t, oidc.Kind(), s, fields(change))
	return s, p, c
}

func TestLogin_Identity(t *testing.T) {
	t.Parallel()
	s, p, _ := open(t, map[string]string{"label": "Acme"})
	credential := providertest.Visit(t, p.Redirect, "code", "alice")
	by, err := p.Redirect.Exchange(t.Context(), credential)
	if sub, _ := by.Sub(""); err != nil || sub != "oidc:it:sub-alice" || by.Nickname != "alice" || by.Picture != "https://sso.test/alice.png" || p.Kind.Label.EN != "Acme" {
		t.Errorf("%+v is %q %v", by, sub, err)
	}
	page, err := p.Redirect.Authorize(t.Context(), credential.Visit)
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(page)
	if link := at.Query(); err != nil || link.Get("nonce") == link.Get("code_challenge") || strings.Contains(page, credential.Visit.Verifier) || link.Get("scope") != "openid profile" {
		t.Errorf("page %s", page)
	}
	credential = providertest.Visit(t, p.Redirect, "code", "alice")
	if s.Rotate(); s.Calls("/keys") != 1 || s.Calls(document) != 1 {
		t.Error("keys or document are not kept")
	}
	if _, err := p.Redirect.Exchange(t.Context(), credential); err != nil {
		t.Errorf("after a rotation of keys: %v", err)
	}
}

const document = "/.well-known/openid-configuration"

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
		"answer's iss":     {func(_ *oidctest.Server, c *provider.Credential) { c.Visit.Issuer = "https://evil.test" }, provider.ErrCodeInvalid},
		"answer's iss, no": {func(_ *oidctest.Server, c *provider.Credential) { c.Visit.Issuer = "" }, provider.ErrCodeInvalid},
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
			s, p, _ := open(t, nil)
			credential := providertest.Visit(t, p.Redirect, "code", "alice")
			c.prepare(s, &credential)
			by, err := p.Redirect.Exchange(t.Context(), credential)
			exchanges := 1
			if strings.HasPrefix(name, "answer's iss") {
				exchanges = 0
			}
			if !errors.Is(err, c.want) || by.Subject != "" || s.Calls("/token") != exchanges {
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
	s, p, _ := open(t, nil)
	s.Fail(document, providertest.Fault{Status: 502}, providertest.Fault{Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	start := time.Now()
	for range time.Tick(50 * time.Millisecond) {
		_, err := p.Redirect.Authorize(ctx, provider.Visit{})
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
		f := &provider.Fields{Values: fields(map[string]string{"issuer": "https://sso.example.com", field: value}),
			ReadSecret: func(_, content string) (string, error) { return content, nil }}
		oidc.Kind().Read(f)
		if err := f.Err(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s %q: %v", field, value, err)
		}
	}
}

func TestCheck_Findings(t *testing.T) {
	t.Parallel()
	s, _, c := open(t, nil)
	for name, step := range map[string]struct {
		fault func()
		want  provider.Severity
	}{
		"good":         {func() {}, provider.OK},
		"wrong secret": {func() { s.Fail("/token", providertest.Fault{Status: 401, Body: `{"error":"invalid_client"}`}) }, provider.Fail},
		"other issuer": {func() {
			s.Fail(document, providertest.Fault{Body: `{"issuer":"https://evil.test"}`})
		}, provider.Fail},
	} {
		step.fault()
		found := c.Check(t.Context(), provider.Env{ID: "staff", PublicURL: "https://login.test"})
		if last := found[len(found)-1]; last.Severity != step.want || strings.Contains(last.Text, oidctest.Secret) {
			t.Errorf("%s: %+v", name, found)
		}
	}
}
