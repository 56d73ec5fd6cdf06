package redisstore

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"loginhub/hub/ticket"
)

// SecretKey is one of the keys that encrypt a SecretStore.
type SecretKey struct {
	ID  string // precedes the value, in clear
	Key []byte // XChaCha20-Poly1305 key of values of version 2, 32 bytes
	AES []byte // AES-256-GCM key of values of version 1
}

// SecretStore keeps small values for all nodes. They are encrypted and bound to their
// names. Somebody who can read and write in Redis can neither read nor forge a value,
// nor move one to another name. They can only delete a value, or restore an older one of
// the same name. It is safe for concurrent use.
//
// A value is its head, a random nonce and the ciphertext. The head is "2.KID:" for
// XChaCha20-Poly1305, and "KID:" for AES-256-GCM (version 1). Random nonces of 96 bits
// are safe for 2^32 values a key, which 1,000 website logins a second use up in 50 days;
// version 2 has nonces of 192 bits.
type SecretStore struct {
	store *Store
	ring  atomic.Pointer[SecretKeyring]
}

// SecretKeyring encrypts with its first key and decrypts with all keys. It is immutable.
type SecretKeyring struct {
	writes  int // index in sealers
	sealers []sealer
}

// sealer encrypts the values that begin with head.
type sealer struct {
	head string
	cipher.AEAD
}

// NewSecretKeyring builds a keyring from at least one key, newest first.
func NewSecretKeyring(keys []SecretKey) (*SecretKeyring, error) {
	r := &SecretKeyring{}
	for _, k := range keys {
		second, err := chacha20poly1305.NewX(k.Key)
		if err != nil {
			return nil, fmt.Errorf("secret store key: %w", err)
		}
		block, err := aes.NewCipher(k.AES)
		if err != nil {
			return nil, fmt.Errorf("secret store key: %w", err)
		}
		first, err := cipher.NewGCM(block)
		if err != nil {
			return nil, fmt.Errorf("secret store key: %w", err)
		}
		r.sealers = append(r.sealers, sealer{"2." + k.ID + ":", second}, sealer{k.ID + ":", first})
	}
	if len(r.sealers) == 0 {
		return nil, errors.New("secret store: no keys")
	}
	return r, nil
}

// WithVersion returns a keyring with the same keys that writes values of that version, 1
// or 2. It reads both (ticket.Keyring.WithVersion).
func (r *SecretKeyring) WithVersion(version int) *SecretKeyring {
	return &SecretKeyring{writes: ticket.RecordVersion - version, sealers: r.sealers}
}

// SecretStore returns a SecretStore in this Redis.
func (s *Store) SecretStore(ring *SecretKeyring) *SecretStore {
	v := &SecretStore{store: s}
	v.ring.Store(ring)
	return v
}

// Reload replaces the keys for all later calls.
func (v *SecretStore) Reload(ring *SecretKeyring) { v.ring.Store(ring) }

func (v *SecretStore) key(name string) string { return v.store.names().key("vault:{" + name + "}") }

// Now returns Redis's clock.
func (v *SecretStore) Now() time.Time { return v.store.Now() }

// Save stores a value for the given time. It costs one command.
func (v *SecretStore) Save(ctx context.Context, name string, value []byte, life time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	start := time.Now()
	err := v.store.client.Set(ctx, v.key(name), v.ring.Load().encrypt(name, value), max(life, time.Millisecond)).Err()
	v.store.observe(ctx, callSave, start, err)
	return unavailable(err)
}

// Load returns a value, or nil if there is none, or none under a key of this node. It
// costs one command.
func (v *SecretStore) Load(ctx context.Context, name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	start := time.Now()
	text, err := v.store.client.Get(ctx, v.key(name)).Bytes()
	v.store.observe(ctx, callLoad, start, unavailable(err))
	value, err := v.decrypt(v.ring.Load(), name, text, err)
	if errors.Is(err, ticket.ErrUnknownKey) {
		return nil, nil
	}
	return value, err
}

// Take returns a value and removes it in one command: of any number of concurrent calls,
// one gets it. It returns nil if there is none. If the reply is lost, so is the value. A
// value under a key that this node does not have is kept, and the error is
// ticket.ErrUnknownKey: another node can take it.
func (v *SecretStore) Take(ctx context.Context, name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	start := time.Now()
	ring := v.ring.Load()
	text, err := v.store.scripts.take.Run(ctx, v.store.client, []string{v.key(name)}, ring.prefixes()...).Text()
	v.store.observe(ctx, callTake, start, unavailable(err))
	return v.decrypt(ring, name, []byte(text), err)
}

// Seal returns a value encrypted and bound to the name, for somebody else to keep. It is
// not in Redis.
func (v *SecretStore) Seal(name string, value []byte) []byte {
	return v.ring.Load().encrypt(name, value)
}

// Open returns the value that Seal was given; nil if the text was not sealed for that
// name, or under no key of this node.
func (v *SecretStore) Open(name string, sealed []byte) []byte {
	ring := v.ring.Load()
	for _, seal := range ring.sealers {
		if value, ok := seal.open(name, sealed); ok {
			return value
		}
	}
	return nil
}

// open decrypts a value that begins with the sealer's head.
func (s sealer) open(name string, text []byte) ([]byte, bool) {
	sealed, found := bytes.CutPrefix(text, []byte(s.head))
	if !found || len(sealed) < s.NonceSize() {
		return nil, false
	}
	value, err := s.AEAD.Open(nil, sealed[:s.NonceSize()], sealed[s.NonceSize():], []byte(name))
	return value, err == nil
}

// SetNX reports whether this call is the first for the name among all nodes, until the
// lifetime ends. It costs one command.
func (v *SecretStore) SetNX(ctx context.Context, name string, life time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	start := time.Now()
	first, err := v.store.scripts.setNX.Run(ctx, v.store.client, []string{v.key(name)}, rand.Text(), max(life.Milliseconds(), 1)).Int()
	v.store.observe(ctx, callSetNX, start, err)
	return first == 1, unavailable(err)
}

// encrypt returns the value as it is stored.
func (r *SecretKeyring) encrypt(name string, value []byte) []byte {
	seal := r.sealers[r.writes]
	nonce := make([]byte, seal.NonceSize())
	rand.Read(nonce) // never fails (crypto/rand, Go 1.24)
	return seal.Seal(append([]byte(seal.head), nonce...), nonce, value, []byte(name))
}

// prefixes returns the beginnings of all values under the keyring's keys.
func (r *SecretKeyring) prefixes() []any {
	all := make([]any, len(r.sealers))
	for i, s := range r.sealers {
		all[i] = s.head
	}
	return all
}

func (v *SecretStore) decrypt(r *SecretKeyring, name string, text []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, unavailable(err) // nil if there is no value
	}
	for _, seal := range r.sealers {
		sealed, found := bytes.CutPrefix(text, []byte(seal.head))
		if !found || len(sealed) < seal.NonceSize() {
			continue
		}
		value, err := seal.Open(nil, sealed[:seal.NonceSize()], sealed[seal.NonceSize():], []byte(name))
		if err != nil { // somebody else writes in Redis
			if v.store.Metrics != nil {
				v.store.Metrics.DecryptFailed()
			}
			return nil, nil
		}
		return value, nil
	}
	return nil, fmt.Errorf("secret store: %w", ticket.ErrUnknownKey)
}
