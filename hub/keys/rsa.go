package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// rsaBits is the length of the RSA keys that nodes make (RFC 7518, section 3.3, wants
// 2048 or more).
const rsaBits = 2048

// RSAKey is a key that signs RS256 tokens. It cannot derive from a master key, because
// crypto/rsa generates keys from the system's random source only. So one node makes it,
// and all read it from Redis, encrypted under the master key.
type RSAKey struct {
	*rsa.PrivateKey
	Made time.Time // by Redis's clock, in ms
}

// NewRSAKey returns a random key. It takes up to a second.
func NewRSAKey(now time.Time) (RSAKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return RSAKey{}, fmt.Errorf("generate RSA key: %w", err)
	}
	return RSAKey{private, now.Truncate(time.Millisecond)}, nil
}

// Errors of OpenRSA.
var (
	// ErrRSAVersion means that a later release wrote the value.
	ErrRSAVersion = errors.New("RSA key of an unknown version")
	ErrRSASealed  = errors.New("the RSA key cannot be decrypted")
)

// rsaVersion begins the encrypted keys of this version: AES-256-GCM with a random nonce.
// A master key encrypts a few values only.
const rsaVersion = "1."

// SealRSA returns the keys encrypted under the master key, to store in Redis.
func (m MasterKey) SealRSA(all ...RSAKey) (string, error) {
	aead, err := m.rsaCipher()
	if err != nil {
		return "", err
	}
	var plain []byte
	for _, k := range all {
		plain = binary.BigEndian.AppendUint64(plain, uint64(k.Made.UnixMilli()))
		plain = append(plain, x509.MarshalPKCS1PrivateKey(k.PrivateKey)...)
	}
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce) // never fails (crypto/rand, Go 1.24)
	return rsaVersion + string(aead.Seal(nonce, nonce, plain, []byte("loginhub rsa "+m.ID()))), nil
}

// OpenRSA returns the keys that SealRSA has encrypted, at least one.
func (m MasterKey) OpenRSA(text string) ([]RSAKey, error) {
	aead, err := m.rsaCipher()
	if err != nil {
		return nil, err
	}
	sealed, ok := strings.CutPrefix(text, rsaVersion)
	if number, _, versioned := strings.Cut(text, "."); !ok && versioned && len(number) <= 4 && strings.Trim(number, "0123456789") == "" {
		return nil, ErrRSAVersion
	}
	if !ok || len(sealed) < aead.NonceSize() {
		return nil, ErrRSASealed
	}
	plain, err := aead.Open(nil, []byte(sealed[:aead.NonceSize()]), []byte(sealed[aead.NonceSize():]), []byte("loginhub rsa "+m.ID()))
	if err != nil {
		return nil, ErrRSASealed
	}
	return parseRSA(plain)
}

// parseRSA parses keys: each is the time it was made, and the key in PKCS#1.
func parseRSA(plain []byte) (all []RSAKey, err error) {
	for len(plain) > 8 {
		made := time.UnixMilli(int64(binary.BigEndian.Uint64(plain)))
		var one asn1.RawValue
		if plain, err = asn1.Unmarshal(plain[8:], &one); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRSASealed, err)
		}
		private, err := x509.ParsePKCS1PrivateKey(one.FullBytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRSASealed, err)
		}
		all = append(all, RSAKey{private, made})
	}
	if len(plain) > 0 || len(all) == 0 {
		return nil, ErrRSASealed
	}
	return all, nil
}

func (m MasterKey) rsaCipher() (cipher.AEAD, error) {
	block, err := aes.NewCipher(m.derive("rsa", 32))
	if err != nil {
		return nil, fmt.Errorf("RSA key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("RSA key: %w", err)
	}
	return aead, nil
}

// ParseRSAPEM parses one or more RSA keys in PEM, PKCS#8 or PKCS#1. Errors never quote a
// key.
func ParseRSAPEM(text []byte) (all []*rsa.PrivateKey, err error) {
	const expected = "want RSA private keys in PEM, as `openssl genrsa 2048` prints them"
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		var key any
		switch block.Type {
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		default:
			return nil, fmt.Errorf("PEM block %d is a %.40q: %s", len(all)+1, block.Type, expected)
		}
		private, ok := key.(*rsa.PrivateKey)
		if err != nil || !ok {
			return nil, fmt.Errorf("PEM block %d is no RSA key: %s", len(all)+1, expected)
		}
		if private.N.BitLen() < rsaBits {
			return nil, fmt.Errorf("PEM block %d has %d bits: an RSA key needs %d", len(all)+1, private.N.BitLen(), rsaBits)
		}
		all = append(all, private)
	}
	if len(all) == 0 {
		return nil, errors.New("no PEM block: " + expected)
	}
	return all, nil
}
