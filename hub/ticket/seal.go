package ticket

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// Sealed bytes are text, so that an operator can read them in redis-cli:
//
//	1.KID.MAC.JSON
//
// MAC is the HMAC-SHA256 over "loginhub WHAT 1.KID.JSON" under the nodes' key KID,
// base64url. WHAT is "record" or "switch". The JSON names the ticket and the key,
// or the client, again: a record copied to another ticket's place does not fit
// there.
//
// The bytes begin with the version's number and a dot, and so must those of every
// later version. What follows the dot is the version's own affair, its length
// too: a node that does not know the version reads nothing of it (ErrUnknownVersion).
const sealVersion = "1"

// maxVersion is the length of the longest version number, in digits.
const maxVersion = 4

// CutVersion takes the version's number off what a node has written into Redis. It
// is the only place that tells versions apart; ok is false for bytes of no version.
func CutVersion(written []byte) (version string, rest []byte, ok bool) {
	number, rest, ok := bytes.Cut(written, []byte("."))
	if !ok || len(number) == 0 || len(number) > maxVersion || number[0] == '0' || len(bytes.Trim(number, "0123456789")) > 0 {
		return "", nil, false
	}
	return string(number), rest, true
}

// MaxSealed bounds what is read as a record or message: the longest legal one,
// every field at its limit and escaped, stays below.
const MaxSealed = 24 << 10

// macLength is 32 bytes in base64url.
const macLength = 43

// Key is one of the nodes' shared keys, as derived for this package.
type Key struct {
	ID    string // the kid; letters, digits, - and _
	Seal  []byte // HMAC key of the records
	Match []byte // HMAC key of number matching
}

// Keyring seals with its first key and opens with all. It is safe for
// concurrent use.
type Keyring struct {
	current string
	keys    map[string]Key
}

// NewKeyring takes the keys newest first; there must be at least one.
func NewKeyring(keys []Key) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("keyring: no key")
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

// Current is the id of the key that seals new tickets.
func (r *Keyring) Current() string { return r.current }

// MatchNumbers is the number that the page shows and those that the phone offers.
func (r *Keyring) MatchNumbers(t Ticket) (code string, offered []string, err error) {
	k, ok := r.keys[t.Key]
	if !ok {
		return "", nil, fmt.Errorf("numbers: %w", ErrUnknownKey)
	}
	code, offered = matchNumbers(k.Match, t.ID)
	return code, offered, nil
}

// Seal turns a ticket into the bytes that are stored and published, under the
// ticket's own key.
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

// What is sealed: a seal of one kind never fits another.
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
		return nil, fmt.Errorf("seal: a %s of %d bytes could not be read again", what, len(out))
	}
	return out, nil
}

func (k Key) mac(what string, body []byte) []byte {
	mac := hmac.New(sha256.New, k.Seal)
	mac.Write([]byte("loginhub " + what + " " + sealVersion + "." + k.ID + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// unseal checks a seal and gives the key and the body under it.
func (r *Keyring) unseal(what string, sealed []byte) (Key, []byte, error) {
	version, rest, ok := CutVersion(sealed)
	switch {
	case !ok:
		return Key{}, nil, fmt.Errorf("%s without a version: %w", what, ErrBrokenSeal)
	case version != sealVersion: // before the length, which is the version's affair
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

// Open is the only way from bytes to a ticket. It returns ErrBrokenSeal for
// anything that was not sealed by a node of ours for exactly this ticket, and
// ErrUnknownKey if this node lacks the key, or does not know the version, to tell.
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
	// Everything before the JSON tells this version from every other. A copy:
	// a slot keeps it, and not the whole record with it.
	t.tag = bytes.Clone(sealed[:len(sealed)-len(body)])
	return t, nil
}
