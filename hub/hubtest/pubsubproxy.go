package hubtest

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// PubSubProxy is a proxy between nodes and their Redis. It can stop delivery to
// subscriptions while their connections stay up, like a firewall that has dropped their
// state. No client library notices that.
type PubSubProxy struct {
	URL    string // use it instead of the server's URL
	target string
	listen net.Listener
	work   sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	ended bool
	hold  bool // later subscriptions are muted too
	open  map[net.Conn]*proxyLink
}

// proxyLink is one connection of a node.
type proxyLink struct {
	subscribed bool
	mute       bool
}

// StartPubSubProxy starts a proxy in front of the server. It ends with the test.
func StartPubSubProxy(t testing.TB, to *Redis) *PubSubProxy {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("mail line: %v", err)
	}
	m := &PubSubProxy{URL: to.URLVia(listen.Addr().String()), target: to.Addr, listen: listen, open: map[net.Conn]*proxyLink{}}
	m.work.Go(m.accept)
	t.Cleanup(func() {
		listen.Close()
		m.mu.Lock()
		m.ended = true
		for conn := range m.open {
			conn.Close()
		}
		m.mu.Unlock()
		m.work.Wait()
	})
	return m
}

// Mute stops delivery to all present subscriptions and returns their number. Later ones
// still deliver.
func (m *PubSubProxy) Mute() (muted int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.open {
		if l.subscribed && !l.mute {
			l.mute = true
			muted++
		}
	}
	return muted
}

// MuteNew is Mute for later subscriptions too, until Release.
func (m *PubSubProxy) MuteNew() (muted int) {
	m.mu.Lock()
	m.hold = true
	m.mu.Unlock()
	return m.Mute()
}

// Release lets later subscriptions deliver again. Muted ones stay muted.
func (m *PubSubProxy) Release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hold = false
}

// Links returns how many subscriptions deliver, and how many are connected and muted.
func (m *PubSubProxy) Links() (deliver, mute int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.open {
		switch {
		case l.mute:
			mute++
		case l.subscribed:
			deliver++
		}
	}
	return deliver / 2, mute / 2 // the map has both ends of each connection
}

func (m *PubSubProxy) accept() {
	for {
		near, err := m.listen.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", m.target)
		if err != nil {
			near.Close() // the server is down, so the connection is closed
			continue
		}
		l := &proxyLink{}
		m.mu.Lock()
		m.open[near], m.open[far] = l, l
		if m.ended {
			near.Close()
			far.Close()
		}
		m.mu.Unlock()
		m.work.Go(func() { m.pump(near, far, l) })
		m.work.Go(func() { m.pump(far, near, l) })
	}
}

func (m *PubSubProxy) pump(from, to net.Conn, l *proxyLink) {
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		from.Close()
		to.Close()
		delete(m.open, from)
		delete(m.open, to)
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		m.mu.Lock()
		if !l.subscribed && bytes.Contains(bytes.ToLower(buffer[:n]), []byte("subscribe\r")) { // matches SSUBSCRIBE too
			l.subscribed = true
			l.mute = m.hold
		}
		mute := l.mute
		m.mu.Unlock()
		if n > 0 && !mute {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
