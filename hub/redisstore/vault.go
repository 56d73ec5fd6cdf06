package redisstore

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed claim.lua
var claimLua string

// VaultKey is one of the keys that a Vault encrypts with.
type VaultKey struct {
	ID  string // stands in clear in front of the value
	Key []byte // 32 bytes
}

// Vault keeps small values for all nodes, encrypted and bound to their names
// (AES-256-GCM): who reads and writes in Redis learns none, can forge none and
// can put none in another's place. What remains to him is to delete a value, or
// to put an older one of the same name back. A value under a key that this node
// does not have counts as absent.
type Vault struct {
	store  *Store
	claims *redis.Script
	ids    []string // newest first
	seals  map[string]cipher.AEAD
}

// Vault makes a vault in the store; keys newest first.
func (s *Store) Vault(keys []VaultKey) (*Vault, error) {
	v := &Vault{store: s, claims: redis.NewScript(claimLua), seals: map[string]cipher.AEAD{}}
	for _, k := range keys {
		block, err := aes.NewCipher(k.Key)
		if err != nil {
			return nil, fmt.Errorf("vault key: %w", err)
		}
		if v.seals[k.ID], err = cipher.NewGCM(block); err != nil {
			return nil, fmt.Errorf("vault key: %w", err)
		}
		v.ids = append(v.ids, k.ID)
	}
	if len(v.ids) == 0 {
		return nil, errors.New("vault without a key")
	}
	return v, nil
}

func vaultKey(name string) string { return "loginhub:vault:{" + name + "}" }

// Now is Redis's clock.
func (v *Vault) Now() time.Time { return v.store.Now() }

// Save stores a value for that long: one command.
func (v *Vault) Save(ctx context.Context, name string, value []byte, life time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	start := time.Now()
	err := v.store.client.Set(ctx, vaultKey(name), v.seal(name, value), max(life, time.Millisecond)).Err()
	v.store.called(callSave, start, err)
	return failure(err)
}

// Load gives a value; nil where there is none: one command.
func (v *Vault) Load(ctx context.Context, name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	start := time.Now()
	cmd := v.store.client.Get(ctx, vaultKey(name))
	v.store.called(callLoad, start, failure(cmd.Err()))
	return v.open(name, cmd)
}

// Take gives a value and removes it, in one command: of any number of takers one
// gets it. Where the answer is lost on its way, so is the value.
func (v *Vault) Take(ctx context.Context, name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	start := time.Now()
	cmd := v.store.client.GetDel(ctx, vaultKey(name))
	v.store.called(callTake, start, failure(cmd.Err()))
	return v.open(name, cmd)
}

// Claim is true for the first of all nodes that asks for a name, until life is
// over: one command.
func (v *Vault) Claim(ctx context.Context, name string, life time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	start := time.Now()
	first, err := v.claims.Run(ctx, v.store.client, []string{vaultKey(name)}, rand.Text(), max(life.Milliseconds(), 1)).Int()
	v.store.called(callClaim, start, err)
	return first == 1, failure(err)
}

// seal is the key's id, a colon, the nonce and the ciphertext. With 96 random
// bits of nonce a key is good for 2^32 values; at ten a second that is 13 years.
func (v *Vault) seal(name string, value []byte) []byte {
	id := v.ids[0]
	nonce := make([]byte, v.seals[id].NonceSize())
	rand.Read(nonce) // never fails (crypto/rand, Go 1.24)
	out := append([]byte(id+":"), nonce...)
	return v.seals[id].Seal(out, nonce, value, []byte(name))
}

func (v *Vault) open(name string, cmd *redis.StringCmd) ([]byte, error) {
	text, err := cmd.Bytes()
	if err != nil {
		return nil, failure(err) // nil where there is nothing
	}
	for _, id := range v.ids {
		seal := v.seals[id]
		front := len(id) + 1 + seal.NonceSize()
		if len(text) < front || string(text[:len(id)+1]) != id+":" {
			continue
		}
		value, err := seal.Open(nil, text[len(id)+1:front], text[front:], []byte(name))
		if err != nil { // somebody writes in Redis
			if v.store.Meter != nil {
				v.store.Meter.Forged()
			}
			return nil, nil
		}
		return value, nil
	}
	return nil, nil
}
