package token

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// Type is the token's typ: a token made for another purpose is never one of ours
// (RFC 8725, section 3.11).
const Type = "login+jwt"

// Signer signs with every key that it was given. It is safe for concurrent use.
type Signer struct {
	keys   map[string]jose.Signer
	public jose.JSONWebKeySet
}

// ErrUnknownKey is a kid that this node does not have.
var ErrUnknownKey = errors.New("no such signing key")

// NewSigner takes the keys newest first.
func NewSigner(masters []Master) (*Signer, error) {
	s := &Signer{keys: map[string]jose.Signer{}}
	for _, m := range masters {
		private := ed25519.NewKeyFromSeed(m.derive("sign", ed25519.SeedSize))
		signer, err := jose.NewSigner(
			jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: private, KeyID: m.ID()}},
			(&jose.SignerOptions{}).WithType(Type))
		if err != nil {
			return nil, fmt.Errorf("signing key: %w", err)
		}
		s.keys[m.ID()] = signer
		s.public.Keys = append(s.public.Keys, jose.JSONWebKey{
			Key: private.Public(), KeyID: m.ID(), Algorithm: string(jose.EdDSA), Use: "sig"})
	}
	return s, nil
}

// Sign makes the compact JWT (RFC 7519, 7515) of these exact claims. Ed25519 is
// deterministic (RFC 8032): the same kid and claims give the same bytes on every
// node.
func (s *Signer) Sign(kid string, claims []byte) (string, error) {
	signer, ok := s.keys[kid]
	if !ok {
		return "", fmt.Errorf("kid %.32q: %w", kid, ErrUnknownKey)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("serialize: %w", err)
	}
	return text, nil
}

// JWKS is the set of public keys (RFC 7517), newest first.
func (s *Signer) JWKS() jose.JSONWebKeySet { return s.public }
