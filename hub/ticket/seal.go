package ticket

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// A sealed record is text, so that an operator can read it in redis-cli:
//
//	1.KID.MAC.JSON
//
// MAC is the HMAC-SHA256 over "loginhub record 1.KID.JSON" under the nodes' key
// KID, base64url. The JSON names the ticket and the key again: a record copied
// to another ticket's place does not fit there.
const sealVersion = "1"

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

// Numbers is the number that the page shows and those that the phone offers.
func (r *Keyring) Numbers(t Ticket) (code string, offered []string, err error) {
	k, ok := r.keys[t.Key]
	if !ok {
		return "", nil, fmt.Errorf("numbers: %w", ErrUnknownKey)
	}
	code, offered = numbers(k.Match, t.ID)
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
	out := make([]byte, 0, len(sealVersion)+len(k.ID)+macLength+len(body)+3)
	out = append(out, sealVersion+"."+k.ID+"."...)
	out = base64.RawURLEncoding.AppendEncode(out, k.mac(body))
	out = append(out, '.')
	if out = append(out, body...); len(out) > MaxSealed {
		return nil, fmt.Errorf("seal: a record of %d bytes could not be read again", len(out))
	}
	return out, nil
}

func (k Key) mac(body []byte) []byte {
	mac := hmac.New(sha256.New, k.Seal)
	mac.Write([]byte("loginhub record " + sealVersion + "." + k.ID + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// Open is the only way from bytes to a ticket. It returns ErrBrokenSeal for
// anything that was not sealed by a node of ours for exactly this ticket, and
// ErrUnknownKey where this node lacks the key to tell.
func (r *Keyring) Open(id ID, sealed []byte) (Ticket, error) {
	if len(sealed) > MaxSealed {
		return Ticket{}, fmt.Errorf("%d bytes: %w", len(sealed), ErrBrokenSeal)
	}
	version, rest, _ := bytes.Cut(sealed, []byte("."))
	kid, rest, _ := bytes.Cut(rest, []byte("."))
	mac, body, ok := bytes.Cut(rest, []byte("."))
	if !ok || string(version) != sealVersion || len(mac) != macLength {
		return Ticket{}, fmt.Errorf("malformed record: %w", ErrBrokenSeal)
	}
	k, ok := r.keys[string(kid)]
	if !ok {
		return Ticket{}, fmt.Errorf("record under key %.32q: %w", kid, ErrUnknownKey)
	}
	var want [macLength]byte
	base64.RawURLEncoding.Encode(want[:], k.mac(body))
	if !hmac.Equal(mac, want[:]) {
		return Ticket{}, fmt.Errorf("wrong MAC: %w", ErrBrokenSeal)
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
