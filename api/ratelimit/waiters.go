package ratelimit

import (
	"net/netip"
	"sync"
	"time"

	"loginhub/hub/provider"
)

// WaiterLimiter bounds how many sockets and polls of one address wait at the
// same time. The node's own limit of waiters bounds the size of the table.
type WaiterLimiter struct {
	max      int    // 0: no limit
	onReject func() // called at every refusal, with mu held; may be nil

	mu      sync.Mutex
	waiting map[netip.Prefix]int
}

// waiterRetryAfter is the Retry-After of a refused waiter.
const waiterRetryAfter = 10 * time.Second

// NewWaiterLimiter returns a limiter of limit waiters for each address; 0: no
// limit.
func NewWaiterLimiter(limit int) *WaiterLimiter {
	return &WaiterLimiter{max: limit, waiting: map[netip.Prefix]int{}}
}

// Acquire counts one waiter and returns the function that ends it. A second
// call of release has no effect. Errors: a *provider.RetryError if the address
// has reached the limit.
func (l *WaiterLimiter) Acquire(addr netip.Prefix) (release func(), err error) {
	if l.max == 0 {
		return nothing, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting[addr] >= l.max {
		if l.onReject != nil {
			l.onReject()
		}
		return nil, &provider.RetryError{After: waiterRetryAfter, Err: ErrRateLimited}
	}
	l.waiting[addr]++
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.waiting[addr]--; l.waiting[addr] <= 0 {
			delete(l.waiting, addr)
		}
	}), nil
}

// Waiting returns how many addresses have a waiter.
func (l *WaiterLimiter) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}
