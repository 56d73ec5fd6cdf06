package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/big"

	"github.com/go-jose/go-jose/v4"

	"loginhub/hub/keys"
)

// p256Bytes is the length of a coordinate of P-256 (RFC 7518, section 3.4).
const p256Bytes = 32

// signingKey is a private key of the JWKS. It signs deterministically: Ed25519 (RFC
// 8032), ECDSA with RFC 6979, RSASSA-PKCS1-v1_5 (RFC 8017). All nodes return the same
// bytes for the same text.
type signingKey struct {
	private crypto.Signer
	public  jose.JSONWebKey
	tag     uint32 // KeyTag
}

// newSigningKey returns the key with that id; "" is the key's thumbprint (RFC 7638).
func newSigningKey(private crypto.Signer, alg jose.SignatureAlgorithm, kid string) (signingKey, error) {
	k := signingKey{private: private, public: jose.JSONWebKey{Key: private.Public(), KeyID: kid, Algorithm: string(alg), Use: "sig"}}
	sum, err := k.public.Thumbprint(crypto.SHA256)
	if err != nil {
		return k, fmt.Errorf("signing key %s: %w", alg, err)
	}
	if kid == "" {
		k.public.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	}
	k.tag = max(1, binary.BigEndian.Uint32(sum))
	return k, nil
}

// derivedKeys returns the keys that derive from a master key: Ed25519 and P-256.
func derivedKeys(m keys.MasterKey) (eddsa, es256 signingKey, err error) {
	if eddsa, err = newSigningKey(ed25519.NewKeyFromSeed(m.SigningSeed()), jose.EdDSA, m.ID()); err != nil {
		return eddsa, es256, err
	}
	p256, err := m.SigningP256()
	if err != nil {
		return eddsa, es256, err
	}
	es256, err = newSigningKey(p256, jose.ES256, "")
	return eddsa, es256, err
}

// sign returns the signature of a JWS's signing input (RFC 7518, section 3).
func (k signingKey) sign(text []byte) ([]byte, error) {
	switch private := k.private.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(private, text), nil
	case *ecdsa.PrivateKey:
		sum := sha256.Sum256(text)
		der, err := private.Sign(nil, sum[:], crypto.SHA256) // without a random source: RFC 6979
		if err != nil {
			return nil, fmt.Errorf("sign ES256: %w", err)
		}
		var s struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(der, &s); err != nil {
			return nil, fmt.Errorf("sign ES256: %w", err)
		}
		out := make([]byte, 2*p256Bytes)
		s.R.FillBytes(out[:p256Bytes])
		s.S.FillBytes(out[p256Bytes:])
		return out, nil
	case *rsa.PrivateKey:
		sum := sha256.Sum256(text)
		out, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum[:])
		if err != nil {
			return nil, fmt.Errorf("sign RS256: %w", err)
		}
		return out, nil
	}
	return nil, fmt.Errorf("sign: key of type %T", k.private)
}
