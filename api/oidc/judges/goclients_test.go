package judges

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	hashicorpoidc "github.com/hashicorp/cap/oidc"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	zoidc "github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"

	"loginhub/hub/hubtest"
)

// callback is the redirect URI of the clients that run in this process. No server is there:
// the browser stops before it.
const callback = "http://127.0.0.1:9/callback"

const goClients = `
clients:
  - id: site
    secret_file: {secret}
    redirect_uris: [http://127.0.0.1:9/callback]
    post_logout_redirect_uris: [http://127.0.0.1:9/]
    backchannel_logout_uri: {logout}
    claims: {email: "{sub}@wechat.example.com", groups: [staff]}
`

// attempt is one login of a client: the URL to open, and what the client does with the URL
// to which the browser comes back.
type attempt struct {
	url    string
	finish func(back *url.URL) (login, error)
}

// login is what a client has verified.
type login struct{ subject, email, idToken, accessToken string }

// client is an independent implementation of a relying party. begin starts a login;
// expectNonce is the nonce that it will demand, "" for the one that it sent.
type client func(t *testing.T, h *Hub) (begin func(expectNonce string) attempt)

var goClientList = map[string]client{
	"coreos/go-oidc": goOIDC, "zitadel/oidc": zitadel, "hashicorp/cap": hashicorp,
}

// TestGoClients_Login logs in with each client, with a wrong nonce, with a code that was
// used, and after the keys were rotated.
func TestGoClients_Login(t *testing.T) {
	t.Parallel()
	for name, client := range goClientList {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startHub(t, withLogout(goClients, "http://127.0.0.1:9/logout"))
			begin := client(t, h)
			b := newBrowser(t, h, "ming")
			try := func(nonce string) (attempt, *url.URL) {
				a := begin(nonce)
				return a, b.Open(a.url, callback).URL
			}
			a, back := try("")
			got, err := a.finish(back)
			if err != nil || got.subject != "sandbox:ming" || got.email != "sandbox:ming@wechat.example.com" {
				t.Fatalf("login: %+v, %v", got, err)
			}
			if back.Query().Get("iss") != h.Issuer {
				t.Errorf("iss of the answer is %q", back.Query().Get("iss"))
			}
			if _, err := a.finish(back); err == nil {
				t.Error("a code was accepted twice")
			}
			if a, back = try("another-nonce"); true {
				if got, err := a.finish(back); err == nil {
					t.Errorf("a wrong nonce was accepted: %+v", got)
				}
			}
			h.rotate(t, hubtest.Key, hubtest.OtherKey)
			h.rotate(t, hubtest.OtherKey, hubtest.Key)
			if a, back = try(""); true {
				if got, err := a.finish(back); err != nil || got.subject != "sandbox:ming" {
					t.Errorf("after the keys were rotated: %+v, %v", got, err)
				}
			}
		})
	}
}

func withLogout(clients, uri string) string {
	return strings.ReplaceAll(clients, "{logout}", uri)
}

