package hub

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// A browser sends little: an ack of some twenty bytes. socket.read counts messages. The
// limits here bound what never becomes a message: pings, pongs, and empty frames that
// continue a message without end.
const (
	maxPings     = 20       // per readWindow; above: 1008
	maxReadBytes = 64 << 10 // per readWindow, of any frames; above: the connection is cut
	readWindow   = time.Minute
)

var errFlood = errors.New("read: the browser sent more than 64 KiB in a minute")

// windowCounter counts events in fixed time windows. Only the socket's reader uses it.
type windowCounter struct {
	since int64 // Unix time, in nanoseconds
	count int
}

// add counts n events and reports whether the window's limit still holds.
func (r *windowCounter) add(n, limit int) bool {
	// Abs, because the wall clock may be set back.
	if now := time.Now().UnixNano(); time.Duration(now-r.since).Abs() > readWindow {
		r.since, r.count = now, 0
	}
	r.count += n
	return r.count <= limit
}

// limitedConn is a connection that limits the bytes that its peer sends.
type limitedConn struct {
	net.Conn
	windowCounter
}

// Read returns errFlood once the peer has sent more than maxReadBytes in a window.
func (c *limitedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && !c.add(n, maxReadBytes) {
		return n, errFlood
	}
	return n, err
}

// onPing reports whether the library answers a ping. Above maxPings it closes the
// socket. Called by the socket's reader.
func (s *socket) onPing(context.Context, []byte) bool {
	if s.pings.add(1, maxPings) {
		return true
	}
	s.flooded.Do(func() {
		s.hub.wg.Go(func() { s.close(closePolicy, "at most 20 pings a minute") })
	})
	return false
}

// pingLimit counts the pings of a socket.
type pingLimit struct {
	pings   windowCounter
	flooded sync.Once
}
