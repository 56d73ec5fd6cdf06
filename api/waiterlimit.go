package api

import (
	"net/netip"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/hub/ticket"
)

// waiterLimiter bounds how many sockets and polls of one address wait at the
// same time. The node's own limit of waiters bounds the size of the table.
type waiterLimiter struct {
	max      int    // 0: no limit
	onReject func() // called at every refusal, with mu held; may be nil

	mu      sync.Mutex
	waiting map[netip.Prefix]int
}

// waiterRetryAfter is the Retry-After of a refused waiter.
const waiterRetryAfter = 10 * time.Second

// newWaiterLimiter returns a limiter of limit waiters for each address; 0: no
// limit.
func newWaiterLimiter(limit int) *waiterLimiter {
	return &waiterLimiter{max: limit, waiting: map[netip.Prefix]int{}}
}

// acquire counts one waiter and returns the function that ends it. A second
// call of release has no effect. Errors: a *ticket.RetryError if the address
// has reached the limit.
func (l *waiterLimiter) acquire(addr netip.Prefix) (release func(), err error) {
	if l.max == 0 {
		return func() {}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting[addr] >= l.max {
		if l.onReject != nil {
			l.onReject()
		}
		return nil, &ticket.RetryError{After: waiterRetryAfter, Err: errRateLimited}
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

// admitWaiter returns the check of a browser that wants to wait: its origin,
// the kill switch and the limit of waiters. If the check passes, it sets
// *release.
func (s *Server) admitWaiter(c echo.Context, release *func()) func(ticket.Ticket) error {
	authorize := s.requireEnabled(s.checkOrigin(c))
	return func(t ticket.Ticket) error {
		if err := authorize(t); err != nil {
			return err
		}
		acquired, err := s.waiterLimiter.acquire(s.proxies.clientAddr(c.Request()).rateKey)
		if err == nil {
			*release = acquired
		}
		return err
	}
}
