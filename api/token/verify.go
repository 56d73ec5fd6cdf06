package token

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// maxTokenBytes is the longest token that Verify reads.
const maxTokenBytes = 16 << 10

// ErrInvalid means that a token was not signed by one of the signer's keys, or is of
// another type.
var ErrInvalid = errors.New("invalid token")

// Verify returns the claims of a token that one of these keys has signed, with that
// typ. Algorithm and key are those of the JWKS: none, and an HMAC with a public key, are
// refused (RFC 8725, sections 3.1 and 3.2). Claims are not checked, not even exp.
func (s *Signer) Verify(text, typ string) ([]byte, error) { return verify(s.public, text, typ) }

// NewVerifier returns Signer.Verify with the keys of one or more JWKS.
func NewVerifier(jwks ...[]byte) (func(text, typ string) ([]byte, error), error) {
	var set jose.JSONWebKeySet
	for _, text := range jwks {
		var one jose.JSONWebKeySet
		if err := json.Unmarshal(text, &one); err != nil {
			return nil, fmt.Errorf("JWKS: %w", err)
		}
		set.Keys = append(set.Keys, one.Keys...)
	}
	return func(text, typ string) ([]byte, error) { return verify(set, text, typ) }, nil
}

func verify(set jose.JSONWebKeySet, text, typ string) ([]byte, error) {
	if len(text) > maxTokenBytes {
		return nil, fmt.Errorf("%w: too long", ErrInvalid)
	}
	jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256, jose.RS256})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	head := jws.Signatures[0].Protected
	if head.ExtraHeaders[jose.HeaderType] != typ {
		return nil, fmt.Errorf("%w: another typ than %s", ErrInvalid, typ)
	}
	for _, key := range set.Keys {
		if key.KeyID == head.KeyID && key.Algorithm == head.Algorithm {
			claims, err := jws.Verify(key)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
			}
			return claims, nil
		}
	}
	return nil, fmt.Errorf("%w: its key is not published: %w", ErrInvalid, ErrUnknownKey)
}
