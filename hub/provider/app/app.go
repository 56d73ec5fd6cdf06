// Package app is the provider of a company's own app. The code is an assertion of the
// company's back end: a short-lived JWT that names the user and the ticket.
package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"loginhub/hub/provider"
	"loginhub/hub/provider/app/assertion"
)

// Kind returns the kind "app". Fields: jwks_url, issuer.
func Kind() provider.Kind {
	return provider.Kind{
		Name: "app", Label: provider.Label{ZH: "App", EN: "App"}, AppLabel: provider.Label{ZH: "网站的 App", EN: "site’s app"},
		Token:   provider.TokenForm{AMR: "app", Prefix: "app"},
		ByPhone: true, TicketBound: true, PublicURL: true,
		Read: read,
	}
}

// config implements provider.Config.
type config struct{ jwksURL, issuer string }

func read(f *provider.Fields) provider.Config {
	c := config{jwksURL: f.Text("jwks_url", "the URL of your back end's public keys"), issuer: f.Text("issuer", "the iss of your back end's assertions")}
	if c.jwksURL != "" {
		if err := assertion.CheckURL(c.jwksURL); err != nil {
			f.Fail("jwks_url", err)
		}
	}
	return c
}

// Open implements provider.Config.
func (c config) Open(e provider.Env) (provider.Access, error) {
	v, err := assertion.New(assertion.Config{JWKSURL: c.jwksURL, Issuer: c.issuer, Audience: e.Audience, Replays: e.Store})
	return provider.Access{Code: &verifier{v}}, err
}

// verifier implements provider.Exchanger.
type verifier struct{ *assertion.Verifier }

// Exchange implements provider.Exchanger.
func (v *verifier) Exchange(ctx context.Context, p provider.Credential) (provider.Identity, error) {
	c, err := v.Verify(ctx, p.Code, p.Ticket)
	switch {
	case errors.Is(err, assertion.ErrInvalid):
		return provider.Identity{}, fmt.Errorf("%w: %w", provider.ErrCodeInvalid, err)
	case errors.Is(err, assertion.ErrConfig):
		return provider.Identity{}, fmt.Errorf("%w: %w", provider.ErrProviderMisconfigured, err)
	case errors.Is(err, assertion.ErrKeys):
		return provider.Identity{}, fmt.Errorf("%w: %w", provider.ErrProviderUnavailable, err)
	case err != nil:
		return provider.Identity{}, err
	}
	return provider.Identity{Subject: c.Subject, Nickname: c.Name, Picture: c.Picture}, nil
}

// Check implements provider.Config. It fetches the keys, as a node does at the first
// login.
func (c config) Check(ctx context.Context, e provider.Env) []provider.Finding {
	what := e.ID + " keys"
	shown, _, _ := strings.Cut(c.jwksURL, "?") // a query may be a secret; there is no password (assertion.CheckURL)
	usable, err := assertion.NewKeySource(c.jwksURL).Count(ctx)
	if err != nil {
		return []provider.Finding{{Severity: provider.Fail, Subject: what, Text: fmt.Sprintf("%v (%s); jwks_url (LOGINHUB_APP_JWKS_URL) must give the back end's public keys to this machine", err, shown)}}
	}
	return []provider.Finding{{Severity: provider.OK, Subject: what, Text: fmt.Sprintf("%d at %s", usable, shown)}}
}
