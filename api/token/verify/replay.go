package verify

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ReplayStore remembers which tokens were used.
type ReplayStore interface {
	// MarkUsed notes the id until the given time and reports whether it was not
	// noted before. Of any number of calls at once, in all processes that share
	// the store, it is true for one. An error refuses the token.
	//
	// In Redis it is SET KEY 1 NX EXAT UNTIL; see the example.
	MarkUsed(ctx context.Context, id string, until time.Time) (bool, error)
}

// MemoryStore is a Seen for a site that is one process: two would each take the token
// once. Its zero value is ready. A restart forgets what was used; tokens live
// five minutes, and the nonce is the session's.
type MemoryStore struct {
	// Max is how many it holds, about 100 bytes each; 0 is 100,000.
	Max int
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	mu        sync.Mutex
	usedUntil map[string]time.Time
	lastSweep time.Time
}

// ErrFull is a Memory that holds as many tokens as it may, none of them over:
// one that it forgot could be used again.
var ErrFull = errors.New("too many tokens at once for Memory.Max")

// MarkUsed implements Seen.
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
	// Every minute, and where it is full, but then not at every call.
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
