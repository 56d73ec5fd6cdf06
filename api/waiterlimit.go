package api

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
)

// hijackTracker is the ResponseWriter of a page that asks for a socket: the seat is
// left when the connection that was taken over closes.
type hijackTracker struct {
	http.ResponseWriter
	leave *func() // set once the page is admitted
	over  bool    // taken over: the connection leaves, not the request
}

// Hijack is for the upgrade.
func (k *hijackTracker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(k.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("hijack: %w", err)
	}
	k.over = true
	return &trackedConn{conn, *k.leave}, rw, nil
}

// done leaves the seat of a page that was not upgraded.
func (k *hijackTracker) done() {
	if !k.over {
		(*k.leave)()
	}
}

type trackedConn struct {
	net.Conn
	leave func()
}

// Close ends the connection and leaves its seat.
func (c *trackedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
