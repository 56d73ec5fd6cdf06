package redisstore

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"loginhub/hub/ticket"
)

// SecretKey is one of the keys that a Vault encrypts with.
type SecretKey struct {
	ID  string // stands in clear in front of the value
	Key []byte // 32 bytes
}

// SecretStore keeps small values for all nodes, encrypted and bound to their names
// (AES-256-GCM): who reads and writes in Redis learns none, can forge none and
// can put none in another's place. What remains to him is to delete a value, or
// to put an older one of the same name back. It is safe for concurrent use.
type SecretStore struct {
	store *Store
	ring  atomic.Pointer[SecretKeyring]
}

// SecretKeyring encrypts with its first key and decrypts with all. It does not change.
type SecretKeyring struct {
	ids   []string // newest first
	aeads map[string]cipher.AEAD
}

// NewSecretKeyring takes the keys newest first; there must be at least one.
func NewSecretKeyring(keys []SecretKey) (*SecretKeyring, error) {
	r := &SecretKeyring{aeads: map[string]cipher.AEAD{}}
	for _, k := range keys {
		block, err := aes.NewCipher(k.Key)
		if err != nil {
			return nil, fmt.Errorf("vault key: %w", err)
		}
		if r.aeads[k.ID], err = cipher.NewGCM(block); err != nil {
			return nil, fmt.Errorf("vault key: %w", err)
		}
		r.ids = append(r.ids, k.ID)
	}
	if len(r.ids) == 0 {
		return nil, errors.New("vault without a key")
	}
	return r, nil
}

// SecretStore makes a vault in the store.
func (s *Store) SecretStore(ring *SecretKeyring) *SecretStore {
	v := &SecretStore{store: s}
	v.ring.Store(ring)
	return v
}

// Reload replaces the keys, for every call that begins from now on.
func (v *SecretStore) Reload(ring *SecretKeyring) { v.ring.Store(ring) }

func (v *SecretStore) key(name string) string { return v.store.keyName("vault:{" + name + "}") }

// Now is Redis's clock.
func (v *SecretStore) Now() time.Time { return v.store.Now() }

// Save stores a value for that long: one command.
func (v *SecretStore) Save(ctx context.Context, name string, value []byte, life time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	start := time.Now()
	err := v.store.client.Set(ctx, v.key(name), v.ring.Load().encrypt(name, value), max(life, time.Millisecond)).Err()
	v.store.observe(callSave, start, err)
	return unavailable(err)
}

// Load gives a value; nil if there is none, or none under a key of this node: one
// command.
func (v *SecretStore) Load(ctx context.Context, name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	start := time.Now()
	text, err := v.store.client.Get(ctx, v.key(name)).Bytes()
	v.store.observe(callLoad, start, unavailable(err))
	value, err := v.decrypt(v.ring.Load(), name, text, err)
	if errors.Is(err, ticket.ErrUnknownKey) {
		return nil, nil
	}
	return value, err
}

// Take gives a value and removes it, in one command: of any number of takers one
// gets it; nil if there is none. If the answer is lost on its way, so is the value.
// A value under a key that this node does not have stays, and is
// ticket.ErrUnknownKey: another node can take it.
func (v *SecretStore) Take(ctx context.Context, name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	start := time.Now()
	ring := v.ring.Load()
	text, err := v.store.scripts.take.Run(ctx, v.store.client, []string{v.key(name)}, ring.prefixes()...).Text()
	v.store.observe(callTake, start, unavailable(err))
	return v.decrypt(ring, name, []byte(text), err)
}

// SetNX is true for the first of all nodes that asks for a name, until life is
// over: one command.
func (v *SecretStore) SetNX(ctx context.Context, name string, life time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	start := time.Now()
	first, err := v.store.scripts.setNX.Run(ctx, v.store.client, []string{v.key(name)}, rand.Text(), max(life.Milliseconds(), 1)).Int()
	v.store.observe(callSetNX, start, err)
	return first == 1, unavailable(err)
}

// encrypt is the key's id, a colon, the nonce and the ciphertext. With 96 random
// bits of nonce a key is good for 2^32 values; at ten a second that is 13 years.
func (r *SecretKeyring) encrypt(name string, value []byte) []byte {
	id := r.ids[0]
	nonce := make([]byte, r.aeads[id].NonceSize())
	rand.Read(nonce) // never fails (crypto/rand, Go 1.24)
	out := append([]byte(id+":"), nonce...)
	return r.aeads[id].Seal(out, nonce, value, []byte(name))
}

// prefixes are what values under the ring's keys begin with.
func (r *SecretKeyring) prefixes() []any {
	all := make([]any, len(r.ids))
	for i, id := range r.ids {
		all[i] = id + ":"
	}
	return all
}

func (v *SecretStore) decrypt(r *SecretKeyring, name string, text []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, unavailable(err) // nil where there is nothing
	}
	for _, id := range r.ids {
		seal := r.aeads[id]
		front := len(id) + 1 + seal.NonceSize()
		if len(text) < front || string(text[:len(id)+1]) != id+":" {
			continue
		}
		value, err := seal.Open(nil, text[len(id)+1:front], text[front:], []byte(name))
		if err != nil { // somebody writes in Redis
			if v.store.Metrics != nil {
				v.store.Metrics.DecryptFailed()
			}
			return nil, nil
		}
		return value, nil
	}
	return nil, fmt.Errorf("vault: %w", ticket.ErrUnknownKey)
}