func discover(t *testing.T, h *Hub) *oidc.Provider {
	t.Helper()
	p, err := oidc.NewProvider(t.Context(), h.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func goOIDC(t *testing.T, h *Hub) func(string) attempt {
	p := discover(t, h)
	c := oauth2.Config{ClientID: "site", ClientSecret: secret, Endpoint: p.Endpoint(), RedirectURL: callback,
		Scopes: []string{oidc.ScopeOpenID, "profile", "email"}}
	return func(expect string) attempt {
		state, nonce, verifier := oauth2.GenerateVerifier(), oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
		if expect == "" {
			expect = nonce
		}
		finish := func(back *url.URL) (l login, err error) {
			if back.Query().Get("state") != state {
				return l, errors.New("wrong state")
			}
			tokens, err := c.Exchange(t.Context(), back.Query().Get("code"), oauth2.VerifierOption(verifier))
			if err != nil {
				return l, err
			}
			l.idToken, _ = tokens.Extra("id_token").(string)
			verified, err := p.VerifierContext(t.Context(), &oidc.Config{ClientID: "site"}).Verify(t.Context(), l.idToken)
			if err != nil {
				return l, err
			}
			if verified.Nonce != expect {
				return l, errors.New("wrong nonce")
			}
			if err := verified.VerifyAccessToken(tokens.AccessToken); err != nil {
				return l, fmt.Errorf("at_hash: %w", err)
			}
			info, err := p.UserInfo(t.Context(), oauth2.StaticTokenSource(tokens))
			if err != nil {
				return l, err
			}
			l.accessToken, l.subject, l.email = tokens.AccessToken, verified.Subject, info.Email
			if info.Subject != verified.Subject {
				err = errors.New("userinfo is about another user")
			}
			return l, err
		}
		return attempt{c.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), finish}
	}
}

func zitadel(t *testing.T, h *Hub) func(string) attempt {
	type nonceKey struct{}
	site, err := rp.NewRelyingPartyOIDC(t.Context(), h.Issuer, "site", secret, callback, []string{"openid", "profile", "email"},
		rp.WithVerifierOpts(rp.WithNonce(func(ctx context.Context) string { return ctx.Value(nonceKey{}).(string) })))
	if err != nil {
		t.Fatal(err)
	}
	return func(expect string) attempt {
		state, nonce, verifier := oauth2.GenerateVerifier(), oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
		if expect == "" {
			expect = nonce
		}
		to := rp.AuthURL(state, site, rp.WithCodeChallenge(oauth2.S256ChallengeFromVerifier(verifier)), rp.AuthURLOpt(rp.WithURLParam("nonce", nonce)))
		return attempt{to, func(back *url.URL) (l login, err error) {
			ctx := context.WithValue(t.Context(), nonceKey{}, expect)
			tokens, err := rp.CodeExchange[*zoidc.IDTokenClaims](ctx, back.Query().Get("code"), site, rp.WithCodeVerifier(verifier))
			if err != nil {
				return l, err
			}
			info, err := rp.Userinfo[*zoidc.UserInfo](ctx, tokens.AccessToken, tokens.TokenType, tokens.IDTokenClaims.Subject, site)
			if err != nil {
				return l, err
			}
			return login{tokens.IDTokenClaims.Subject, info.Email, tokens.IDToken, tokens.AccessToken}, nil
		}}
	}
}

func hashicorp(t *testing.T, h *Hub) func(string) attempt {
	c, err := hashicorpoidc.NewConfig(h.Issuer, "site", secret, []hashicorpoidc.Alg{hashicorpoidc.RS256}, []string{callback})
	if err != nil {
		t.Fatal(err)
	}
	p, err := hashicorpoidc.NewProvider(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Done)
	return func(expect string) attempt {
		verifier, err := hashicorpoidc.NewCodeVerifier()
		if err != nil {
			t.Fatal(err)
		}
		nonce := oauth2.GenerateVerifier()
		asked, err := hashicorpoidc.NewRequest(time.Minute, callback, hashicorpoidc.WithPKCE(verifier), hashicorpoidc.WithNonce(nonce), hashicorpoidc.WithScopes("profile", "email"))
		if err != nil {
			t.Fatal(err)
		}
		to, err := p.AuthURL(t.Context(), asked)
		if err != nil {
			t.Fatal(err)
		}
		if expect != "" { // the same request, of which the client remembers another nonce
			if asked, err = hashicorpoidc.NewRequest(time.Minute, callback, hashicorpoidc.WithPKCE(verifier), hashicorpoidc.WithNonce(expect), hashicorpoidc.WithState(asked.State())); err != nil {
				t.Fatal(err)
			}
		}
		return attempt{to, func(back *url.URL) (l login, err error) {
			q := back.Query()
			tokens, err := p.Exchange(t.Context(), asked, q.Get("state"), q.Get("code"))
			if err != nil {
				return l, err
			}
			var id, info struct{ Sub, Email string }
			if err := tokens.IDToken().Claims(&id); err != nil {
				return l, err
			}
			if err := p.UserInfo(t.Context(), tokens.StaticTokenSource(), id.Sub, &info); err != nil {
				return l, err
			}
			return login{id.Sub, info.Email, string(tokens.IDToken()), string(tokens.AccessToken())}, nil
		}}
	}
}

// TestGoClients_Logout checks the logout at the hub: the way back to the site, and the
// logout token that go-oidc verifies.
func TestGoClients_Logout(t *testing.T) {
	t.Parallel()
	logouts := make(chan string, 4)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { logouts <- r.FormValue("logout_token") }))
	t.Cleanup(site.Close)
	h := startHub(t, withLogout(goClients, site.URL+"/logout"))
	b := newBrowser(t, h, "ming")
	a := goOIDC(t, h)("")
	got, err := a.finish(b.Open(a.url, callback).URL)
	if err != nil {
		t.Fatal(err)
	}
	var meta struct {
		End string `json:"end_session_endpoint"`
	}
	if err := discover(t, h).Claims(&meta); err != nil {
		t.Fatal(err)
	}
	back := b.Open(meta.End+"?"+url.Values{"id_token_hint": {got.idToken}, "post_logout_redirect_uri": {"http://127.0.0.1:9/"}, "state": {"s1"}}.Encode(), "http://127.0.0.1:9/")
	if back.URL.Query().Get("state") != "s1" {
		t.Errorf("the browser came back to %s", back.URL)
	}
	select {
	case token := <-logouts:
		verifier := discover(t, h).VerifierContext(t.Context(), &oidc.Config{ClientID: "site"})
		out, err := verifier.VerifyLogout(t.Context(), token)
		if err != nil || out.Subject != got.subject || out.SessionID == "" {
			t.Errorf("logout token: %+v, %v", out, err)
		}
	case <-time.After(20 * time.Second):
		t.Error("no logout token came")
	}
}

