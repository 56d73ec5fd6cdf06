package ticket

import (
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"
)

// Versions of sealed bytes:
//
//	1.KID.MAC.JSON          HMAC-SHA256, JSON in clear
//	2.KID.NONCE.CIPHERTEXT  XChaCha20-Poly1305 of the same JSON
//
// MAC is over "loginhub WHAT 1.KID.JSON", in base64url. WHAT is "record" or "switch".
// NONCE is 24 random bytes in base64url: 192 bits, so random nonces do not repeat under
// one key. CIPHERTEXT is binary and includes the tag. Its associated data is
// "loginhub record TICKET 2.KID.NONCE.".
//
// The JSON repeats the ticket (or the client) and the key, so that a record copied to
// another ticket is rejected.
//
// Records are of version 2, because they say who logs in. Kill switches stay at version
// 1: they contain no personal data, and operators and nodes of earlier releases read
// them.
//
// Bytes of every version, also of later ones, begin with the version's number and
// a dot. What follows is up to the version, including its length: a node that does
// not support the version reads nothing of it (ErrUnknownVersion).
const (
	versionMAC  = "1"
	versionAEAD = "2"
)

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
const MaxSealed = 48 << 10

// Lengths of MAC and nonce in base64url.
const (
	macLength   = 43 // of 32 bytes
	nonceLength = 32 // of 24 bytes
)

// Key is one of the nodes' shared keys, derived for this package.
type Key struct {
	ID      string // the kid; letters, digits, - and _
	Seal    []byte // HMAC key of the kill switches, and of records of version 1
	Encrypt []byte // XChaCha20-Poly1305 key of the records, 32 bytes
	Match   []byte // HMAC key of number matching
	Code    []byte // HMAC key of authorization codes
	Known   []byte // HMAC key of the users that a browser remembers
	Request []byte // XChaCha20-Poly1305 key of values outside of the hub, 32 bytes
	Frame   []byte // HMAC key of living codes

	aead cipher.AEAD // of Encrypt
}

// Keyring seals with its first key and opens with all keys. It is safe for concurrent
// use.
type Keyring struct {
	current string
	order   []string // ids of keys, newest first
	keys    map[string]Key
	revoked map[string]bool // ids; not in keys
	version string          // of the records that it seals
	scratch *sync.Pool      // of *scratch
}

// scratch has the buffers of one call of Seal or Open, which keeps nothing of them.
type scratch struct {
	body, data []byte
	nonce      [chacha20poly1305.NonceSizeX]byte
}

// NewKeyring builds a keyring from at least one key, newest first.
func NewKeyring(keys []Key) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("keyring: no keys")
	}
	r := &Keyring{current: keys[0].ID, keys: make(map[string]Key, len(keys)), version: versionAEAD,
		scratch: &sync.Pool{New: func() any { return new(scratch) }}}
	for _, k := range keys {
		if _, twice := r.keys[k.ID]; twice {
			return nil, fmt.Errorf("keyring: key %s is given twice", k.ID)
		}
		var err error
		if k.aead, err = chacha20poly1305.NewX(k.Encrypt); err != nil {
			return nil, fmt.Errorf("keyring: key %s: %w", k.ID, err)
		}
		r.keys[k.ID] = k
		r.order = append(r.order, k.ID)
	}
	return r, nil
}

// WithRevoked returns a keyring without the keys of these ids. What they have sealed
// counts as forged. At least one key must remain.
func (r *Keyring) WithRevoked(ids ...string) (*Keyring, error) {
	other := *r
	other.keys, other.revoked = maps.Clone(r.keys), map[string]bool{}
	maps.Copy(other.revoked, r.revoked)
	for _, id := range ids {
		other.revoked[id] = true
		delete(other.keys, id)
	}
	other.order = slices.DeleteFunc(slices.Clone(r.order), func(id string) bool { return other.revoked[id] })
	if len(other.order) == 0 {
		return nil, fmt.Errorf("keyring: every key is revoked")
	}
	other.current = other.order[0]
	return &other, nil
}

// Has reports whether the key is in the keyring.
func (r *Keyring) Has(id string) bool { _, ok := r.keys[id]; return ok }

// RecordVersion is the version of the records that nodes write unless they are
// configured otherwise.
const RecordVersion = 2

// WithVersion returns a keyring with the same keys that seals records in that version, 1
// or 2. It opens both. Nodes write version 1 while nodes run that cannot open version 2.
func (r *Keyring) WithVersion(version int) (*Keyring, error) {
	if version < 1 || version > RecordVersion {
		return nil, fmt.Errorf("keyring: record version %d, want 1 to %d", version, RecordVersion)
	}
	other := *r
	other.version = strconv.Itoa(version)
	return &other, nil
}

