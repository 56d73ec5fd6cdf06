package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"loginhub/api/gate"
	"loginhub/hub/client"
	"loginhub/hub/provider/app/assertion"
)

const (
	// maxAssertionLife bounds how long the jti of an assertion is kept.
	maxAssertionLife = 10 * time.Minute
	assertionLeeway  = 30 * time.Second
	maxAssertion     = 8 << 10 // bytes
	maxAssertionID   = 256     // bytes of the jti
)

// assertionAlgorithms are all asymmetric: a public key must never be taken for the secret
// of an HMAC (RFC 8725, section 2.1).
var assertionAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA}

// assertions authenticates clients by signed assertions, private_key_jwt (RFC 7523).
type assertions struct {
	states gate.StateStore
	issuer string
	log    *slog.Logger

	mu      sync.Mutex
	sources map[string]*assertion.KeySource // by jwks_uri of the clients file
}

// authenticate returns the client that has signed the assertion. With an error it returns
// the client that the assertion names, if there is one.
func (a *assertions) authenticate(ctx context.Context, cfg *gate.Config, sent credentials, endpoint string) (*client.Client, error) {
	if len(sent.assertion) > maxAssertion {
		return nil, errClient
	}
	parsed, err := jwt.ParseSigned(sent.assertion, assertionAlgorithms)
	if err != nil || len(parsed.Headers) != 1 {
		return nil, errClient
	}
	var claims jwt.Claims
	if parsed.UnsafeClaimsWithoutVerification(&claims) != nil { // only to find the client; verified below
		return nil, errClient
	}
	site := cfg.ClientByID[claims.Subject]
	if site == nil || site.JWKS == nil && site.JWKSURI == "" || claims.Issuer != site.ID || sent.id != "" && sent.id != site.ID {
		return site, errClient
	}
	keys, err := a.keys(ctx, site, parsed.Headers[0].KeyID)
	if err != nil {
		return site, err
	}
	if !signedByOne(parsed, keys) || !a.valid(claims, endpoint) {
		return site, errClient
	}
	sum := sha256.Sum256([]byte(site.ID + "\x00" + claims.ID))
	first, err := a.states.SetNX(ctx, "client_jti:"+base64.RawURLEncoding.EncodeToString(sum[:16]), maxAssertionLife+2*assertionLeeway)
	if err != nil {
		return site, err
	}
	if !first {
		return site, errClient
	}
	return site, nil
}

// valid checks the claims of an assertion, except the first use of its jti.
func (a *assertions) valid(claims jwt.Claims, endpoint string) bool {
	now := a.states.Now()
	if claims.Expiry == nil || claims.ID == "" || len(claims.ID) > maxAssertionID ||
		!claims.Audience.Contains(a.issuer) && !claims.Audience.Contains(a.issuer+endpoint) && !claims.Audience.Contains(a.issuer+tokenPath) {
		return false
	}
	ends := claims.Expiry.Time()
	if !now.Before(ends.Add(assertionLeeway)) || ends.After(now.Add(maxAssertionLife+assertionLeeway)) {
		return false
	}
	for _, begins := range []*jwt.NumericDate{claims.NotBefore, claims.IssuedAt} {
		if begins != nil && begins.Time().After(now.Add(assertionLeeway)) {
			return false
		}
	}
	return true
}

// keys returns the client's keys that may have signed. Only the clients file names a
// jwks_uri: a request cannot make the hub call another server.
func (a *assertions) keys(ctx context.Context, site *client.Client, kid string) ([]jose.JSONWebKey, error) {
	if site.JWKS != nil {
		all, err := assertion.ParseJWKS(site.JWKS)
		if err != nil {
			return nil, err
		}
		var found []jose.JSONWebKey
		for _, key := range all {
			if kid == "" || key.KeyID == kid {
				found = append(found, key)
			}
		}
		return found, nil
	}
	a.mu.Lock()
	source := a.sources[site.JWKSURI]
	if source == nil {
		source = assertion.NewKeySource(site.JWKSURI)
		a.sources[site.JWKSURI] = source
	}
	a.mu.Unlock()
	found, err := source.Find(ctx, kid)
	if errors.Is(err, assertion.ErrKeys) {
		a.log.WarnContext(ctx, "the client's jwks_uri cannot be fetched", "client", site.ID, "error", err)
		return nil, err
	}
	return found, nil // without usable keys the authentication fails
}

// signedByOne reports whether one of the keys has signed.
func signedByOne(parsed *jwt.JSONWebToken, keys []jose.JSONWebKey) bool {
	for _, key := range keys {
		if key.Algorithm != "" && key.Algorithm != parsed.Headers[0].Algorithm {
			continue
		}
		if parsed.Claims(key.Key) == nil {
			return true
		}
	}
	return false
}
