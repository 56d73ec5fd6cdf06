package verify

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ReplayStore records which tokens were used.
type ReplayStore interface {
	// MarkUsed records the id until the given time and reports whether it was not
	// recorded before. Of concurrent calls for an id, in all processes that share the
	// store, exactly one returns true. If it returns an error, the token is refused.
	//
	// In Redis it is SET KEY 1 NX EXAT UNTIL. With go-redis: redis.Nil from SetArgs with
	// Mode "NX" and ExpireAt until means that the id was recorded before.
	MarkUsed(ctx context.Context, id string, until time.Time) (bool, error)
}

// MemoryStore is a ReplayStore for a site that runs as one process; two processes would
// each accept a token once. The zero value is ready to use. A restart loses the
// records, but tokens live five minutes and are bound to a session by the nonce.
type MemoryStore struct {
	// Max is the largest number of tokens held, about 100 bytes each; 0 is 100,000.
	Max int
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	mu        sync.Mutex
	usedUntil map[string]time.Time
	lastSweep time.Time
}

// ErrFull means that a MemoryStore holds Max tokens and none of them has expired. It
// evicts none, because an evicted token could be used again.
var ErrFull = errors.New("more tokens in use than MemoryStore.Max")

// MarkUsed implements ReplayStore.
func (m *MemoryStore) MarkUsed(_ context.Context, id string, until time.Time) (bool, error) {
	now, most := time.Now, m.Max
	if m.Now != nil {
		now = m.Now
	}
	if most <= 0 {
		most = 100_000
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.usedUntil == nil {
		m.usedUntil = map[string]time.Time{}
	}
	t := now()
	if old, ok := m.usedUntil[id]; ok && t.Before(old) {
		return false, nil
	}
	// Expired tokens are removed every minute; every second if the store is full.
	if age := t.Sub(m.lastSweep); age >= time.Minute || len(m.usedUntil) >= most && age >= time.Second {
		m.lastSweep = t
		for id, end := range m.usedUntil {
			if !t.Before(end) {
				delete(m.usedUntil, id)
			}
		}
	}
	if len(m.usedUntil) >= most {
		return false, ErrFull
	}
	m.usedUntil[id] = until
	return true, nil
}