// Encrypts reports whether the records that it seals are encrypted: those of version 2.
func (r *Keyring) Encrypts() bool { return r.version == versionAEAD }

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

// MatchChoices returns the numbers to choose from for a scanned ticket; nil without number
// matching.
func (r *Keyring) MatchChoices(t Ticket) (choices []string, err error) {
	if t.NumberMatching {
		_, choices, err = r.MatchNumbers(t)
	}
	return choices, err
}

// Seal returns the ticket as bytes to store and to publish, sealed under the ticket's
// own key. Two calls give different bytes, except in version 1.
func (r *Keyring) Seal(t Ticket) ([]byte, error) {
	k, ok := r.keys[t.Key]
	if !ok {
		return nil, fmt.Errorf("seal: %w", ErrUnknownKey)
	}
	old := r.version == versionMAC && t.Grant == nil && t.PageKey == nil // version 1 has neither
	if old {
		t.Origin, t.Reason = "", 0 // nodes that read only version 1 would drop them
	}
	with := r.scratch.Get().(*scratch)
	defer r.scratch.Put(with)
	var err error
	if with.body, err = appendRecord(with.body[:0], &t); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if old {
		return k.authenticate(sealRecord, with.body)
	}
	return k.encrypt(t.ID, with)
}

// proof is what distinguishes a sealed version of a ticket from every other one. It is no
// string, because every waiting ticket has one.
type proof struct {
	version byte              // '1' or '2'; 0: not sealed
	raw     [sha256.Size]byte // MAC, or nonce and zeros
}

// newProof returns the proof of sealed bytes, whose text was checked or written here.
func newProof(version string, text []byte) (p proof) {
	p.version = version[0]
	_, _ = strict.Decode(p.raw[:], text) // a text that does not decode equals no stored one
	return p
}

// WithTag returns the ticket with the tag of the bytes that Seal has made of it.
func (t Ticket) WithTag(sealed []byte) Ticket {
	version, rest, _ := CutVersion(sealed)
	_, rest, _ = bytes.Cut(rest, []byte("."))
	text, _, _ := bytes.Cut(rest, []byte("."))
	t.proof = newProof(version, text)
	return t
}

// Tag identifies the sealed version that this ticket was opened from, or became (WithTag):
// its bytes begin with VERSION.KID.PROOF. A change succeeds only if that version is still
// the stored one. It is nil for a ticket that was not sealed.
func (t Ticket) Tag() []byte {
	if t.proof.version == 0 {
		return nil
	}
	raw := t.proof.raw[:]
	if t.proof.version == versionAEAD[0] {
		raw = raw[:chacha20poly1305.NonceSizeX]
	}
	tag := make([]byte, 0, len(t.Key)+macLength+4)
	tag = append(append(append(tag, t.proof.version, '.'), t.Key...), '.')
	return append(base64.RawURLEncoding.AppendEncode(tag, raw), '.')
}

// SameVersion reports whether both tickets have the same tag.
func (t *Ticket) SameVersion(other *Ticket) bool {
	return t.Key == other.Key && t.proof == other.proof
}

// Kinds of sealed values. A seal of one kind is not valid for the other.
const (
	sealRecord = "record"
	sealSwitch = "switch"
)

// authenticate returns the body in version 1.
func (k Key) authenticate(what string, body []byte) ([]byte, error) {
	out := make([]byte, 0, len(versionMAC)+len(k.ID)+macLength+len(body)+3)
	out = append(out, versionMAC+"."+k.ID+"."...)
	out = base64.RawURLEncoding.AppendEncode(out, k.mac(what, body))
	out = append(out, '.')
	return checkLength(what, append(out, body...))
}

// encrypt returns the body of a ticket's record in version 2.
func (k Key) encrypt(id ID, with *scratch) ([]byte, error) {
	nonce := with.nonce[:]
	rand.Read(nonce) // never fails (crypto/rand, Go 1.24)
	out := make([]byte, 0, len(versionAEAD)+len(k.ID)+nonceLength+len(with.body)+chacha20poly1305.Overhead+3)
	out = append(out, versionAEAD+"."+k.ID+"."...)
	out = base64.RawURLEncoding.AppendEncode(out, nonce)
	out = append(out, '.')
	return checkLength(sealRecord, k.aead.Seal(out, nonce, with.body, with.associated(id, out)))
}

// associated returns the associated data of a record that begins with head.
func (s *scratch) associated(id ID, head []byte) []byte {
	s.data = append(append(s.data[:0], "loginhub "+sealRecord+" "...), id...)
	s.data = append(append(s.data, ' '), head...)
	return s.data
}

