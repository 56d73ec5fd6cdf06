//go:build go1.25

package verify_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// signer signs as a hub does.
type signer struct {
	private ed25519.PrivateKey
	kid     string
}

func newSigner() (*signer, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	return &signer{private, base64.RawURLEncoding.EncodeToString(public[:9])}, nil
}

func (s *signer) public() ed25519.PublicKey { return s.private.Public().(ed25519.PublicKey) }

// jwk returns the public key (RFC 8037).
func (s *signer) jwk() json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"use":"sig","kty":"OKP","kid":%q,"crv":"Ed25519","alg":"EdDSA","x":%q}`,
		s.kid, base64.RawURLEncoding.EncodeToString(s.public())))
}

func (s *signer) jwks() map[string][]json.RawMessage {
	return map[string][]json.RawMessage{"keys": {s.jwk()}}
}

func (s *signer) sign(claims []byte) string {
	b64 := base64.RawURLEncoding
	text := b64.EncodeToString([]byte(fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"login+jwt"}`, s.kid))) + "." + b64.EncodeToString(claims)
	return text + "." + b64.EncodeToString(ed25519.Sign(s.private, []byte(text)))
}
