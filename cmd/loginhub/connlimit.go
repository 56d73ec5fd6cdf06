package main

import (
	"container/list"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Labels of the metric: the exceeded limit, and the connection that was closed.
const (
	connLimitAddress = "address" // one IPv4 address, one IPv6 /64
	connLimitTotal   = "total"
	connLimitFiles   = "files" // the process has no file descriptor left

	closedNew  = "new"
	closedIdle = "idle"
)

// connRefusals are the pairs of limit and closed that connLimiter.onLimit gets.
func connRefusals() (all [][2]string) {
	for _, limit := range []string{connLimitAddress, connLimitTotal, connLimitFiles} {
		all = append(all, [2]string{limit, closedNew}, [2]string{limit, closedIdle})
	}
	return all
}

const (
	// healthReserve is how many connections this machine may open over the total, so
	// that `loginhub health` works on a full node.
	healthReserve = 16
	// connLogInterval is the minimum time between two log lines about the limits.
	connLogInterval = 30 * time.Second
)

// connLimiter bounds the open connections of the public listener, from accept to
// close. It also counts connections without a request, which no other limit counts.
// Over a limit, it closes the connection that has been without a request for longest:
// a keep-alive connection, or an unfinished header or TLS handshake. If there is
// none, it closes the new connection.
type connLimiter struct {
	net.Listener
	total      int // 0: no limit
	perAddress int // 0: no limit
	trusted    []netip.Prefix
	log        *slog.Logger
	onLimit    func(limit, closed string) // for the metrics; may be nil

	mu       sync.Mutex
	open     int
	sources  map[netip.Prefix]*connSource
	idle     list.List // of *limitedConn without a request, oldest first
	logged   time.Time
	unlogged int // since logged
}

// connSource holds the connections of one address.
type connSource struct {
	from netip.Prefix
	open int
	idle list.List // as connLimiter.idle
}

// limitedConn is one counted connection. The limiter's mu guards its fields.
type limitedConn struct {
	net.Conn
	limiter               *connLimiter
	source                *connSource
	totalElem, sourceElem *list.Element // nil while a request is under way
	released              bool
}

// limitConns bounds the connections of the public listener. The file limit sets the
// total. An address may have its waiting pages and a quarter more, for their
// requests, but never more than three quarters of the total.
func (s *settings) limitConns(l net.Listener, log *slog.Logger) *connLimiter {
	total := connsFromFileLimit()
	return &connLimiter{Listener: l, total: total, perAddress: min(s.maxWaitersPerAddr()*5/4, total*3/4),
		trusted: s.proxies, log: log, sources: map[netip.Prefix]*connSource{}}
}

// Accept implements net.Listener.
func (l *connLimiter) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err == nil {
			if admitted := l.admit(conn); admitted != nil {
				return admitted, nil
			}
			continue
		}
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			return nil, err
		}
		if !l.closeOldest() {
			return nil, err // net/http tries again in a moment
		}
	}
}

// admit counts the connection. It returns nil if a limit has refused and closed it.
func (l *connLimiter) admit(conn net.Conn) net.Conn {
	addr := peerAddr(conn)
	l.mu.Lock()
	source := l.source(addr)
	limit, idle := l.exceededLimit(addr, source)
	closed := limit != "" && closeOldest(idle)
	if limit != "" {
		l.report(limit, source.from, closed)
	}
	var admitted *limitedConn
	if limit == "" || closed {
		admitted = &limitedConn{Conn: conn, limiter: l, source: source}
		l.sources[source.from] = source
		source.open++
		l.open++
	}
	l.mu.Unlock()
	if admitted == nil {
		conn.Close()
		return nil
	}
	return admitted
}

// exceededLimit returns the limit that one more connection exceeds, or "", and the
// idle connections that may be closed. Called with mu held.
func (l *connLimiter) exceededLimit(addr netip.Addr, source *connSource) (limit string, idle *list.List) {
	total := l.total
	if addr.IsLoopback() {
		total += healthReserve
	}
	switch {
	case l.isFull(addr, source):
		return connLimitAddress, &source.idle
	case l.total > 0 && l.open >= total:
		return connLimitTotal, &l.idle
	}
	return "", nil
}

// isFull reports whether the address has all the connections that it may have. Called
// with mu held.
func (l *connLimiter) isFull(addr netip.Addr, source *connSource) bool {
	return l.perAddress > 0 && source.open >= l.perAddress && !l.isTrusted(addr)
}

