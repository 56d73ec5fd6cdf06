package api

import (
	"context"
	"time"

	"loginhub/hub/ticket"
)

// LoginMethods is how a client's logins look and who confirms them.
type LoginMethods struct {
	// QR is what the code holds, with {ticket} in it; "" means the link
	// PublicURL/s/{ticket}.
	QR string
	// MiniProgramCodes makes mini-program codes in place of QR; nil: QR is drawn.
	MiniProgramCodes MiniProgramCodes
	// LaunchURL is the link, with {ticket} in it, by which a phone opens the
	// mini-program without scanning; "" for none.
	LaunchURL string
	Providers map[string]Provider // of phones
	WebLogin  RedirectProvider    // WeChat's official website login; nil: none
}

// MiniProgramCodes makes mini-program codes.
type MiniProgramCodes interface {
	// Code gives a picture, JPEG or PNG; errors are as a Provider's.
	Code(ctx context.Context, id ticket.ID) ([]byte, error)
}

// RedirectProvider is WeChat's official website login.
type RedirectProvider interface {
	// Authorize is the URL of WeChat's page that comes back to redirect.
	Authorize(redirect, state, lang string) string
	// Origin is that page's.
	Origin() string
	// Provider takes the code that the browser brings back.
	Provider
}

// StateStore keeps small values for all nodes, secret and unforgeable.
type StateStore interface {
	Now() time.Time // the nodes' common clock
	Save(ctx context.Context, name string, value []byte, life time.Duration) error
	// Take gives a value to one taker; nil where there is none.
	Take(ctx context.Context, name string) ([]byte, error)
}

// loginMethods is the client's own, or the deployment's.
func (now *activeConfig) loginMethods(client string) LoginMethods {
	site, own := now.LoginMethods[client]
	if !own {
		site = LoginMethods{QR: now.QR, MiniProgramCodes: now.MiniProgramCodes, LaunchURL: now.LaunchURL, Providers: now.Providers, WebLogin: now.WebLogin}
	}
	if site.QR == "" {
		site.QR = now.publicURL + "/s/{ticket}"
	}
	return site
}

// hasProvider reports whether any client has that provider for its phones.
func (now *activeConfig) hasProvider(provider string) bool {
	if now.Providers[provider] != nil {
		return true
	}
	for _, site := range now.LoginMethods {
		if site.Providers[provider] != nil {
			return true
		}
	}
	return false
}