// TestGoClients_Device logs in with the device grant of x/oauth2 and of zitadel/oidc.
func TestGoClients_Device(t *testing.T) {
	t.Parallel()
	h := startHub(t, "clients: [{id: tv, grants: [device_code]}]")
	p := discover(t, h)
	c := oauth2.Config{ClientID: "tv", Endpoint: p.Endpoint(), Scopes: []string{"openid"}}
	phone := hubtest.NewPhone("ming")
	for name, wait := range map[string]func(*oauth2.DeviceAuthResponse) (string, error){
		"x/oauth2": func(d *oauth2.DeviceAuthResponse) (string, error) {
			tokens, err := c.DeviceAccessToken(t.Context(), d)
			if err != nil {
				return "", err
			}
			id, _ := tokens.Extra("id_token").(string)
			return id, nil
		},
		"zitadel/oidc": func(d *oauth2.DeviceAuthResponse) (string, error) {
			site, err := rp.NewRelyingPartyOIDC(t.Context(), h.Issuer, "tv", "", "", nil)
			if err != nil {
				return "", err
			}
			tokens, err := rp.DeviceAccessToken(t.Context(), d.DeviceCode, time.Duration(d.Interval)*time.Second, site)
			if err != nil {
				return "", err
			}
			return tokens.IDToken, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := c.DeviceAuth(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			link, err := url.Parse(d.VerificationURIComplete)
			if err != nil || len(link.Path) < 25 {
				t.Fatalf("link %q: %v", d.VerificationURIComplete, err)
			}
			confirmed := make(chan error, 1)
			go func() { confirmed <- hubtest.CallOK(t.Context(), phone, h.Issuer, link.Path[len("/s/"):], "confirm") }()
			id, err := wait(d)
			if err := errors.Join(err, <-confirmed); err != nil {
				t.Fatal(err)
			}
			verified, err := p.VerifierContext(t.Context(), &oidc.Config{ClientID: "tv"}).Verify(t.Context(), id)
			if err != nil || verified.Subject != "sandbox:ming" {
				t.Errorf("%+v, %v", verified, err)
			}
		})
	}
}
