package hub

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// What a page says is short and rare: an ack of some twenty bytes. Messages are
// counted where they are read (socket.read); what never becomes a message, such
// as pings, pongs, and frames of nothing that continue a message for ever, is
// bounded here.
const (
	maxPings     = 20       // per floodWindow; above: 1008
	maxReadBytes = 64 << 10 // per floodWindow, of anything; above: the line is cut
	readWindow   = time.Minute
)

var errFlood = errors.New("more bytes than a page can have to say")

// windowCounter counts events of one window after the other. It is owned by the
// socket's reader.
type windowCounter struct {
	since int64 // Unix time, in nanoseconds
	count int
}

func (r *windowCounter) add(n, limit int) bool {
	// Either way: the wall clock may be set back.
	if now := time.Now().UnixNano(); time.Duration(now-r.since).Abs() > readWindow {
		r.since, r.count = now, 0
	}
	r.count += n
	return r.count <= limit
}

// limitedConn is a connection whose peer may send so much and no more.
type limitedConn struct {
	net.Conn
	windowCounter
}

// Read fails once the peer has sent too much.
func (c *limitedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && !c.add(n, maxReadBytes) {
		return n, errFlood
	}
	return n, err
}

// onPing answers so many pings, and then closes the socket. It is called by the
// socket's reader.
func (s *socket) onPing(context.Context, []byte) bool {
	if s.pings.add(1, maxPings) {
		return true
	}
	s.flooded.Do(func() {
		s.hub.wg.Go(func() { s.close(closePolicy, "at most 20 pings a minute") })
	})
	return false
}

// pingLimit keeps the count of a socket's pings.
type pingLimit struct {
	pings   windowCounter
	flooded sync.Once
}
