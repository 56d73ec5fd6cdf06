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

// MaxJWKSBytes bounds a JWKS in bytes: some hundred keys with their certificates.
const MaxJWKSBytes = 512 << 10

// ParseJWKS reads the keys of a JWKS that can verify an assertion. Each key is read
// by itself: a key that is malformed or not understood is ignored and disables no
// other (RFC 7517, section 5).
func ParseJWKS(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	body = bytes.TrimPrefix(body, []byte("\ufeff")) // a file that an editor has saved
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

// parseKey reads a public key that may verify one of the algorithms.
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
	// Certificates are not used. One that Go does not parse must not disable its key.
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