func checkLength(what string, sealed []byte) ([]byte, error) {
	if len(sealed) > MaxSealed {
		return nil, fmt.Errorf("seal: %s of %d bytes, at most %d can be read again", what, len(sealed), MaxSealed)
	}
	return sealed, nil
}

func (k Key) mac(what string, body []byte) []byte {
	mac := hmac.New(sha256.New, k.Seal)
	mac.Write([]byte("loginhub " + what + " " + versionMAC + "." + k.ID + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// parts are sealed bytes in their parts: VERSION.KID.PROOF.BODY.
type parts struct {
	version     string
	key         Key
	head        []byte // everything before the body
	proof, body []byte // MAC or nonce, and JSON or ciphertext
}

// split returns the parts of sealed bytes whose version and key this node has.
func (r *Keyring) split(what string, sealed []byte) (p parts, err error) {
	version, rest, ok := CutVersion(sealed)
	switch {
	case !ok:
		return p, fmt.Errorf("%s without a version: %w", what, ErrBrokenSeal)
	case version != versionMAC && version != versionAEAD: // checked before the length, which each version limits itself
		return p, fmt.Errorf("%s of version %s: %w", what, version, ErrUnknownVersion)
	case len(sealed) > MaxSealed:
		return p, fmt.Errorf("%s of %d bytes: %w", what, len(sealed), ErrBrokenSeal)
	}
	kid, rest, _ := bytes.Cut(rest, []byte("."))
	p.version = version
	if p.proof, p.body, ok = bytes.Cut(rest, []byte(".")); !ok {
		return p, fmt.Errorf("malformed %s: %w", what, ErrBrokenSeal)
	}
	if r.revoked[string(kid)] {
		return p, fmt.Errorf("%s under key %.32q: %w", what, kid, ErrRevokedKey)
	}
	if p.key, ok = r.keys[string(kid)]; !ok {
		return p, fmt.Errorf("%s under key %.32q: %w", what, kid, ErrUnknownKey)
	}
	p.head = sealed[:len(sealed)-len(p.body)]
	return p, nil
}

// verify checks the MAC of version 1 and returns the body.
func (p parts) verify(what string) ([]byte, error) {
	var want [macLength]byte
	base64.RawURLEncoding.Encode(want[:], p.key.mac(what, p.body))
	if !hmac.Equal(p.proof, want[:]) {
		return nil, fmt.Errorf("wrong MAC: %w", ErrBrokenSeal)
	}
	return p.body, nil
}

// decrypt decrypts a ticket's record of version 2 into the body.
func (p parts) decrypt(id ID, with *scratch) (err error) {
	nonce := with.nonce[:]
	if len(p.proof) != nonceLength {
		return fmt.Errorf("nonce of %d characters: %w", len(p.proof), ErrBrokenSeal)
	}
	if n, err := strict.Decode(nonce, p.proof); err != nil || n != len(nonce) {
		return fmt.Errorf("malformed nonce: %w", ErrBrokenSeal)
	}
	if with.body, err = p.key.aead.Open(with.body[:0], nonce, p.body, with.associated(id, p.head)); err != nil {
		return fmt.Errorf("decrypt: %w: %w", err, ErrBrokenSeal)
	}
	return nil
}

// Open returns the ticket in the sealed bytes, if a node sealed them for exactly this
// ticket, else ErrBrokenSeal. It returns ErrUnknownKey if this node lacks the key or
// does not support the version. No other function turns bytes into a ticket.
func (r *Keyring) Open(id ID, sealed []byte) (Ticket, error) {
	p, err := r.split(sealRecord, sealed)
	if err != nil {
		return Ticket{}, err
	}
	with := r.scratch.Get().(*scratch)
	defer r.scratch.Put(with)
	body := []byte(nil)
	if p.version == versionMAC {
		body, err = p.verify(sealRecord)
	} else {
		err = p.decrypt(id, with)
		body = with.body
	}
	if err != nil {
		return Ticket{}, err
	}
	t, err := parseRecord(body, p.key.ID)
	if err != nil {
		return Ticket{}, err
	}
	if t.ID != id || t.Key != p.key.ID {
		return Ticket{}, fmt.Errorf("sealed for another ticket: %w", ErrBrokenSeal)
	}
	if !t.State.known() || t.Grant != nil && !t.Grant.known() {
		// Guessing what a later release means could deliver nothing, or to the wrong place.
		return Ticket{}, fmt.Errorf("sealed record of an unknown kind: %w", ErrUnknownVersion)
	}
	t.proof = newProof(p.version, p.proof)
	return t, nil
}
