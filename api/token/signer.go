package token

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"loginhub/hub/keys"
)

// Type is the typ of the tokens. It keeps a JWT of another purpose from being accepted
// as a login (RFC 8725, section 3.11).
const Type = "login+jwt"

// Signer signs with each of its keys. It is safe for concurrent use.
type Signer struct {
	keys   map[string]signingKey
	public jose.JSONWebKeySet
}

// signingKey is a private key with the first part of its tokens.
type signingKey struct {
	private ed25519.PrivateKey
	head    string // base64url of the JOSE header, with the dot after it
}

// ErrUnknownKey means that this node does not have the key of the kid.
var ErrUnknownKey = errors.New("no such signing key")

// NewSigner returns a signer with these keys, newest first.
func NewSigner(masters []keys.MasterKey) (*Signer, error) {
	s := &Signer{keys: map[string]signingKey{}}
	for _, m := range masters {
		private := ed25519.NewKeyFromSeed(m.SigningSeed())
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

// Sign returns the compact JWT (RFC 7519, RFC 7515) of exactly these claims. Ed25519 is
// deterministic (RFC 8032): all nodes return the same bytes for a kid and claims.
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

// JWKS returns the public keys (RFC 7517), newest first.
func (s *Signer) JWKS() jose.JSONWebKeySet { return s.public }
