package oidc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"loginhub/hub/provider"
)

// The calls, as metrics name them.
const (
	callDiscovery = "discovery"
	callToken     = "token"
)

// login implements provider.Redirector.
type login struct {
	// Fixed after Open.
	config
	client *http.Client
	calls  provider.CallMetrics

	turn  chan struct{} // held by the request for the discovery document
	found atomic.Pointer[discovery]
}

// Authorize implements provider.Redirector.
func (l *login) Authorize(ctx context.Context, v provider.Visit) (string, error) {
	up, err := l.discover(ctx)
	if err != nil {
		return "", err
	}
	return l.oauth(up, v).AuthCodeURL(v.State, oidc.Nonce(nonce(v)), oauth2.S256ChallengeOption(v.Verifier)), nil
}

// Origin implements provider.Redirector. Before the first discovery it returns that of
// the issuer.
func (l *login) Origin() string {
	origin := originOf(l.issuer)
	if d := l.found.Load(); d != nil && d.up != nil {
		origin = originOf(d.up.endpoint.AuthURL)
	}
	return strings.TrimSpace(origin + " " + l.pageOrigins)
}

func (l *login) oauth(up *upstream, v provider.Visit) *oauth2.Config {
	return &oauth2.Config{ClientID: l.clientID, ClientSecret: l.secret, Endpoint: up.endpoint, RedirectURL: v.Callback, Scopes: l.scopes}
}

// nonce returns the nonce of a visit: a value that the verifier gives, and that does not
// give the verifier.
func nonce(v provider.Visit) string {
	sum := sha256.Sum256([]byte("loginhub nonce " + v.Verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Exchange implements provider.Exchanger. The code is sent once.
func (l *login) Exchange(ctx context.Context, p provider.Credential) (provider.Identity, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, l.client), callLimit)
	defer cancel()
	up, err := l.discover(ctx)
	if err != nil {
		return provider.Identity{}, err
	}
	// A code that another provider issued is not sent to this one (RFC 9207, section 2.4).
	if iss := p.Visit.Issuer; iss != l.issuer && (iss != "" || up.namesItself) {
		return provider.Identity{}, fmt.Errorf("%w: the answer's iss is not %s", provider.ErrCodeInvalid, l.issuer)
	}
	start := time.Now()
	tokens, err := l.oauth(up, p.Visit).Exchange(ctx, p.Code, oauth2.VerifierOption(p.Visit.Verifier))
	code, err := l.mapError(err, p)
	l.observe(ctx, callToken, err, code, start)
	if err != nil {
		return provider.Identity{}, err
	}
	raw, _ := tokens.Extra("id_token").(string)
	if raw == "" {
		return provider.Identity{}, misconfigured("the token endpoint gave no ID token")
	}
	return l.verify(ctx, up, raw, p.Visit)
}

// verify checks the ID token (OpenID Connect Core 1.0, section 3.1.3.7).
func (l *login) verify(ctx context.Context, up *upstream, raw string, v provider.Visit) (provider.Identity, error) {
	keys := &keySet{RemoteKeySet: up.keys}
	token, err := oidc.NewVerifier(l.issuer, keys, &oidc.Config{ClientID: l.clientID, SupportedSigningAlgs: up.algorithms}).Verify(ctx, raw)
	if keys.unread != nil {
		return provider.Identity{}, withRetry(fmt.Errorf("%w: keys: %.300w", provider.ErrProviderUnavailable, keys.unread))
	}
	var claims map[string]any
	if err == nil {
		err = token.Claims(&claims)
	}
	if err != nil {
		return provider.Identity{}, misconfigured("ID token: %.300w", err)
	}
	if azp, given := claims["azp"]; given && azp != l.clientID {
		return provider.Identity{}, misconfigured("ID token: azp names another client")
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce(v))) != 1 {
		return provider.Identity{}, fmt.Errorf("%w: the ID token's nonce is of another login", provider.ErrCodeInvalid)
	}
	if token.Subject == "" {
		return provider.Identity{}, fmt.Errorf("%w: the ID token has no sub", provider.ErrIdentityIncomplete)
	}
	name, _ := claims[l.nameClaim].(string)
	picture, _ := claims["picture"].(string)
	return provider.Identity{Realm: l.id, Subject: token.Subject, Nickname: name, Picture: picture}, nil
}

