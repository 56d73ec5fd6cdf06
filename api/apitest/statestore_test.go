package apitest_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"loginhub/hub/redisstore"
)

// memStateStore is a state store in memory; edit changes what it returns.
type memStateStore struct {
	mu      sync.Mutex
	held    map[string][]byte
	until   map[string]time.Time // Take ignores it
	edit    func([]byte) ([]byte, error)
	failure error // of every call
}

func (d *memStateStore) Now() time.Time { return time.Now() }

func (d *memStateStore) Save(_ context.Context, name string, value []byte, life time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failure == nil {
		d.put(name, bytes.Clone(value), life)
	}
	return d.failure
}

// put stores a value. Called with mu held.
func (d *memStateStore) put(name string, value []byte, life time.Duration) {
	if d.until == nil {
		d.until = map[string]time.Time{}
	}
	d.held[name], d.until[name] = value, time.Now().Add(life)
}

func (d *memStateStore) Load(_ context.Context, name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failure != nil || !time.Now().Before(d.until[name]) {
		return nil, d.failure
	}
	return d.edited(d.held[name])
}

func (d *memStateStore) Seal(name string, value []byte) []byte {
	return append([]byte(name+"\n"), value...)
}

func (d *memStateStore) Open(name string, sealed []byte) []byte {
	value, ok := bytes.CutPrefix(sealed, []byte(name+"\n"))
	if !ok {
		return nil
	}
	return value
}

func (d *memStateStore) edited(value []byte) ([]byte, error) {
	if d.edit != nil && value != nil {
		return d.edit(value)
	}
	return value, nil
}

func (d *memStateStore) SetNX(_ context.Context, name string, life time.Duration) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failure != nil {
		return false, d.failure
	}
	if d.held[name] != nil && time.Now().Before(d.until[name]) {
		return false, nil
	}
	d.put(name, []byte{1}, life)
	return true, nil
}

func (d *memStateStore) Take(_ context.Context, name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failure != nil {
		return nil, d.failure
	}
	value := d.held[name]
	delete(d.held, name)
	return d.edited(value)
}

// newOutbox returns an outbox in the store. A server with clients whose messages it keeps must
// be closed.
func newOutbox(t testing.TB, store *redisstore.Store) redisstore.Outbox {
	ring, err := redisstore.NewSecretKeyring([]redisstore.SecretKey{{ID: "k", Key: make([]byte, 32), AES: make([]byte, 32)}})
	must(t, err)
	return redisstore.NewOutbox(store.SecretStore(ring))
}

// noOutboxMetrics counts nothing.
type noOutboxMetrics struct{}

func (noOutboxMetrics) IncMessages(string, string, int)     {}
func (noOutboxMetrics) SetQueue(string, int, time.Duration) {}
func (noOutboxMetrics) ForgetQueue(string)                  {}
