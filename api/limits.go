package api

import (
	"net/netip"
	"sync"
	"time"

	"loginhub/hub/ticket"
)

// maxBuckets bounds the memory of a limiter: about 4 MiB.
const maxBuckets = 1 << 16

// buckets allows so many events per minute and key, all of them at once if need
// be (generic cell rate algorithm: one time per key is its whole state). It is
// per node and in bounded memory: many keys beyond the table share one bucket.
type buckets[K comparable] struct {
	per  time.Duration // between two events at the steady rate; 0: no limit
	over func()        // told of every refusal; may be nil

	mu    sync.Mutex
	until map[K]time.Time // when the bucket is empty again
	swept time.Time       // when a full table was last gone through
}

// limiter is by address.
type limiter = buckets[netip.Prefix]

const window = time.Minute

func newLimiter(perMinute int) *limiter { return newBuckets[netip.Prefix](perMinute) }

func newBuckets[K comparable](perMinute int) *buckets[K] {
	l := &buckets[K]{until: map[K]time.Time{}}
	if perMinute > 0 {
		l.per = window / time.Duration(perMinute)
	}
	return l
}

// allow counts one event, or refuses it and says when to try again.
func (l *buckets[K]) allow(who K, now time.Time) error {
	_, err := l.take(who, now)
	return err
}

// take is allow with the way to take the event back, which is called once at most.
func (l *buckets[K]) take(who K, now time.Time) (refund func(), err error) {
	if l.per == 0 {
		return func() {}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	until, known := l.until[who]
	if !known && len(l.until) >= maxBuckets {
		if l.sweepFull(now); len(l.until) >= maxBuckets {
			var shared K
			who = shared
			until = l.until[who]
		}
	}
	if until.Before(now) {
		until = now
	}
	// Half a step of tolerance: window may not divide by the rate.
	if early := until.Add(l.per).Sub(now) - window - l.per/2; early > 0 {
		if l.over != nil {
			l.over()
		}
		return nil, &ticket.RetryError{After: early, Err: errRateLimited}
	}
	l.until[who] = until.Add(l.per)
	return func() { l.forgive(who) }, nil
}

// forgive takes one event back that was counted before its outcome was known.
// Counting first is what holds against calls that race each other.
func (l *buckets[K]) forgive(who K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until, known := l.until[who]; known {
		l.until[who] = until.Add(-l.per)
	}
}

// sweepEvery is between two goes through a full table: a flood from ever new
// addresses must not cost one each.
const sweepEvery = time.Second

func (l *buckets[K]) sweepFull(now time.Time) {
	if now.Sub(l.swept).Abs() >= sweepEvery {
		l.swept = now
		l.sweep(now)
	}
}

// sweep forgets buckets that are empty.
func (l *buckets[K]) sweep(now time.Time) {
	for who, until := range l.until {
		if until.Before(now) {
			delete(l.until, who)
		}
	}
}
