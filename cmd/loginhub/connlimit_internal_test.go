package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/hub/hubtest"
)

// limitedServer is a public server behind a limiter. Its handler blocks /hold until the test ends.
func limitedServer(t *testing.T, limiter *connLimiter, certificate *certificate) (addr string) {
	t.Helper()
	tcp, err := listenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limiter.Listener, limiter.sources, limiter.log = tcp, map[netip.Prefix]*connSource{}, slog.New(slog.DiscardHandler)
	var listener net.Listener = limiter
	if certificate != nil {
		listener = certificate.listen(limiter)
	}
	done := make(chan struct{})
	p := newPublicServer(newHTTPServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			<-done
		}
	}), limiter.log), tcp, listener)
	p.ConnState = func(conn net.Conn, state http.ConnState) {
		p.conns.connState(conn, state)
		limiter.connState(conn, state)
	}
	go p.serve()
	t.Cleanup(func() { close(done); p.Close(); tcp.Close(); <-p.done })
	return tcp.Addr().String()
}

// dialFrom opens a connection from that address of this machine and sends the text.
func dialFrom(t *testing.T, addr, from, text string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	io.WriteString(conn, text)
	return conn
}

const keepAlive = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// requireClosed demands that the node has closed the connection.
func requireClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error("the connection is still open")
	}
}

// waitCounts waits until that many connections are open and that many of them are idle.
func (l *connLimiter) waitCounts(t *testing.T, open, idle int) {
	t.Helper()
	hubtest.Eventually(t, 5*time.Second, "the connections are counted", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.open == open && l.idle.Len() == idle
	})
}

func TestConnLimit_ClosesTheOldestIdle(t *testing.T) {
	l := &connLimiter{total: 100, perAddress: 3}
	addr := limitedServer(t, l, nil)
	var conns []net.Conn
	for i, text := range []string{keepAlive, "GET / HT", ""} { // idle, half a header, nothing
		conns = append(conns, dialFrom(t, addr, "127.0.0.1", text))
		if i == 0 {
			requireAnswer(t, conns[0])
		}
		l.waitCounts(t, i+1, i+1)
	}
	for _, oldest := range conns {
		fresh := dialFrom(t, addr, "127.0.0.1", keepAlive)
		requireAnswer(t, fresh)
		requireClosed(t, oldest)
		l.waitCounts(t, 3, 3)
	}
	requireAnswer(t, dialFrom(t, addr, "127.0.0.2", keepAlive)) // another address has its own limit
	l.waitCounts(t, 4, 4)
}

// TestConnLimit_ClosesWithLock: a request that begins while its connection is closed could
// become a socket whose descriptor is used again.
func TestConnLimit_ClosesWithLock(t *testing.T) {
	l := &connLimiter{perAddress: 1, sources: map[netip.Prefix]*connSource{}, log: slog.New(slog.DiscardHandler)}
	closed := 0
	for range 2 {
		conn, _ := net.Pipe()
		l.connState(l.admit(closing{conn, func() {
			if closed++; l.mu.TryLock() {
				l.mu.Unlock()
				t.Error("closed without the lock")
			}
		}}), http.StateIdle)
	}
	if closed != 1 {
		t.Errorf("%d are closed", closed)
	}
}

// closing is a connection that calls a function when it is closed.
type closing struct {
	net.Conn
	onClose func()
}

func (c closing) Close() error { c.onClose(); return c.Conn.Close() }

func TestConnLimit_AllBusy(t *testing.T) {
	var mu sync.Mutex
	hits := map[string]int{}
	l := &connLimiter{total: 100, perAddress: 2, onLimit: func(limit, closed string) { mu.Lock(); hits[limit+" "+closed]++; mu.Unlock() }}
	addr := limitedServer(t, l, nil)
	for i := range 2 {
		dialFrom(t, addr, "127.0.0.1", strings.Replace(keepAlive, "/", "/hold", 1))
		l.waitCounts(t, i+1, 0)
	}
	requireClosed(t, dialFrom(t, addr, "127.0.0.1", keepAlive))
	requireAnswer(t, dialFrom(t, addr, "127.0.0.2", keepAlive))
	l.waitCounts(t, 3, 1)
	mu.Lock()
	defer mu.Unlock()
	if len(hits) != 1 || hits["address new"] != 1 {
		t.Errorf("metrics are %v", hits)
	}
}

