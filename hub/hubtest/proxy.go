package hubtest

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a network that can fail: between a node and its Redis, or between a
// client and a node. It starts out passing everything on at once.
type Proxy struct {
	URL    string // in place of the server's
	target string
	listen net.Listener
	work   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	paused  bool
	latency time.Duration
	loss    float64
	ended   bool
	open    map[net.Conn]struct{}
}

// StartProxy starts a proxy to the server; it ends with the test.
func StartProxy(t testing.TB, to *Redis) *Proxy {
	t.Helper()
	p := startProxy(t, to.Addr)
	p.URL = to.URLVia(p.listen.Addr().String())
	return p
}

// StartHTTPProxy starts a proxy between clients and the HTTP server at addr, host and
// port; it ends with the test.
func StartHTTPProxy(t testing.TB, addr string) *Proxy {
	t.Helper()
	p := startProxy(t, addr)
	p.URL = "http://" + p.listen.Addr().String()
	return p
}

func startProxy(t testing.TB, addr string) *Proxy {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	p := &Proxy{target: addr, listen: listen, open: map[net.Conn]struct{}{}}
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
func (p *Proxy) Pause() { p.set(func() { p.paused = true }) }

// Resume passes on what is sent from now on; what was lost stays lost.
func (p *Proxy) Resume() { p.set(func() { p.paused = false }) }

// Latency makes everything from now on take so long each way. It costs no
// throughput.
func (p *Proxy) Latency(each time.Duration) { p.set(func() { p.latency = each }) }

// Loss loses each packet with that probability, as TCP sees it: it is sent again
// after 200 ms, then after 400 ms more, and so on, and what follows waits for it.
func (p *Proxy) Loss(probability float64) { p.set(func() { p.loss = probability }) }

func (p *Proxy) set(knob func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	knob()
}

// Cut ends every connection; new ones are accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.Close()
	}
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

func (p *Proxy) end(pair ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range pair {
		c.Close()
		delete(p.open, c)
	}
}

// chunk is what was read at once, and when it is to arrive.
type chunk struct {
	data []byte
	due  time.Time
}

// pump passes on what from sends, late or not at all, until either side ends.
func (p *Proxy) pump(from, to net.Conn) {
	way, cut := make(chan chunk, 256), make(chan struct{})
	p.work.Go(func() {
		defer p.end(from, to)
		for one := range way {
			select {
			case <-time.After(time.Until(one.due)):
			case <-cut:
			}
			if _, err := to.Write(one.data); err != nil {
				from.Close() // the reader ends, and with it the way
			}
		}
	})
	defer close(way)
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if late, lost := p.delayFor(); n > 0 && !lost {
			way <- chunk{append([]byte(nil), buffer[:n]...), time.Now().Add(late)}
		}
		if errors.Is(err, net.ErrClosed) {
			close(cut) // what is still under way is lost
		}
		if err != nil { // io.EOF too: what is under way arrives
			return
		}
	}
}

// delayFor draws what becomes of a packet.
func (p *Proxy) delayFor() (late time.Duration, lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	late = p.latency
	for again := 200 * time.Millisecond; rand.Float64() < p.loss && again < 10*time.Second; again *= 2 {
		late += again
	}
	return late, p.paused
}
