package ratelimit

import (
	"net/netip"
	"sync"
	"time"

	"loginhub/hub/provider"
)

// maxRateKeys bounds the memory of a limiter: about 4 MiB.
const maxRateKeys = 1 << 16

// Limiter allows a number of events per minute and key, in a burst if need
// be. It is the generic cell rate algorithm (GCRA): one time per key is the
// whole state. It is per node and of bounded memory: keys beyond the table
// share one bucket.
type Limiter[K comparable] struct {
	interval time.Duration // between two events at the steady rate; 0: no limit
	onReject func()        // called at every refusal, with mu held; may be nil

	mu        sync.Mutex
	tat       map[K]time.Time // theoretical arrival time: when the bucket is empty again
	lastSweep time.Time       // the last sweep of a full table
}

// AddrLimiter counts by address.
type AddrLimiter = Limiter[netip.Prefix]

// Key returns the prefix that one subscriber usually has: an IPv4 address,
// or an IPv6 /64.
func Key(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // all requests without an address share one bucket
	}
	return prefix
}

// window is the period of all limits.
const window = time.Minute

// newAddrLimiter returns a limiter of perMinute events for each address; 0: no
// limit.
func newAddrLimiter(perMinute int) *AddrLimiter { return newLimiter[netip.Prefix](perMinute) }

// newLimiter returns a limiter of perMinute events for each key; 0: no
// limit.
func newLimiter[K comparable](perMinute int) *Limiter[K] {
	l := &Limiter[K]{tat: map[K]time.Time{}}
	if perMinute > 0 {
		l.interval = window / time.Duration(perMinute)
	}
	return l
}

// Allow counts one event. If the key is over its limit, it returns a
// *provider.RetryError with the time until the next event is allowed.
func (l *Limiter[K]) Allow(key K, now time.Time) error {
	_, err := l.take(key, now)
	return err
}

// take is Allow that also returns a function to refund the event. Call refund
// at most once.
func (l *Limiter[K]) take(key K, now time.Time) (refund func(), err error) {
	if l.interval == 0 {
		return nothing, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	tat, known := l.tat[key]
	if !known && len(l.tat) >= maxRateKeys {
		if l.sweepFull(now); len(l.tat) >= maxRateKeys {
			var shared K
			key = shared
			tat = l.tat[key]
		}
	}
	if tat.Before(now) {
		tat = now
	}
	// The window may not be a multiple of the interval, so half an interval is
	// tolerated.
	if early := tat.Add(l.interval).Sub(now) - window - l.interval/2; early > 0 {
		if l.onReject != nil {
			l.onReject()
		}
		return nil, &provider.RetryError{After: early, Err: ErrRateLimited}
	}
	l.tat[key] = tat.Add(l.interval)
	return func() { l.refund(key) }, nil
}

// nothing is the refund without a limit. A function literal in generic code is allocated.
func nothing() {}

// refund takes back one event that was counted before its outcome was known.
// Events are counted first, so that concurrent calls cannot exceed the limit.
func (l *Limiter[K]) refund(key K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if tat, known := l.tat[key]; known {
		l.tat[key] = tat.Add(-l.interval)
	}
}

// sweepEvery is the minimum time between two sweeps of a full table: a flood
// from new addresses must not cost one sweep for each event.
const sweepEvery = time.Second

// sweepFull sweeps a full table, unless the last sweep was less than sweepEvery
// ago. Called with mu held.
func (l *Limiter[K]) sweepFull(now time.Time) {
	if now.Sub(l.lastSweep).Abs() >= sweepEvery {
		l.lastSweep = now
		l.sweep(now)
	}
}

// sweep deletes the buckets that are empty. Called with mu held.
func (l *Limiter[K]) sweep(now time.Time) {
	for key, tat := range l.tat {
		if tat.Before(now) {
			delete(l.tat, key)
		}
	}
}
