package token

import (
	"crypto/ecdsa"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// Encrypt returns a token as a compact JWE (RFC 7516) for a key of P-256: ECDH-ES, which
// agrees on the key of A256GCM directly (RFC 7518, section 4.6, without apu and apv). Only the
// owner of the private key can read the token. cty says that the content is a JWT (RFC
// 7519, section 5.2).
func (s *Signer) Encrypt(to *ecdsa.PublicKey, token string) (string, error) {
	options := (&jose.EncrypterOptions{}).WithType("JWT").WithContentType("JWT")
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.ECDH_ES, Key: to}, options)
	if err != nil {
		return "", fmt.Errorf("encrypt token: %w", err)
	}
	jwe, err := encrypter.Encrypt([]byte(token))
	if err != nil {
		return "", fmt.Errorf("encrypt token: %w", err)
	}
	text, err := jwe.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("encrypt token: %w", err)
	}
	return text, nil
}
