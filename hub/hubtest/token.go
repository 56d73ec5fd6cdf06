package hubtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// VerifyToken verifies a login token with the published keys, as a site's back end does.
// It returns the token's header and claims.
func VerifyToken(jwks []byte, token string) (header jose.Header, claims map[string]any, err error) {
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(jwks, &keys); err != nil {
		return header, nil, fmt.Errorf("published keys %s: %w", jwks, err)
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.EdDSA, jose.RS256})
	if err != nil {
		return header, nil, fmt.Errorf("token %q: %w", token, err)
	}
	header = parsed.Headers[0]
	if typ := header.ExtraHeaders[jose.HeaderType]; typ != "login+jwt" {
		return header, nil, fmt.Errorf("a token of type %v", typ)
	}
	return header, claims, parsed.Claims(keys, &claims)
}

// PageKey is the key pair of a page that asks for an encrypted token.
type PageKey struct{ private *ecdsa.PrivateKey }

// NewPageKey returns a new key pair.
func NewPageKey() (k PageKey, err error) {
	k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return k, err
}

// JWK returns the public key, which a page sends as `jwk`.
func (k PageKey) JWK() jose.JSONWebKey { return jose.JSONWebKey{Key: &k.private.PublicKey} }

// Decrypt returns the JWT in an encrypted token, whose header must be that of the protocol.
func (k PageKey) Decrypt(token string) (string, error) {
	jwe, err := jose.ParseEncryptedCompact(token, []jose.KeyAlgorithm{jose.ECDH_ES}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return "", fmt.Errorf("encrypted token %q: %w", token, err)
	}
	if cty := jwe.Header.ExtraHeaders[jose.HeaderContentType]; cty != "JWT" {
		return "", fmt.Errorf("encrypted token with cty %v", cty)
	}
	text, err := jwe.Decrypt(k.private)
	return string(text), err
}
