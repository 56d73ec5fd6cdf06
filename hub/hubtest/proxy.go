package hubtest

import (
	"net"
	"sync"
	"testing"
)

// Proxy stands between a node and its Redis, as a network that can fail. It
// starts out passing everything on.
type Proxy struct {
	URL    string // in place of the server's
	target string
	listen net.Listener
	work   sync.WaitGroup

	mu     sync.Mutex // guards what follows
	paused bool
	ended  bool
	open   map[net.Conn]struct{}
}

// StartProxy starts a proxy to the server; it ends with the test.
func StartProxy(t testing.TB, to *Redis) *Proxy {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	p := &Proxy{URL: "redis://" + listen.Addr().String() + "/0", target: to.Addr, listen: listen, open: map[net.Conn]struct{}{}}
	p.work.Go(p.accept)
	t.Cleanup(func() {
		p.mu.Lock()
		p.ended = true
		p.mu.Unlock()
		listen.Close()
		p.Cut()
		p.work.Wait()
	})
	return p
}

// Pause makes a black hole of the network: connections stay and new ones are
// accepted, but what is sent is lost, both ways.
func (p *Proxy) Pause() { p.pause(true) }

// Resume passes on what is sent from now on; what was lost stays lost.
func (p *Proxy) Resume() { p.pause(false) }

// Cut ends every connection; new ones are accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.Close()
	}
}

func (p *Proxy) pause(paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = paused
}

func (p *Proxy) accept() {
	for {
		near, err := p.listen.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.target)
		if err != nil {
			near.Close() // the server is down: so is the connection
			continue
		}
		if !p.add(near, far) {
			return
		}
		p.work.Go(func() { p.pump(near, far) })
		p.work.Go(func() { p.pump(far, near) })
	}
}

// add notes a pair of connections; false, with both closed, once the proxy has
// ended.
func (p *Proxy) add(pair ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range pair {
		if p.ended {
			c.Close()
			continue
		}
		p.open[c] = struct{}{}
	}
	return !p.ended
}

// pump passes on what from sends, or loses it, until either side ends.
func (p *Proxy) pump(from, to net.Conn) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range []net.Conn{from, to} {
			c.Close()
			delete(p.open, c)
		}
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !p.loses() {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil { // io.EOF too
			return
		}
	}
}

func (p *Proxy) loses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused
}
