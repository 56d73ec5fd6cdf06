package assertion

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// MaxJWKSBytes is the largest JWKS that is read: several hundred keys with their
// certificates.
const MaxJWKSBytes = 512 << 10

// ParseJWKS returns the keys of a JWKS that can verify an assertion. Each key is
// parsed on its own: a malformed or unknown key is ignored and disables no other
// (RFC 7517, section 5). The list may be empty.
func ParseJWKS(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	body = bytes.TrimPrefix(body, []byte("\ufeff")) // some editors write it
	if err := json.Unmarshal(body, &set); err != nil || set.Keys == nil {
		return nil, errors.New("not a JWKS: expected a JSON object with a list 'keys'")
	}
	var found []jose.JSONWebKey
	for _, raw := range set.Keys {
		if key, ok := parseKey(raw); ok {
			found = append(found, key)
		}
	}
	return found, nil
}

// parseKey parses a public key of one of the algorithms that may verify signatures.
func parseKey(raw json.RawMessage) (key jose.JSONWebKey, ok bool) {
	var members map[string]json.RawMessage
	var allowed struct {
		Use        string   `json:"use"`
		Operations []string `json:"key_ops"`
	}
	if json.Unmarshal(raw, &members) != nil || json.Unmarshal(raw, &allowed) != nil {
		return key, false
	}
	if allowed.Use != "" && allowed.Use != "sig" || allowed.Operations != nil && !slices.Contains(allowed.Operations, "verify") {
		return key, false
	}
	// Certificates are not used. An unparsable one must not disable its key.
	for _, name := range []string{"x5c", "x5u", "x5t", "x5t#S256"} {
		delete(members, name)
	}
	plain, err := json.Marshal(members)
	if err != nil || key.UnmarshalJSON(plain) != nil || !key.Valid() {
		return key, false
	}
	switch public := key.Key.(type) {
	case *ecdsa.PublicKey:
		return key, public.Curve == elliptic.P256()
	case *rsa.PublicKey:
		return key, public.N.BitLen() >= minRSABits
	case ed25519.PublicKey:
		return key, true
	}
	return key, false
}
