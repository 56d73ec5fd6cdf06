package api

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/hub/ticket"
)

// waiterLimiter bounds how many sockets and polls wait from one address. Their number
// is bounded by the node's, and so is the table.
type waiterLimiter struct {
	max      int    // 0: no limit
	onReject func() // told of every refusal; may be nil

	mu      sync.Mutex
	waiting map[netip.Prefix]int
}

// waiterRetryAfter is when a page without a seat is told to try again.
const waiterRetryAfter = 10 * time.Second

func newWaiterLimiter(most int) *waiterLimiter {
	return &waiterLimiter{max: most, waiting: map[netip.Prefix]int{}}
}

// acquire gives a seat, and how to leave it; leaving twice does no harm.
func (s *waiterLimiter) acquire(who netip.Prefix) (leave func(), err error) {
	if s.max == 0 {
		return func() {}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[who] >= s.max {
		if s.onReject != nil {
			s.onReject()
		}
		return nil, &ticket.RetryError{After: waiterRetryAfter, Err: errRateLimited}
	}
	s.waiting[who]++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.waiting[who]--; s.waiting[who] <= 0 {
			delete(s.waiting, who)
		}
	}), nil
}

// admitWaiter admits a waiting page and keeps its seat in leave.
func (s *Server) admitWaiter(c echo.Context, leave *func()) func(ticket.Ticket) error {
	admit := s.requireEnabled(s.checkOrigin(c))
	return func(t ticket.Ticket) error {
		if err := admit(t); err != nil {
			return err
		}
		got, err := s.waiterLimiter.acquire(s.proxies.clientAddr(c.Request()).rateKey)
		if err == nil {
			*leave = got
		}
		return err
	}
}

// hijackTracker is the ResponseWriter of a page that asks for a socket: the seat is
// left when the connection that was taken over closes.
type hijackTracker struct {
	http.ResponseWriter
	release  *func() // set once the page is admitted
	hijacked bool    // taken over: the connection leaves, not the request
}

// Hijack is for the upgrade.
func (k *hijackTracker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(k.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("hijack: %w", err)
	}
	k.hijacked = true
	return &trackedConn{conn, *k.release}, rw, nil
}

// releaseUnlessHijacked leaves the seat of a page that was not upgraded.
func (k *hijackTracker) releaseUnlessHijacked() {
	if !k.hijacked {
		(*k.release)()
	}
}

type trackedConn struct {
	net.Conn
	release func()
}

// Close ends the connection and leaves its seat.
func (c *trackedConn) Close() error {
	c.release()
	return c.Conn.Close()
}
