package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// LoginMethods is what a client's login page offers: its QR codes, the link for
// phones, and the providers that can confirm.
type LoginMethods struct {
	// QR is the content of the QR code, with the placeholder {ticket}. "" means
	// the link PublicURL/s/{ticket}.
	QR string
	// MiniProgramCodes makes mini-program codes, which replace the QR code;
	// nil: none.
	MiniProgramCodes MiniProgramCodes
	// LaunchURL is the link, with the placeholder {ticket}, that opens the
	// mini-program on a phone without a scan; "" for none.
	LaunchURL string
	Providers map[string]Provider // of phones, by name
	WebLogin  RedirectProvider    // nil: none
}

// MiniProgramCodes makes mini-program codes.
type MiniProgramCodes interface {
	// Code returns a picture, JPEG or PNG. Its errors are those of a Provider.
	Code(ctx context.Context, id ticket.ID) ([]byte, error)
}

// RedirectProvider is WeChat's official website login (OAuth 2.0).
type RedirectProvider interface {
	// Authorize returns the URL of WeChat's page, which sends the browser back
	// to redirect.
	Authorize(redirect, state, lang string) string
	// Origin returns the origin of WeChat's page.
	Origin() string
	// Provider exchanges the code that the browser brings back.
	Provider
}

// StateStore stores small values for all nodes. They are encrypted and
// authenticated.
type StateStore interface {
	Now() time.Time // the clock that all nodes share
	Save(ctx context.Context, name string, value []byte, life time.Duration) error
	// Take returns a value and deletes it, so that one caller gets it; nil if
	// there is none.
	Take(ctx context.Context, name string) ([]byte, error)
}

// loginMethods returns the client's own methods, or those of the deployment.
func (cfg *activeConfig) loginMethods(client string) LoginMethods {
	methods, own := cfg.LoginMethods[client]
	if !own {
		methods = LoginMethods{QR: cfg.QR, MiniProgramCodes: cfg.MiniProgramCodes, LaunchURL: cfg.LaunchURL, Providers: cfg.Providers, WebLogin: cfg.WebLogin}
	}
	if methods.QR == "" {
		methods.QR = cfg.publicURL + "/s/{ticket}"
	}
	return methods
}

// launchURL returns the link that opens the app of the client's logins on the
// phone that shows the page: the mini-program, the own app by the URL of its QR
// code, or the sandbox's phone; "" if there is none.
func (cfg *activeConfig) launchURL(site *client.Client, id ticket.ID) string {
	methods := cfg.loginMethods(site.ID)
	link := ""
	switch {
	case methods.LaunchURL != "" && site.AllowsProvider("wechat"):
		link = methods.LaunchURL
	case cfg.Sandbox || !strings.HasPrefix(methods.QR, cfg.publicURL+"/s/") && methods.MiniProgramCodes == nil:
		link = methods.QR
	}
	return strings.ReplaceAll(link, "{ticket}", string(id))
}

// scanWith returns the names of the providers whose app scans the client's code,
// in order.
func (cfg *activeConfig) scanWith(site *client.Client) (names []string) {
	for name := range cfg.loginMethods(site.ID).Providers {
		if site.AllowsProvider(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// hasProvider reports whether any client accepts that provider from its phones.
func (cfg *activeConfig) hasProvider(provider string) bool {
	if cfg.Providers[provider] != nil {
		return true
	}
	for _, methods := range cfg.LoginMethods {
		if methods.Providers[provider] != nil {
			return true
		}
	}
	return false
}
