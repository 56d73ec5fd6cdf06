// Package oidc is the provider of any OpenID Connect provider, such as Keycloak or
// Microsoft Entra: an authorization code flow with discovery, PKCE and nonce.
//
// The protocol is that of coreos/go-oidc and golang.org/x/oauth2. This package chooses
// its options, bounds its requests and maps its errors.
package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"loginhub/hub/provider"
)

const (
	// callLimit bounds a request, and a whole exchange. A person waits for it.
	callLimit = 5 * time.Second
	// maxAnswer bounds an answer; the largest are lists of keys with their certificates.
	maxAnswer = 512 << 10
)

// Kind returns the kind "oidc". Fields: issuer, client_id, client_secret (none for a
// public client), scopes, name_claim, label, page_origins.
func Kind() provider.Kind {
	return provider.Kind{
		Name: "oidc", Label: provider.Label{ZH: "统一登录", EN: "OpenID"},
		Token:      provider.TokenForm{AMR: "oidc", Prefix: "oidc"},
		ByRedirect: true, PublicURL: true, Calls: "oidc",
		Read: read,
	}
}

// config implements provider.Config.
type config struct {
	id               string // of the provider in the configuration
	issuer, clientID string
	secret           string // "": a public client
	scopes           []string
	nameClaim, label string
	pageOrigins      string
}

func read(f *provider.Fields) provider.Config {
	c := config{id: f.ID, issuer: f.Text("issuer", "the provider's issuer exactly as its discovery document writes it"),
		clientID: f.Text("client_id", "as the provider shows it"), nameClaim: f.Optional("name_claim", "name"), label: f.Optional("label", ""),
		scopes: strings.Fields(f.Optional("scopes", "openid profile")), pageOrigins: f.Optional("page_origins", "")}
	if f.Values["client_secret_file"] != "" || f.Values["client_secret_env"] != "" {
		c.secret = f.Secret("client_secret")
	}
	if err := checkURL(c.issuer); c.issuer != "" && err != nil {
		f.Fail("issuer", err)
	}
	if !slices.Contains(c.scopes, oidc.ScopeOpenID) {
		f.Fail("scopes", errors.New("scopes separated by blanks, openid among them"))
	}
	for _, origin := range strings.Fields(c.pageOrigins) {
		if !pageOrigin.MatchString(origin) {
			f.Fail("page_origins", fmt.Errorf("%.80q: origins such as https://login.example.com, separated by blanks", origin))
		}
	}
	return c
}

var pageOrigin = regexp.MustCompile(`^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$`)

// checkURL returns an error unless the URL is https, or http on this machine.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err == nil && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" {
		ip := net.ParseIP(u.Hostname())
		if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
			return nil
		}
	}
	return errors.New("must be https://HOST[/PATH], without user, query and fragment (http only on this machine)")
}

// Open implements provider.Config.
func (c config) Open(e provider.Env) (provider.Access, error) {
	l := c.login(e)
	if e.Calls != nil {
		for _, call := range []string{callDiscovery, callToken} {
			e.Calls.Start(call, results(call))
		}
	}
	return provider.Access{Redirect: l, Display: provider.Label{ZH: c.label, EN: c.label}}, nil
}

func (c config) login(e provider.Env) *login {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost = 128, 128
	transport.MaxResponseHeaderBytes = 64 << 10
	return &login{config: c, calls: e.Calls, turn: make(chan struct{}, 1), client: &http.Client{
		Transport: bounded{transport}, Timeout: callLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// bounded is a RoundTripper whose answers end with an error after maxAnswer bytes.
type bounded struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.Transport.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	}
	return resp, err
}

// Check implements provider.Config. It reads the discovery document and tries the
// credentials with an invalid code.
func (c config) Check(ctx context.Context, e provider.Env) []provider.Finding {
	what, l := e.ID+" "+c.clientID, c.login(e)
	defer l.client.CloseIdleConnections()
	up, err := l.discover(ctx)
	if err != nil {
		return []provider.Finding{{Severity: provider.Fail, Subject: what, Text: err.Error() + "; open " + c.issuer + "/.well-known/openid-configuration from this machine: its issuer must be exactly the configured one"}}
	}
	found := []provider.Finding{{Severity: provider.OK, Subject: what, Text: "discovery of " + c.issuer}}
	if origin := originOf(up.endpoint.AuthURL); c.pageOrigins == "" && origin != originOf(c.issuer) {
		found = append(found, provider.Finding{Severity: provider.Warn, Subject: what, Text: "its login page is on " + origin + "; set page_origins: " + origin + ", or the first browser of each node cannot open it"})
	}
	_, err = l.Exchange(ctx, provider.Credential{Code: "loginhub-check-is-no-code", Visit: provider.Visit{
		Callback: e.PublicURL + "/api/connect/" + e.ID + "/callback", Verifier: strings.Repeat("loginhub", 6), Issuer: c.issuer}})
	switch {
	case errors.Is(err, provider.ErrCodeInvalid):
		return append(found, provider.Finding{Severity: provider.OK, Subject: what, Text: "the provider accepts client_id and client_secret; whether the redirect URI is registered, only its console shows"})
	case err == nil:
		err = errors.New("the provider accepted an invalid code")
	}
	return append(found, provider.Finding{Severity: provider.Fail, Subject: what, Text: err.Error() + "; compare client_id, client_secret and the redirect URI with the provider's console"})
}

func originOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// Format prints the client's id for every verb, so that no verb prints the secret.
func (c config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.clientID) }
