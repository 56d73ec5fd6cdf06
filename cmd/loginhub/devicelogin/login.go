package devicelogin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Errors of a login that ended without a token.
var (
	ErrDenied  = errors.New("the login was declined on the phone")
	ErrExpired = errors.New("the code has expired before somebody confirmed it; run the command again")
)

// Login is one login.
type Login struct {
	Issuer       string // URL of the OpenID provider
	ClientID     string // a public client with the device grant
	Scope        string // space-separated; with openid the answer has an ID token
	InsecureHTTP bool   // allow an http issuer that is not on this machine
	HTTP         *http.Client
	Screen       Screen
}

// Token is the answer to a login.
type Token struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in,omitempty"` // seconds
	IDToken      string `json:"id_token,omitempty"`   // its signature and claims were checked
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
}

// Run shows the code and waits until the person has confirmed it on the phone. Errors:
// ErrDenied, ErrExpired, the context's, and those of the provider.
func (l *Login) Run(ctx context.Context) (*Token, error) {
	if err := l.checkURL("issuer", l.Issuer); err != nil {
		return nil, err
	}
	at, err := l.discover(ctx)
	if err != nil {
		return nil, err
	}
	code, err := l.authorizeDevice(ctx, at)
	if err != nil {
		return nil, err
	}
	l.Screen.show(code)
	token, err := l.wait(ctx, at, code)
	if err != nil {
		return nil, err
	}
	if token.IDToken == "" {
		return token, nil
	}
	if err := l.verify(ctx, at, token.IDToken); err != nil {
		return nil, fmt.Errorf("id token: %w", err)
	}
	return token, nil
}

// checkURL refuses a URL that is not https, unless it is on this machine.
func (l *Login) checkURL(what, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return fmt.Errorf("%s: not a URL like https://login.example.com, without a user", what) // it may have a password
	}
	host := u.Hostname()
	local := host == "localhost" || host == "127.0.0.1" || host == "::1"
	if u.Scheme != "https" && !(u.Scheme == "http" && (local || l.InsecureHTTP)) {
		return fmt.Errorf("%s %.200q: not https; anybody on the network path could read the tokens (--insecure-http allows it)", what, text)
	}
	return nil
}

// Bounds of the pause between two polls after an error of the network or the provider.
const (
	firstBackoff = time.Second
	lastBackoff  = 30 * time.Second
)

// wait polls the token endpoint until there is an answer (RFC 8628, section 3.5). The
// first poll begins at once: a provider that holds it answers as soon as the person has
// confirmed. Two polls begin at least the interval apart.
func (l *Login) wait(ctx context.Context, at *endpoints, code *deviceCode) (*Token, error) {
	interval := time.Duration(code.Interval) * time.Second
	if interval <= 0 {
		interval = 5 * time.Second // section 3.2
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(code.ExpiresIn)*time.Second, ErrExpired)
	defer cancel()
	backoff := firstBackoff
	for {
		began := time.Now()
		token, err := l.poll(ctx, at, code)
		pause := interval - time.Since(began)
		var refused *oauthError
		switch {
		case err == nil:
			return token, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case !errors.As(err, &refused) || refused.status >= 500 || refused.status == http.StatusTooManyRequests:
			pause = max(pause, backoff)
			backoff = min(2*backoff, lastBackoff)
		case refused.Code == "authorization_pending":
			backoff = firstBackoff
		case refused.Code == "slow_down":
			interval += 5 * time.Second
			pause += 5 * time.Second
		case refused.Code == "access_denied":
			return nil, ErrDenied
		case refused.Code == "expired_token":
			return nil, ErrExpired
		default:
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Screen is where the person reads the code.
type Screen struct {
	Out io.Writer
	// Columns is the terminal's width; 0 if Out is no terminal that can draw a QR code.
	Columns int
}
