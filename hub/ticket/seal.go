package ticket

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// sealVersion is the version of sealed bytes. They are text, so that an operator
// can read them in redis-cli:
//
//	1.KID.MAC.JSON
//
// MAC is the HMAC-SHA256 of "loginhub WHAT 1.KID.JSON" under the nodes' key KID,
// in base64url. WHAT is "record" or "switch". The JSON repeats the ticket (or the
// client) and the key, so that a record copied to another ticket is rejected.
//
// Bytes of every version, also of later ones, begin with the version's number and
// a dot. What follows is up to the version, including its length: a node that does
// not support the version reads nothing of it (ErrUnknownVersion).
const sealVersion = "1"

// maxVersion is the length of the longest version number, in digits.
const maxVersion = 4

// CutVersion splits the version's number off bytes that a node has written into Redis.
// All code that distinguishes versions calls it. ok is false if the bytes have no
// version.
func CutVersion(written []byte) (version string, rest []byte, ok bool) {
	number, rest, ok := bytes.Cut(written, []byte("."))
	if !ok || len(number) == 0 || len(number) > maxVersion || number[0] == '0' || len(bytes.Trim(number, "0123456789")) > 0 {
		return "", nil, false
	}
	return string(number), rest, true
}

// MaxSealed is the longest sealed record or message, in bytes. The longest legal one,
// with every field at its limit and escaped, is shorter.
const MaxSealed = 24 << 10

// macLength is the length of 32 bytes in base64url.
const macLength = 43

// Key is one of the nodes' shared keys, derived for this package.
type Key struct {
	ID    string // the kid; letters, digits, - and _
	Seal  []byte // HMAC key of the records
	Match []byte // HMAC key of number matching
}

// Keyring seals with its first key and opens with all keys. It is safe for concurrent
// use.
type Keyring struct {
	current string
	keys    map[string]Key
}

// NewKeyring builds a keyring from at least one key, newest first.
func NewKeyring(keys []Key) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("keyring: no keys")
	}
	r := &Keyring{current: keys[0].ID, keys: make(map[string]Key, len(keys))}
	for _, k := range keys {
		if _, twice := r.keys[k.ID]; twice {
			return nil, fmt.Errorf("keyring: key %s is given twice", k.ID)
		}
		r.keys[k.ID] = k
	}
	return r, nil
}

// Current returns the id of the key that seals new tickets.
func (r *Keyring) Current() string { return r.current }

// MatchNumbers returns the number that the page shows, and the numbers that the phone
// offers.
func (r *Keyring) MatchNumbers(t Ticket) (code string, offered []string, err error) {
	k, ok := r.keys[t.Key]
	if !ok {
		return "", nil, fmt.Errorf("numbers: %w", ErrUnknownKey)
	}
	code, offered = matchNumbers(k.Match, t.ID)
	return code, offered, nil
}

// Seal returns the ticket as bytes to store and to publish, sealed under the ticket's
// own key.
func (r *Keyring) Seal(t Ticket) ([]byte, error) {
	k, ok := r.keys[t.Key]
	if !ok {
		return nil, fmt.Errorf("seal: %w", ErrUnknownKey)
	}
	body, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return k.seal(sealRecord, body)
}

// Kinds of sealed values. A seal of one kind is not valid for the other.
const (
	sealRecord = "record"
	sealSwitch = "switch"
)

func (k Key) seal(what string, body []byte) ([]byte, error) {
	out := make([]byte, 0, len(sealVersion)+len(k.ID)+macLength+len(body)+3)
	out = append(out, sealVersion+"."+k.ID+"."...)
	out = base64.RawURLEncoding.AppendEncode(out, k.mac(what, body))
	out = append(out, '.')
	if out = append(out, body...); len(out) > MaxSealed {
		return nil, fmt.Errorf("seal: %s of %d bytes, at most %d can be read again", what, len(out), MaxSealed)
	}
	return out, nil
}

func (k Key) mac(what string, body []byte) []byte {
	mac := hmac.New(sha256.New, k.Seal)
	mac.Write([]byte("loginhub " + what + " " + sealVersion + "." + k.ID + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// unseal checks a seal. It returns the key and the sealed body.
func (r *Keyring) unseal(what string, sealed []byte) (Key, []byte, error) {
	version, rest, ok := CutVersion(sealed)
	switch {
	case !ok:
		return Key{}, nil, fmt.Errorf("%s without a version: %w", what, ErrBrokenSeal)
	case version != sealVersion: // checked before the length, which each version limits itself
		return Key{}, nil, fmt.Errorf("%s of version %s: %w", what, version, ErrUnknownVersion)
	case len(sealed) > MaxSealed:
		return Key{}, nil, fmt.Errorf("%s of %d bytes: %w", what, len(sealed), ErrBrokenSeal)
	}
	kid, rest, _ := bytes.Cut(rest, []byte("."))
	mac, body, ok := bytes.Cut(rest, []byte("."))
	if !ok || len(mac) != macLength {
		return Key{}, nil, fmt.Errorf("malformed %s: %w", what, ErrBrokenSeal)
	}
	k, ok := r.keys[string(kid)]
	if !ok {
		return Key{}, nil, fmt.Errorf("%s under key %.32q: %w", what, kid, ErrUnknownKey)
	}
	var want [macLength]byte
	base64.RawURLEncoding.Encode(want[:], k.mac(what, body))
	if !hmac.Equal(mac, want[:]) {
		return Key{}, nil, fmt.Errorf("wrong MAC: %w", ErrBrokenSeal)
	}
	return k, body, nil
}

// Open returns the ticket in the sealed bytes, if a node sealed them for exactly this
// ticket, else ErrBrokenSeal. It returns ErrUnknownKey if this node lacks the key or
// does not support the version. No other function turns bytes into a ticket.
func (r *Keyring) Open(id ID, sealed []byte) (Ticket, error) {
	k, body, err := r.unseal(sealRecord, sealed)
	if err != nil {
		return Ticket{}, err
	}
	var t Ticket
	if err := json.Unmarshal(body, &t); err != nil {
		return Ticket{}, fmt.Errorf("sealed record: %w: %w", err, ErrBrokenSeal)
	}
	if t.ID != id || t.Key != k.ID {
		return Ticket{}, fmt.Errorf("sealed for another ticket: %w", ErrBrokenSeal)
	}
	// The bytes before the JSON are unique to this version. They are copied, so that the
	// slot that keeps them does not keep the whole record in memory.
	t.tag = string(sealed[:len(sealed)-len(body)])
	return t, nil
}
