package hubtest

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a network that can fail, between a node and its Redis or between a client and
// a node. At first it forwards everything at once.
type Proxy struct {
	URL    string // use it instead of the server's URL
	target string
	listen net.Listener
	work   sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	paused  bool
	latency time.Duration
	loss    float64
	ended   bool
	open    map[net.Conn]struct{}
}

// StartProxy starts a proxy to the server. It ends with the test.
func StartProxy(t testing.TB, to *Redis) *Proxy {
	t.Helper()
	p := startProxy(t, to.Addr)
	p.URL = to.URLVia(p.listen.Addr().String())
	return p
}

// StartHTTPProxy starts a proxy to the HTTP server at addr (host:port). It ends with the
// test.
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

// Pause drops everything that is sent in either direction. Connections stay open and new
// ones are accepted.
func (p *Proxy) Pause() { p.set(func() { p.paused = true }) }

// Resume forwards what is sent from now on. What was dropped stays lost.
func (p *Proxy) Resume() { p.set(func() { p.paused = false }) }

// Latency delays everything from now on by each, in each direction, without reducing the
// throughput.
func (p *Proxy) Latency(each time.Duration) { p.set(func() { p.latency = each }) }

// Loss drops each packet with that probability, as seen by TCP: it is sent again after
// 200 ms, then after 400 ms more, and so on, and the following ones wait for it.
func (p *Proxy) Loss(probability float64) { p.set(func() { p.loss = probability }) }

func (p *Proxy) set(knob func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	knob()
}

// Cut closes every connection. New ones are accepted.
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
			near.Close() // the server is down, so the connection is closed
			continue
		}
		if !p.add(near, far) {
			return
		}
		p.work.Go(func() { p.pump(near, far) })
		p.work.Go(func() { p.pump(far, near) })
	}
}

// add records a pair of connections. It closes them and returns false if the proxy has
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

// chunk is the data of one read, and the time of its delivery.
type chunk struct {
	data []byte
	due  time.Time
}

// pump forwards what from sends, late or not at all, until either side ends.
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
				from.Close() // ends the reader, which closes the channel
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
			close(cut) // data in transit is lost
		}
		if err != nil { // after io.EOF, data in transit is still delivered
			return
		}
	}
}

// delayFor returns the delay of a packet and whether it is lost.
func (p *Proxy) delayFor() (late time.Duration, lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	late = p.latency
	for again := 200 * time.Millisecond; rand.Float64() < p.loss && again < 10*time.Second; again *= 2 {
		late += again
	}
	return late, p.paused
}