// isTrusted reports whether the address is a trusted proxy's.
func (l *connLimiter) isTrusted(addr netip.Addr) bool {
	return slices.ContainsFunc(l.trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// reassign counts an open connection for the address that its proxy names. It closes
// the connection and returns false if the limit of that address refuses it.
func (l *connLimiter) reassign(c *limitedConn, addr netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	source := l.source(addr)
	if c.released || source == c.source {
		return !c.released
	}
	if l.isFull(addr, source) {
		closed := closeOldest(&source.idle)
		l.report(connLimitAddress, source.from, closed)
		if !closed {
			c.release()
			c.Conn.Close()
			return false
		}
	}
	c.move(source)
	return true
}

// closeOldest closes the oldest idle connection, because the process has no file
// descriptor left. It returns false if there is none.
func (l *connLimiter) closeOldest() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	closed := closeOldest(&l.idle)
	l.report(connLimitFiles, netip.Prefix{}, closed)
	return closed
}

// closeOldest closes the first connection of the list. It returns false if the list is
// empty. Called with mu held, so that no request begins on the connection meanwhile: it
// could become a waiting socket, whose descriptor only its reader may close.
func closeOldest(idle *list.List) bool {
	first := idle.Front()
	if first == nil {
		return false
	}
	c := first.Value.(*limitedConn)
	c.release()
	c.Conn.Close()
	return true
}

// report counts one hit on a limit. It logs the first one, then at most one line per
// connLogInterval. Called with mu held.
func (l *connLimiter) report(limit string, from netip.Prefix, closesIdle bool) {
	closed := closedNew
	if closesIdle {
		closed = closedIdle
	}
	if l.onLimit != nil {
		l.onLimit(limit, closed)
	}
	l.unlogged++
	if now := time.Now(); l.logged.IsZero() || now.Sub(l.logged) >= connLogInterval {
		l.log.Warn("connections are over a limit: those without a request are closed, oldest first, and new ones if there are none; "+
			"see LoginhubNearFileLimit in deploy/RUNBOOK.md", "limit", limit, "from", from, "closed", closed, "count", l.unlogged,
			"open", l.open, "max_open", l.total, "max_per_address", l.perAddress)
		l.logged, l.unlogged = now, 0
	}
}

// source returns the connections of the address. Called with mu held.
func (l *connLimiter) source(addr netip.Addr) *connSource {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	from, _ := addr.Prefix(bits) // no address: all of those share one source
	if s := l.sources[from]; s != nil {
		return s
	}
	return &connSource{from: from}
}

// peerAddr returns the address of the other end; the zero Addr if that is no IP
// address.
func peerAddr(conn net.Conn) netip.Addr {
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// connState is the server's ConnState hook.
func (l *connLimiter) connState(conn net.Conn, state http.ConnState) {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok { // a *tls.Conn
		conn = secure.NetConn()
	}
	if proxied, ok := conn.(*proxiedConn); ok {
		conn = proxied.limitedConn
	}
	c, ok := conn.(*limitedConn)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c.leaveIdle()
	if !c.released && (state == http.StateNew || state == http.StateIdle) {
		c.totalElem, c.sourceElem = l.idle.PushBack(c), c.source.idle.PushBack(c)
	}
}

// Open returns how many connections are open.
func (l *connLimiter) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// Close implements net.Conn. It may be called more than once.
func (c *limitedConn) Close() error {
	c.limiter.mu.Lock()
	c.release()
	c.limiter.mu.Unlock()
	return c.Conn.Close()
}

// SyscallConn implements syscall.Conn: a waiting socket needs no goroutine then.
func (c *limitedConn) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// release removes the connection from the counts, once. Called with mu held.
func (c *limitedConn) release() {
	if c.released {
		return
	}
	c.released = true
	c.leaveIdle()
	c.limiter.open--
	c.limiter.leave(c.source)
}

// move counts the connection for another source. Called with mu held.
func (c *limitedConn) move(to *connSource) {
	l := c.limiter
	if c.sourceElem != nil {
		c.source.idle.Remove(c.sourceElem)
		c.sourceElem = to.idle.PushBack(c)
	}
	l.leave(c.source)
	l.sources[to.from] = to
	to.open++
	c.source = to
}

// leave counts one connection less of the source. Called with mu held.
func (l *connLimiter) leave(source *connSource) {
	if source.open--; source.open == 0 {
		delete(l.sources, source.from)
	}
}

// leaveIdle removes the connection from the idle lists. Called with mu held.
func (c *limitedConn) leaveIdle() {
	if c.totalElem != nil {
		c.limiter.idle.Remove(c.totalElem)
		c.source.idle.Remove(c.sourceElem)
		c.totalElem, c.sourceElem = nil, nil
	}
}
