package api

import (
	"net/netip"
	"sync"
	"time"

	"loginhub/hub/ticket"
)

// maxRateKeys bounds the memory of a limiter: about 4 MiB.
const maxRateKeys = 1 << 16

// rateLimiter allows so many events per minute and key, all of them at once if need
// be (generic cell rate algorithm: one time per key is its whole state). It is
// per node and in bounded memory: many keys beyond the table share one bucket.
type rateLimiter[K comparable] struct {
	interval time.Duration // between two events at the steady rate; 0: no limit
	onReject func()        // told of every refusal; may be nil

	mu        sync.Mutex
	tat       map[K]time.Time // when the bucket is empty again
	lastSweep time.Time       // when a full table was last gone through
}

// addrLimiter is by address.
type addrLimiter = rateLimiter[netip.Prefix]

const window = time.Minute

func newAddrLimiter(perMinute int) *addrLimiter { return newRateLimiter[netip.Prefix](perMinute) }

func newRateLimiter[K comparable](perMinute int) *rateLimiter[K] {
	l := &rateLimiter[K]{tat: map[K]time.Time{}}
	if perMinute > 0 {
		l.interval = window / time.Duration(perMinute)
	}
	return l
}

// allow counts one event, or refuses it and says when to try again.
func (l *rateLimiter[K]) allow(who K, now time.Time) error {
	_, err := l.take(who, now)
	return err
}

// take is allow with the way to take the event back, which is called once at most.
func (l *rateLimiter[K]) take(who K, now time.Time) (refund func(), err error) {
	if l.interval == 0 {
		return func() {}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	until, known := l.tat[who]
	if !known && len(l.tat) >= maxRateKeys {
		if l.sweepFull(now); len(l.tat) >= maxRateKeys {
			var shared K
			who = shared
			until = l.tat[who]
		}
	}
	if until.Before(now) {
		until = now
	}
	// Half a step of tolerance: window may not divide by the rate.
	if early := until.Add(l.interval).Sub(now) - window - l.interval/2; early > 0 {
		if l.onReject != nil {
			l.onReject()
		}
		return nil, &ticket.RetryError{After: early, Err: errRateLimited}
	}
	l.tat[who] = until.Add(l.interval)
	return func() { l.refund(who) }, nil
}

// refund takes one event back that was counted before its outcome was known.
// Counting first is what holds against calls that race each other.
func (l *rateLimiter[K]) refund(who K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until, known := l.tat[who]; known {
		l.tat[who] = until.Add(-l.interval)
	}
}

// sweepEvery is between two goes through a full table: a flood from ever new
// addresses must not cost one each.
const sweepEvery = time.Second

func (l *rateLimiter[K]) sweepFull(now time.Time) {
	if now.Sub(l.lastSweep).Abs() >= sweepEvery {
		l.lastSweep = now
		l.sweep(now)
	}
}

// sweep forgets buckets that are empty.
func (l *rateLimiter[K]) sweep(now time.Time) {
	for who, until := range l.tat {
		if until.Before(now) {
			delete(l.tat, who)
		}
	}
}
