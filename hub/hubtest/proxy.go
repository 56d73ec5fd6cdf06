package hubtest

import (
	"bytes"
	"errors"
	"io"
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
	refuse func(command []string) string // of StartRestrictedRedis

	mu      sync.Mutex // guards the fields below
	paused  bool
	muteNew bool // later subscriptions are muted too
	latency time.Duration
	loss    float64
	ended   bool
	links   map[*proxyLink]struct{}
}

// proxyLink is one connection and its counterpart on the other side of the proxy.
type proxyLink struct {
	near, far        net.Conn
	subscribed, mute bool // guarded by Proxy.mu
}

// StartProxy starts a proxy to the server. It ends with the test.
func StartProxy(t testing.TB, to *Redis) *Proxy {
	t.Helper()
	p := startProxy(t, to.Addr, nil)
	p.URL = to.URLVia(p.listen.Addr().String())
	return p
}

// StartHTTPProxy starts a proxy to the HTTP server at addr (host:port). It ends with the
// test.
func StartHTTPProxy(t testing.TB, addr string) *Proxy {
	t.Helper()
	p := startProxy(t, addr, nil)
	p.URL = "http://" + p.listen.Addr().String()
	return p
}

func startProxy(t testing.TB, addr string, refuse func([]string) string) *Proxy {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	p := &Proxy{target: addr, listen: listen, refuse: refuse, links: map[*proxyLink]struct{}{}}
	p.work.Go(p.accept)
	t.Cleanup(func() {
		p.set(func() { p.ended = true })
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

// Cut closes every connection. New ones are accepted.
func (p *Proxy) Cut() {
	p.set(func() {
		for l := range p.links {
			l.near.Close()
			l.far.Close()
		}
	})
}

// Mute stops delivery to all present subscriptions and returns their number. Their
// connections stay up, as with a firewall that has dropped their state: no client library
// notices that. Later subscriptions still deliver.
func (p *Proxy) Mute() (muted int) {
	p.set(func() {
		for l := range p.links {
			if l.subscribed && !l.mute {
				l.mute = true
				muted++
			}
		}
	})
	return muted
}

// MuteNew is Mute for later subscriptions too, until Release.
func (p *Proxy) MuteNew() (muted int) {
	p.set(func() { p.muteNew = true })
	return p.Mute()
}

// Release lets later subscriptions deliver again. Muted ones stay muted.
func (p *Proxy) Release() { p.set(func() { p.muteNew = false }) }

// Subscriptions returns how many subscriptions deliver, and how many are connected and
// muted.
func (p *Proxy) Subscriptions() (deliver, mute int) {
	p.set(func() {
		for l := range p.links {
			switch {
			case l.mute:
				mute++
			case l.subscribed:
				deliver++
			}
		}
	})
	return deliver, mute
}

func (p *Proxy) set(knob func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	knob()
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
		l := &proxyLink{near: near, far: far}
		p.set(func() { p.links[l] = struct{}{} })
		if p.refuse != nil {
			p.work.Go(func() { passCommands(near, far, p.refuse); p.end(l) })
		} else {
			p.work.Go(func() { p.pump(l, near, far) })
		}
		p.work.Go(func() { p.pump(l, far, near) })
		p.set(func() {
			if p.ended {
				near.Close()
				far.Close()
			}
		})
	}
}

// end closes a link.
func (p *Proxy) end(l *proxyLink) {
	p.set(func() { delete(p.links, l) })
	l.near.Close()
	l.far.Close()
}

// chunk is the data of one read, and the time of its delivery.
type chunk struct {
	data []byte
	due  time.Time
}

// pump forwards what from sends, late or not at all, until either side ends.
func (p *Proxy) pump(l *proxyLink, from io.Reader, to io.Writer) {
	way, cut := make(chan chunk, 256), make(chan struct{})
	p.work.Go(func() {
		defer p.end(l)
		for one := range way {
			select {
			case <-time.After(time.Until(one.due)):
			case <-cut:
			}
			if _, err := to.Write(one.data); err != nil {
				l.near.Close() // ends the readers, which close the channel
				l.far.Close()
			}
		}
	})
	defer close(way)
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if late, lost := p.fate(l, buffer[:n], from == l.near); n > 0 && !lost {
			way <- chunk{bytes.Clone(buffer[:n]), time.Now().Add(late)}
		}
		if errors.Is(err, net.ErrClosed) {
			close(cut) // data in transit is lost
		}
		if err != nil { // after io.EOF, data in transit is still delivered
			return
		}
	}
}

// fate returns the delay of a packet and whether it is lost. It notes a link on which the
// client subscribes, with SUBSCRIBE or SSUBSCRIBE.
func (p *Proxy) fate(l *proxyLink, packet []byte, sent bool) (late time.Duration, lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if sent && !l.subscribed && bytes.Contains(bytes.ToLower(packet), []byte("subscribe\r")) {
		l.subscribed, l.mute = true, p.muteNew
	}
	late = p.latency
	for again := 200 * time.Millisecond; rand.Float64() < p.loss && again < 10*time.Second; again *= 2 {
		late += again
	}
	return late, p.paused || l.mute
}
