package token

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// MasterKeyLength is the length of a master key in bytes.
const MasterKeyLength = 32

// MasterKey is one of the nodes' shared secrets. Everything else derives from it,
// each purpose with its own HKDF (RFC 5869) label, so that one leaked derived
// key tells nothing of the others.
type MasterKey struct{ raw [MasterKeyLength]byte }

// NewMasterKey draws a random key.
func NewMasterKey() MasterKey {
	var m MasterKey
	rand.Read(m.raw[:]) // never fails (crypto/rand, Go 1.24)
	return m
}

// ErrMasterKey is a key that is not 32 bytes of base64url.
var ErrMasterKey = errors.New("a key is 32 random bytes in base64url (43 characters), as `loginhub keygen` prints it")

// ParseMasterKeys reads keys, newest first, separated by commas or on lines of
// their own. Errors name the place
// and never the key.
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
			parts = append(parts, "") // nothing between two commas is no key
		}
	}
	for i, part := range parts {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(part, "="))
		if err != nil || len(raw) != MasterKeyLength {
			return nil, fmt.Errorf("key %d: %w", i+1, ErrMasterKey)
		}
		m := MasterKey{[MasterKeyLength]byte(raw)}
		if seen[m] {
			return nil, fmt.Errorf("key %d is given twice", i+1)
		}
		seen[m] = true
		all = append(all, m)
	}
	return all, nil
}

// Reveal is the key's text, for `loginhub keygen` alone.
func (m MasterKey) Reveal() string { return base64.RawURLEncoding.EncodeToString(m.raw[:]) }

// String redacts.
func (MasterKey) String() string { return "[key]" }

// GoString redacts under %#v too.
func (MasterKey) GoString() string { return "[key]" }

// LogValue redacts.
func (MasterKey) LogValue() slog.Value { return slog.StringValue("[key]") }

// ID is the key's public name, the kid: 72 bits that derive from it.
func (m MasterKey) ID() string {
	return base64.RawURLEncoding.EncodeToString(m.derive("kid", 9))
}

// Seal is the HMAC key of the records.
func (m MasterKey) Seal() []byte { return m.derive("seal", 32) }

// SecretStore is the AES-256 key of what nodes share in Redis beside the records.
func (m MasterKey) SecretStore() []byte { return m.derive("vault", 32) }

// Match is the HMAC key of number matching.
func (m MasterKey) Match() []byte { return m.derive("match", 32) }

// Audit is the HMAC key of users' names in the audit.
func (m MasterKey) Audit() []byte { return m.derive("audit", 32) }

func (m MasterKey) derive(purpose string, length int) []byte {
	key, err := hkdf.Key(sha256.New, m.raw[:], nil, "loginhub v1 "+purpose, length)
	if err != nil {
		panic(err) // only for lengths beyond 255 hashes
	}
	return key
}
