package ticket

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"log/slog"
)

// Lengths of id and secret as text (base64url, no padding).
const (
	IDLength     = 22 // 128 bits: fits into WeChat's scene of 32 characters
	SecretLength = 43 // 256 bits
)

// strict rejects text whose unused last bits are set, so that every id has exactly one
// spelling.
var strict = base64.RawURLEncoding.Strict()

// ID is the public name of a ticket: the first 128 bits of the SHA-256 of its secret. It
// is in the QR code. Without the secret it gives access to nothing.
type ID string

// ParseID parses an id from a request. It returns ErrNotFound for a malformed one: no
// such ticket exists.
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

// Short returns the part of the id that log lines contain: enough to find the lines of
// one login, too little to scan it.
func (id ID) Short() string { return string(id[:min(8, len(id))]) }

// LogValue implements slog.LogValuer: logs contain only the short form.
func (id ID) LogValue() slog.Value { return slog.StringValue(id.Short()) }

// Secret proves that a browser created the ticket. The hub sends it once, when it
// creates the ticket, and stores it nowhere.
type Secret struct{ raw [32]byte }

// NewSecret returns a secret of 256 random bits.
func NewSecret() Secret {
	var s Secret
	rand.Read(s.raw[:]) // never fails (crypto/rand, Go 1.24)
	return s
}

// ParseSecret parses a secret from a request. It returns ErrInvalidSecret for anything
// but 43 base64url characters.
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

// ID returns the id of the ticket that this secret belongs to.
func (s Secret) ID() ID {
	sum := sha256.Sum256(s.raw[:])
	return ID(base64.RawURLEncoding.EncodeToString(sum[:16]))
}

// Matches reports whether s is the secret of the ticket id. It takes constant time.
func (s Secret) Matches(id ID) bool {
	return subtle.ConstantTimeCompare([]byte(s.ID()), []byte(id)) == 1
}

// Reveal returns the secret as text, for the one response that gives it to the browser.
// All other ways of printing a Secret are redacted.
func (s Secret) Reveal() string { return base64.RawURLEncoding.EncodeToString(s.raw[:]) }

// String implements fmt.Stringer: redacted.
func (Secret) String() string { return "[secret]" }

// GoString implements fmt.GoStringer: redacted under %#v too.
func (Secret) GoString() string { return "[secret]" }

// LogValue implements slog.LogValuer: redacted.
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }
