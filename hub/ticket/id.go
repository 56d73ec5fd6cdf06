package ticket

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"log/slog"
)

// Lengths of the two identifiers in their text form (base64url, no padding).
const (
	IDLength     = 22 // 128 bits: fits the 32 characters of WeChat's scene
	SecretLength = 43 // 256 bits
)

// strict refuses text whose unused last bits are set, so that every id has
// exactly one spelling.
var strict = base64.RawURLEncoding.Strict()

// ID is a ticket's public name: the first 128 bits of the SHA-256 of its
// secret. It stands in the QR code and suffices for nothing.
type ID string

// ParseID takes an id from outside. A malformed one is ErrNotFound: there is
// no such ticket.
func ParseID(s string) (ID, error) {
	if len(s) != IDLength {
		return "", ErrNotFound
	}
	var raw [16]byte
	if n, err := strict.Decode(raw[:], []byte(s)); err != nil || n != len(raw) {
		return "", ErrNotFound
	}
	return ID(s), nil
}

// Short is the part of the id that log lines carry: enough to find the lines
// of one login, too little to scan.
func (id ID) Short() string { return string(id[:min(8, len(id))]) }

// LogValue shortens the id wherever it is logged.
func (id ID) LogValue() slog.Value { return slog.StringValue(id.Short()) }

// Secret is the browser's proof that it made the ticket. It is handed out once,
// when the ticket is made, and is stored nowhere.
type Secret struct{ raw [32]byte }

// NewSecret draws 256 random bits.
func NewSecret() Secret {
	var s Secret
	rand.Read(s.raw[:]) // never fails (crypto/rand, Go 1.24)
	return s
}

// ParseSecret takes a secret from outside; anything but 43 base64url characters
// is ErrInvalidSecret.
func ParseSecret(text string) (Secret, error) {
	var s Secret
	if len(text) != SecretLength {
		return s, ErrInvalidSecret
	}
	if n, err := strict.Decode(s.raw[:], []byte(text)); err != nil || n != len(s.raw) {
		return Secret{}, ErrInvalidSecret
	}
	return s, nil
}

// ID is the ticket that this secret belongs to.
func (s Secret) ID() ID {
	sum := sha256.Sum256(s.raw[:])
	return ID(base64.RawURLEncoding.EncodeToString(sum[:16]))
}

// Matches reports whether s is the secret of the ticket id, in constant time.
func (s Secret) Matches(id ID) bool {
	return subtle.ConstantTimeCompare([]byte(s.ID()), []byte(id)) == 1
}

// Reveal is the secret's text, for the one answer that hands it to the browser.
// Every other way of printing a Secret is redacted.
func (s Secret) Reveal() string { return base64.RawURLEncoding.EncodeToString(s.raw[:]) }

// String redacts.
func (Secret) String() string { return "[secret]" }

// GoString redacts under %#v too.
func (Secret) GoString() string { return "[secret]" }

// LogValue redacts.
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }
