package keys

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
)

// MasterKeyLength is the length of a master key in bytes.
const MasterKeyLength = 32

// MasterKey is a secret that all nodes share. All other keys are derived from it with
// HKDF (RFC 5869), each with a label of its own: a leaked derived key reveals nothing
// about the others.
type MasterKey struct{ raw [MasterKeyLength]byte }

// NewMasterKey returns a random key.
func NewMasterKey() MasterKey {
	var m MasterKey
	rand.Read(m.raw[:]) // never fails (crypto/rand, Go 1.24)
	return m
}

// ErrMasterKey means that a key is not 32 bytes of base64url.
var ErrMasterKey = errors.New("a key is 32 random bytes in base64url (43 characters), as `loginhub keygen` prints it")

// ParseMasterKeys parses keys, newest first, separated by commas or line breaks. Errors
// name the position of a key and never quote it.
func ParseMasterKeys(text string) ([]MasterKey, error) {
	var all []MasterKey
	seen := map[MasterKey]bool{}
	var parts []string
	for _, piece := range strings.Split(text, ",") {
		before := len(parts)
		for line := range strings.Lines(piece) {
			if line = strings.TrimSpace(line); line != "" {
				parts = append(parts, line)
			}
		}
		if len(parts) == before {
			parts = append(parts, "") // an empty part is an error below
		}
	}
	for i, part := range parts {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(part, "="))
		if err != nil || len(raw) != MasterKeyLength {
			return nil, fmt.Errorf("key %d: %w", i+1, ErrMasterKey)
		}
		m := MasterKey{[MasterKeyLength]byte(raw)}
		if seen[m] {
			return nil, fmt.Errorf("key %d is a duplicate of an earlier one", i+1)
		}
		seen[m] = true
		all = append(all, m)
	}
	return all, nil
}

// Reveal returns the key as text. Only `loginhub keygen` needs it.
func (m MasterKey) Reveal() string { return base64.RawURLEncoding.EncodeToString(m.raw[:]) }

// String implements fmt.Stringer and redacts the key.
func (MasterKey) String() string { return "[key]" }

// GoString implements fmt.GoStringer: %#v redacts the key too.
func (MasterKey) GoString() string { return "[key]" }

// LogValue implements slog.LogValuer and redacts the key.
func (MasterKey) LogValue() slog.Value { return slog.StringValue("[key]") }

// ID returns the key's public name, the kid: 72 bits derived from the key.
func (m MasterKey) ID() string {
	return base64.RawURLEncoding.EncodeToString(m.derive("kid", 9))
}

// Encrypt returns the XChaCha20-Poly1305 key of the ticket records.
func (m MasterKey) Encrypt() []byte { return m.derive("encrypt", 32) }

// Seal returns the HMAC key of the kill switches, and of ticket records of version 1.
func (m MasterKey) Seal() []byte { return m.derive("seal", 32) }

// SecretStore returns the XChaCha20-Poly1305 key for the values that nodes share in Redis
// beside the ticket records.
func (m MasterKey) SecretStore() []byte { return m.derive("secrets", 32) }

// SecretStoreAES returns the AES-256 key for those values in version 1.
func (m MasterKey) SecretStoreAES() []byte { return m.derive("vault", 32) }

// Match returns the HMAC key of number matching.
func (m MasterKey) Match() []byte { return m.derive("match", 32) }

// Code returns the HMAC key of authorization codes.
func (m MasterKey) Code() []byte { return m.derive("code", 32) }

// Frame returns the HMAC key of living codes.
func (m MasterKey) Frame() []byte { return m.derive("frame", 32) }

// Known returns the HMAC key of the users that a browser remembers.
func (m MasterKey) Known() []byte { return m.derive("known", 32) }

// Request returns the XChaCha20-Poly1305 key of authorization requests that wait in a
// browser or at a site.
func (m MasterKey) Request() []byte { return m.derive("request", 32) }

// SigningSeed returns the seed of the Ed25519 key that signs tokens (RFC 8032).
func (m MasterKey) SigningSeed() []byte { return m.derive("sign", ed25519.SeedSize) }

// SigningP256 returns the P-256 key that signs ES256 tokens. Its scalar is 1 plus 384
// derived bits modulo n-1, without bias (FIPS 186-5, appendix A.2.1).
func (m MasterKey) SigningP256() (*ecdsa.PrivateKey, error) {
	one := big.NewInt(1)
	d := new(big.Int).SetBytes(m.derive("sign es256", 48))
	d.Mod(d, new(big.Int).Sub(elliptic.P256().Params().N, one)).Add(d, one)
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d.FillBytes(make([]byte, 32)))
	if err != nil {
		return nil, fmt.Errorf("P-256 key: %w", err)
	}
	return key, nil
}

// TokenIDs returns the HMAC key of the identifiers in tokens.
func (m MasterKey) TokenIDs() []byte { return m.derive("token ids", 32) }

// Audit returns the HMAC key of the user names in the audit log.
func (m MasterKey) Audit() []byte { return m.derive("audit", 32) }

// derive is called once per purpose. A purpose and the bytes derived for it never change:
// records and tokens outlive a release.
func (m MasterKey) derive(purpose string, length int) []byte {
	key, err := hkdf.Key(sha256.New, m.raw[:], nil, "loginhub v1 "+purpose, length)
	if err != nil {
		panic(err) // only if length exceeds 255 hashes
	}
	return key
}
