package verify

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
)

// Algorithms of the hub's tokens: the client's setting token_alg.
const (
	algEdDSA = "EdDSA" // RFC 8037
	algRS256 = "RS256" // RFC 7518, section 3.3
)

const (
	minRSABits = 2048 // RFC 7518, section 3.3
	maxRSABits = 4096 // bounds the time of a verification
)

// key is a public key: ed25519.PublicKey or *rsa.PublicKey. It has one algorithm, so the
// token cannot choose another.
type key struct{ public crypto.PublicKey }

// verify reports whether the signature is one of this key with this algorithm.
func (k key) verify(alg string, text, signature []byte) bool {
	switch public := k.public.(type) {
	case ed25519.PublicKey:
		return alg == algEdDSA && ed25519.Verify(public, text, signature)
	case *rsa.PublicKey:
		sum := sha256.Sum256(text)
		return alg == algRS256 && rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature) == nil
	}
	return false
}

// parseKeys returns the usable keys of a JWKS by kid; a kid need not be unique. Each
// key is parsed on its own: a malformed or unknown key is ignored and disables no
// other (RFC 7517, section 5). A set without a usable key is an error.
func parseKeys(text []byte) (map[string][]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(text, &set) != nil {
		return nil, errors.New("fetch keys: the answer is not a JWKS")
	}
	known := map[string][]key{}
	for _, one := range set.Keys {
		if kid, k := parseKey(one); k.public != nil {
			known[kid] = append(known[kid], k)
		}
	}
	if len(known) == 0 {
		return nil, errors.New("fetch keys: the JWKS has no usable key")
	}
	return known, nil
}

// parseKey parses a public key of Ed25519 (RFC 8037, section 2) or RSA (RFC 7518, section
// 6.3). It returns no key for anything else.
func parseKey(text json.RawMessage) (kid string, k key) {
	var j struct {
		Kind       string   `json:"kty"`
		Curve      string   `json:"crv"`
		Algorithm  string   `json:"alg"`
		Use        string   `json:"use"`
		Operations []string `json:"key_ops"`
		ID         string   `json:"kid"`
		X          string   `json:"x"` // Ed25519
		N          string   `json:"n"` // RSA
		E          string   `json:"e"`
	}
	if json.Unmarshal(text, &j) != nil || j.ID == "" || j.Use != "" && j.Use != "sig" ||
		j.Operations != nil && !slices.Contains(j.Operations, "verify") {
		return "", k
	}
	switch {
	case j.Kind == "OKP" && j.Curve == "Ed25519" && (j.Algorithm == "" || j.Algorithm == algEdDSA):
		if x, err := decodeBase64url(j.X); err == nil && len(x) == ed25519.PublicKeySize {
			k.public = ed25519.PublicKey(x)
		}
	case j.Kind == "RSA" && (j.Algorithm == "" || j.Algorithm == algRS256) && j.E == "AQAB": // 65537
		if n, err := decodeBase64url(j.N); err == nil && len(n) >= minRSABits/8 && len(n) <= maxRSABits/8 && n[0] >= 0x80 {
			k.public = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
		}
	}
	return j.ID, k
}
