package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	shutdownTimeout     = 12 * time.Second      // for running requests after the listener closes; a provider may take 10 s
	firstRequestTimeout = time.Second           // for connections without a request
	busyPoll            = 10 * time.Millisecond // between two checks for running requests
)

// backlogListener is a TCP listener that closes without losing a connection. The
// kernel completes handshakes before Accept returns them. Closing the socket resets
// those that are still queued, with their requests.
type backlogListener struct {
	*net.TCPListener
	stopping atomic.Bool
	stopped  chan struct{} // closed once queued is complete
	queued   []net.Conn    // found in the backlog by stop; read by Accept after stopped
}

// listenTCP opens the listener at address.
func listenTCP(address string) (*backlogListener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return &backlogListener{TCPListener: listener.(*net.TCPListener), stopped: make(chan struct{})}, nil
}

// Accept implements net.Listener. After stop it returns the queued connections,
// then net.ErrClosed. It is called by one goroutine.
func (l *backlogListener) Accept() (net.Conn, error) {
	conn, err := l.TCPListener.Accept()
	if err == nil || !l.stopping.Load() {
		return conn, err
	}
	<-l.stopped
	if len(l.queued) == 0 {
		return nil, net.ErrClosed
	}
	conn, l.queued = l.queued[0], l.queued[1:]
	return conn, nil
}

// stop refuses new connections and passes the queued ones to Accept.
func (l *backlogListener) stop() {
	l.stopping.Store(true)
	l.queued = takeBacklog(l.TCPListener)
	close(l.stopped)
}

// connections tracks the open connections of a server by state. Shutdown alone is not
// enough: net/http drops a request without a response if it reads it after Shutdown
// has begun (golang/go#65802).
type connections struct {
	mu   sync.Mutex
	open map[net.Conn]http.ConnState
}

// connState is the server's ConnState hook.
func (c *connections) connState(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew, http.StateActive:
		c.open[conn] = state
	default:
		delete(c.open, conn)
	}
}

// busy reports whether requests are running. With fresh it also counts new
// connections that may still send their first request.
func (c *connections) busy(fresh bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, state := range c.open {
		if fresh || state == http.StateActive {
			return true
		}
	}
	return false
}

// publicServer serves the public listener.
type publicServer struct {
	*http.Server
	tcp      *backlogListener
	listener net.Listener // tcp, or TLS over it
	conns    connections
	done     chan error // result of serve
}

func newPublicServer(server *http.Server, tcp *backlogListener, listener net.Listener) *publicServer {
	p := &publicServer{Server: server, tcp: tcp, listener: listener, done: make(chan error, 1),
		conns: connections{open: map[net.Conn]http.ConnState{}}}
	server.ConnState = p.conns.connState
	return p
}

// serve serves until stop. It sends any other end to done.
func (p *publicServer) serve() {
	err := p.Serve(p.listener)
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	p.done <- err
}

// stop refuses new connections, responds to the requests on open ones, and closes
// them. An error means that requests were cut off.
func (p *publicServer) stop(ctx context.Context) error {
	p.tcp.stop()
	<-p.done // every connection is counted now
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	start := time.Now()
	check := time.NewTicker(busyPoll)
	defer check.Stop()
	for ctx.Err() == nil && p.conns.busy(time.Since(start) < firstRequestTimeout) {
		select {
		case <-ctx.Done():
		case <-check.C:
		}
	}
	if p.conns.busy(false) {
		return errors.Join(fmt.Errorf("requests cut off after %v", shutdownTimeout), p.Close())
	}
	return p.Close()
}