func TestConnLimit_TrustedProxiesAndTotal(t *testing.T) {
	l := &connLimiter{total: 5, perAddress: 2, trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}}
	addr := limitedServer(t, l, nil)
	for i := range 5 + healthReserve { // this machine may open some more than the total
		requireAnswer(t, dialFrom(t, addr, "127.0.0.9", keepAlive))
		l.waitCounts(t, i+1, i+1)
	}
	requireAnswer(t, dialFrom(t, addr, "127.0.0.9", keepAlive))
	requireAnswer(t, dialFrom(t, addr, "127.0.0.3", keepAlive))
	l.waitCounts(t, 5+healthReserve, 5+healthReserve)
}

func TestConnLimit_TLSAndHijack(t *testing.T) {
	l := &connLimiter{total: 100, perAddress: 2}
	tcp, err := listenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Listener, l.sources, l.log = tcp, map[netip.Prefix]*connSource{}, slog.New(slog.DiscardHandler)
	hijacked := make(chan net.Conn, 1)
	server := newHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
			}
			hijacked <- conn
		}
	}), l.log)
	server.ConnState = l.connState
	secure := &certificate{}
	secure.current.Store(selfSigned(t))
	go server.Serve(secure.listen(l))
	t.Cleanup(func() { server.Close() })
	addr := tcp.Addr().String()

	silent := dialFrom(t, addr, "127.0.0.1", "") // sends no TLS handshake
	l.waitCounts(t, 1, 1)
	conn := tls.Client(dialFrom(t, addr, "127.0.0.1", ""), &tls.Config{InsecureSkipVerify: true})
	go io.WriteString(conn, strings.Replace(keepAlive, "/", "/hold", 1))
	taken := <-hijacked
	l.waitCounts(t, 2, 1)
	third := tls.Client(dialFrom(t, addr, "127.0.0.1", ""), &tls.Config{InsecureSkipVerify: true})
	go io.WriteString(third, keepAlive)
	requireAnswer(t, third)
	requireClosed(t, silent)
	l.waitCounts(t, 2, 1) // the socket is not idle
	for range 2 {
		taken.Close() // a second Close has no effect
	}
	l.waitCounts(t, 1, 1)
}

// exhaustedListener has no file descriptor for its first accepts.
type exhaustedListener struct {
	net.Listener
	left int
}

func (e *exhaustedListener) Accept() (net.Conn, error) {
	if e.left > 0 {
		e.left--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return e.Listener.Accept()
}

func TestConnLimit_NoFilesAndLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := hubtest.NewPipeListener()
		e := &exhaustedListener{Listener: d}
		l := &connLimiter{Listener: e, sources: map[netip.Prefix]*connSource{}, log: slog.New(slog.NewTextHandler(&log, nil))}
		accept := func() (net.Conn, error) {
			far, near := make(chan net.Conn, 1), make(chan struct{})
			go func() {
				conn, err := d.Dial(t.Context())
				if err == nil {
					far <- conn
				}
				close(near)
			}()
			conn, err := l.Accept()
			if err == nil {
				<-near
				l.connState(conn, http.StateNew)
			}
			return conn, err
		}
		first, err := accept()
		if err != nil {
			t.Fatal(err)
		}
		e.left = 1
		second, err := accept() // replaces the first
		if err != nil || l.Open() != 1 {
			t.Fatalf("%v, %d open", err, l.Open())
		}
		if _, err := first.Write([]byte("x")); err == nil {
			t.Error("the oldest connection is still open")
		}
		l.connState(second, http.StateActive)
		e.left = 50
		for range 50 {
			if _, err := l.Accept(); err == nil {
				t.Fatal("accepted a connection without a file descriptor")
			}
		}
		if n := strings.Count(log.String(), "over a limit"); n != 1 {
			t.Errorf("%d log lines at once", n)
		}
		<-time.After(connLogInterval)
		e.left = 1
		l.Accept()
		if n := strings.Count(log.String(), "over a limit"); n != 2 || !strings.Contains(log.String(), "count=51") || !strings.Contains(log.String(), "limit=files") {
			t.Errorf("%d lines: %s", n, &log)
		}
		second.Close()
	})
}

func TestConnLimit_Numbers(t *testing.T) {
	total := connsFromFileLimit()
	for _, c := range []struct{ rate, sockets, want int }{{0, 5000, 0}, {600, 10, min(1250, total*3/4)}, {600, 2 * total, total * 3 / 4}} {
		s := &settings{Config: &Config{RateLimit: c.rate, MaxSockets: c.sockets}}
		if l := s.limitConns(nil, nil); l.perAddress != c.want || l.total != total {
			t.Errorf("%+v: %d per address, %d in all", c, l.perAddress, l.total)
		}
	}
	if waiting := waitersFromFileLimit(); waiting > total && total > 64 {
		t.Errorf("%d waiters on %d connections", waiting, total)
	}
}
