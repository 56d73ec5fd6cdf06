package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
)

const (
	contentAlg  = "A256GCM"
	contentKey  = 32 // bytes
	nonceLength = 12 // bytes
	tagLength   = 16 // bytes
)

// Encrypt returns a token as a compact JWE (RFC 7516) for a key of P-256: ECDH-ES, which
// agrees on the key of A256GCM directly (RFC 7518, section 4.6, without apu and apv). Only the
// owner of the private key can read the token. cty says that the content is a JWT (RFC
// 7519, section 5.2). A JOSE library does the same with ten times as many allocations.
func (s *Signer) Encrypt(to *ecdh.PublicKey, token string) (string, error) {
	ephemeral, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return "", fmt.Errorf("encrypt token: %w", err)
	}
	secret, err := ephemeral.ECDH(to)
	if err != nil {
		return "", fmt.Errorf("encrypt token: %w", err)
	}
	block, err := aes.NewCipher(deriveContentKey(secret))
	if err != nil {
		return "", fmt.Errorf("encrypt token: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return "", fmt.Errorf("encrypt token: %w", err)
	}
	b64, point := base64.RawURLEncoding, ephemeral.PublicKey().Bytes()[1:] // without its form (SEC 1, section 2.3.3)
	header := append(make([]byte, 0, 192), `{"alg":"ECDH-ES","cty":"JWT","enc":"`+contentAlg+`","epk":{"crv":"P-256","kty":"EC","x":"`...)
	header = append(b64.AppendEncode(header, point[:p256Bytes]), `","y":"`...)
	header = append(b64.AppendEncode(header, point[p256Bytes:]), `"},"typ":"JWT"}`...)
	sealed := make([]byte, nonceLength, nonceLength+len(token)+tagLength)
	rand.Read(sealed) // returns no error
	text := make([]byte, 0, b64.EncodedLen(len(header))+b64.EncodedLen(cap(sealed))+4)
	text = b64.AppendEncode(text, header)
	sealed = gcm.Seal(sealed, sealed, []byte(token), text)
	nonce, content, tag := sealed[:nonceLength], sealed[nonceLength:len(sealed)-tagLength], sealed[len(sealed)-tagLength:]
	text = append(b64.AppendEncode(append(text, '.', '.'), nonce), '.') // no encrypted key
	text = append(b64.AppendEncode(text, content), '.')
	return string(b64.AppendEncode(text, tag)), nil
}

// deriveContentKey is the Concat KDF for contentAlg (RFC 7518, section 4.6.2; NIST SP
// 800-56A, section 5.8.1): one block of SHA-256 is the whole key.
func deriveContentKey(secret []byte) []byte {
	in := append(make([]byte, 0, 96), 0, 0, 0, 1) // the block's number
	in = append(in, secret...)
	in = append(binary.BigEndian.AppendUint32(in, uint32(len(contentAlg))), contentAlg...)
	in = append(in, 0, 0, 0, 0, 0, 0, 0, 0) // empty apu and apv
	key := sha256.Sum256(binary.BigEndian.AppendUint32(in, contentKey*8))
	return key[:]
}