// keySet records that the keys could not be read: the verifier's error has lost it.
type keySet struct {
	*oidc.RemoteKeySet
	unread error
}

// VerifySignature implements oidc.KeySet. RemoteKeySet wraps the errors of its request
// only.
func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.RemoteKeySet.VerifySignature(ctx, jwt)
	if err != nil && errors.Unwrap(err) != nil {
		k.unread = err
	}
	return payload, err
}

// reactions are the error codes of token endpoints (RFC 6749, section 5.2).
func reactions() map[string]error {
	return map[string]error{
		"invalid_grant":           provider.ErrCodeInvalid,
		"invalid_client":          provider.ErrProviderMisconfigured,
		"invalid_request":         provider.ErrProviderMisconfigured,
		"invalid_scope":           provider.ErrProviderMisconfigured,
		"unauthorized_client":     provider.ErrProviderMisconfigured,
		"unsupported_grant_type":  provider.ErrProviderMisconfigured,
		"server_error":            provider.ErrProviderUnavailable,
		"temporarily_unavailable": provider.ErrProviderUnavailable,
	}
}

// mapError maps an error of a token endpoint, and returns its code for metrics.
func (l *login) mapError(err error, p provider.Credential) (code string, mapped error) {
	var refused *oauth2.RetrieveError
	if err == nil {
		return "ok", nil
	}
	if !errors.As(err, &refused) {
		return provider.NetworkCode(err), withRetry(fmt.Errorf("%w: token endpoint: %w", provider.ErrProviderUnavailable, err))
	}
	status := refused.Response.StatusCode
	meaning, known := reactions()[refused.ErrorCode]
	code = refused.ErrorCode
	switch {
	case status >= 500 || status == http.StatusTooManyRequests:
		meaning = provider.ErrProviderUnavailable
	case known:
	case status == http.StatusUnauthorized:
		meaning = provider.ErrProviderMisconfigured
	default:
		meaning = provider.ErrProviderUnavailable
	}
	if code == "" {
		code = "none"
	} else if !known {
		code = "other"
	}
	// The provider's text may quote what it was sent.
	text := provider.CleanText(refused.ErrorDescription, 256)
	for _, hidden := range []string{p.Code, p.Visit.Verifier, l.secret} {
		for _, form := range []string{hidden, url.QueryEscape(hidden)} {
			if hidden != "" && strings.Contains(text, form) {
				text = "(its text contains the code or a secret)"
			}
		}
	}
	return code, withRetry(fmt.Errorf("%w: token endpoint: status %d, %.40q: %s", meaning, status, refused.ErrorCode, text))
}

func misconfigured(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{provider.ErrProviderMisconfigured}, args...)...)
}

// withRetry adds to a temporary error the time of the next attempt.
func withRetry(err error) error {
	if errors.Is(err, provider.ErrProviderUnavailable) {
		return &provider.RetryError{After: 2 * time.Second, Err: err}
	}
	return err
}

// results returns how a call may end.
func results(call string) []provider.CallResult {
	all := []provider.CallResult{result(nil, "ok"), result(provider.ErrProviderMisconfigured, "none")}
	for _, code := range provider.NetworkCodes() {
		all = append(all, result(provider.ErrProviderUnavailable, code))
	}
	if call == callToken {
		all = append(all, result(provider.ErrProviderUnavailable, "other"))
		for code, meaning := range reactions() {
			all = append(all, result(meaning, code))
		}
	}
	return all
}

func result(err error, code string) provider.CallResult {
	switch {
	case err == nil:
		return provider.CallResult{Code: code, Reaction: "ok"}
	case errors.Is(err, provider.ErrCodeInvalid):
		return provider.CallResult{Code: code, Reaction: "code"}
	case errors.Is(err, provider.ErrProviderMisconfigured):
		return provider.CallResult{Code: code, Reaction: "config"}
	}
	return provider.CallResult{Code: code, Reaction: "busy"}
}

// observe counts a call.
func (l *login) observe(ctx context.Context, call string, err error, code string, start time.Time) {
	if l.calls != nil {
		l.calls.Observe(ctx, call, result(err, code), time.Since(start))
	}
}
