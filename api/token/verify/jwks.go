package verify

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"slices"
)

// parseKeys returns the usable keys of a JWKS by kid; a kid need not be unique. Each
// key is parsed on its own: a malformed or unknown key is ignored and disables no
// other (RFC 7517, section 5). A set without a usable key is an error.
func parseKeys(text []byte) (map[string][]ed25519.PublicKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(text, &set) != nil {
		return nil, errors.New("fetch keys: the answer is not a JWKS")
	}
	known := map[string][]ed25519.PublicKey{}
	for _, one := range set.Keys {
		if kid, key := parseKey(one); key != nil {
			known[kid] = append(known[kid], key)
		}
	}
	if len(known) == 0 {
		return nil, errors.New("fetch keys: the JWKS has no usable Ed25519 key")
	}
	return known, nil
}

// parseKey parses a public Ed25519 key (RFC 8037, section 2). It returns nil for
// anything else.
func parseKey(text json.RawMessage) (kid string, key ed25519.PublicKey) {
	var j struct {
		Kind       string   `json:"kty"`
		Curve      string   `json:"crv"`
		Algorithm  string   `json:"alg"`
		Use        string   `json:"use"`
		Operations []string `json:"key_ops"`
		ID         string   `json:"kid"`
		X          string   `json:"x"`
	}
	if json.Unmarshal(text, &j) != nil || j.ID == "" || j.Kind != "OKP" || j.Curve != "Ed25519" ||
		j.Algorithm != "" && j.Algorithm != "EdDSA" || j.Use != "" && j.Use != "sig" ||
		j.Operations != nil && !slices.Contains(j.Operations, "verify") {
		return "", nil
	}
	x, err := decodeBase64url(j.X)
	if err != nil || len(x) != ed25519.PublicKeySize {
		return "", nil
	}
	return j.ID, x
}
