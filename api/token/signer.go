package token

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// Type is the token's typ: a token made for another purpose is never one of ours
// (RFC 8725, section 3.11).
const Type = "login+jwt"

// Signer signs with every key that it was given. It is safe for concurrent use.
type Signer struct {
	keys   map[string]signingKey
	public jose.JSONWebKeySet
}

// signingKey is one private key, and the token's first part that goes with it.
type signingKey struct {
	private ed25519.PrivateKey
	head    string // base64url of the JOSE header, and the dot behind it
}

// ErrUnknownKey is a kid that this node does not have.
var ErrUnknownKey = errors.New("no such signing key")

// NewSigner takes the keys newest first.
func NewSigner(masters []MasterKey) (*Signer, error) {
	s := &Signer{keys: map[string]signingKey{}}
	for _, m := range masters {
		private := ed25519.NewKeyFromSeed(m.derive("sign", ed25519.SeedSize))
		head, err := json.Marshal(map[string]string{"alg": string(jose.EdDSA), "kid": m.ID(), "typ": Type})
		if err != nil {
			return nil, fmt.Errorf("signing key: %w", err)
		}
		s.keys[m.ID()] = signingKey{private, base64.RawURLEncoding.EncodeToString(head) + "."}
		s.public.Keys = append(s.public.Keys, jose.JSONWebKey{
			Key: private.Public(), KeyID: m.ID(), Algorithm: string(jose.EdDSA), Use: "sig"})
	}
	return s, nil
}

// Sign makes the compact JWT (RFC 7519, 7515) of these exact claims. Ed25519 is
// deterministic (RFC 8032): the same kid and claims give the same bytes on every
// node.
func (s *Signer) Sign(kid string, claims []byte) (string, error) {
	key, ok := s.keys[kid]
	if !ok {
		return "", fmt.Errorf("kid %.32q: %w", kid, ErrUnknownKey)
	}
	b64 := base64.RawURLEncoding
	text := make([]byte, 0, len(key.head)+b64.EncodedLen(len(claims))+1+b64.EncodedLen(ed25519.SignatureSize))
	text = append(text, key.head...)
	text = b64.AppendEncode(text, claims)
	signature := ed25519.Sign(key.private, text)
	text = append(text, '.')
	return string(b64.AppendEncode(text, signature)), nil
}

// JWKS is the set of public keys (RFC 7517), newest first.
func (s *Signer) JWKS() jose.JSONWebKeySet { return s.public }
