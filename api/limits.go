package api

import (
	"net/netip"
	"sync"
	"time"

	"loginhub/hub/ticket"
)

// maxBuckets bounds the memory of a limiter: about 4 MiB.
const maxBuckets = 1 << 16

// limiter allows so many events per minute and address, all of them at once if
// need be (generic cell rate algorithm: one time per address is its whole state).
// It is per node and in bounded memory: many addresses beyond the table share
// one bucket.
type limiter struct {
	per time.Duration // between two events at the steady rate; 0: no limit

	mu    sync.Mutex
	until map[netip.Prefix]time.Time // when the bucket is empty again
}

const window = time.Minute

func newLimiter(perMinute int) *limiter {
	l := &limiter{until: map[netip.Prefix]time.Time{}}
	if perMinute > 0 {
		l.per = window / time.Duration(perMinute)
	}
	return l
}

// allow counts one event, or refuses it and says when to try again.
func (l *limiter) allow(who netip.Prefix, now time.Time) error {
	if l.per == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	until, known := l.until[who]
	if !known && len(l.until) >= maxBuckets {
		if l.sweep(now); len(l.until) >= maxBuckets {
			who = netip.Prefix{}
			until = l.until[who]
		}
	}
	if until.Before(now) {
		until = now
	}
	// Half a step of tolerance: window may not divide by the rate.
	if over := until.Add(l.per).Sub(now) - window - l.per/2; over > 0 {
		return &ticket.RetryError{After: over, Err: errRateLimited}
	}
	l.until[who] = until.Add(l.per)
	return nil
}

// sweep forgets buckets that are empty.
func (l *limiter) sweep(now time.Time) {
	for who, until := range l.until {
		if until.Before(now) {
			delete(l.until, who)
		}
	}
}
