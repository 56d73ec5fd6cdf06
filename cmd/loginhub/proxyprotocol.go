package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// The PROXY protocol, version 2: HAProxy's proxy-protocol.txt, section 2.2. Version 1
// is not read.
const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyFixedSize = len(proxySignature) + 4 // version and command, family, two bytes of length
	// maxProxyHeader bounds the addresses and the TLVs, of which HAProxy and AWS send
	// some hundred bytes.
	maxProxyHeader = 4 << 10
	// proxyHeaderTimeout is above the 3 s of section 2: TCP may have to repeat a segment.
	proxyHeaderTimeout = 5 * time.Second

	proxyLocal   = 0 // commands
	proxyForward = 1

	proxyTCP4, proxyTCP4Size = 0x11, 12 // families, and the sizes of their addresses
	proxyTCP6, proxyTCP6Size = 0x21, 36
	maxProxyFamily           = 3 // Unix
	maxProxyTransport        = 2 // datagrams
)

var errProxyHeader = errors.New("a trusted proxy's connection does not begin with a PROXY header, version 2")

// proxyListener reads the PROXY header of each connection that a trusted proxy opens,
// and refuses such a connection without one. Connections of others are unchanged:
// there the header is a malformed request.
type proxyListener struct{ *connLimiter }

// Accept implements net.Listener. It does not wait for the header.
func (l proxyListener) Accept() (net.Conn, error) {
	conn, err := l.connLimiter.Accept()
	if err != nil || !l.isTrusted(peerAddr(conn)) {
		return conn, err
	}
	return &proxiedConn{limitedConn: conn.(*limitedConn)}, nil
}

// proxiedConn is a connection of a trusted proxy. The first Read or RemoteAddr waits
// for the PROXY header. Later reads are the kernel's: no byte is buffered, so that a
// poller can wait for the descriptor.
type proxiedConn struct {
	*limitedConn
	once   sync.Once
	client net.Addr // set by once
	err    error    // set by once
}

// Read implements net.Conn.
func (c *proxiedConn) Read(p []byte) (int, error) {
	if c.once.Do(c.readHeader); c.err != nil {
		return 0, c.err
	}
	return c.limitedConn.Read(p)
}

// RemoteAddr implements net.Conn. It returns the client's address, or the proxy's if
// the proxy itself is the client or the header is invalid.
func (c *proxiedConn) RemoteAddr() net.Addr {
	c.once.Do(c.readHeader)
	return c.client
}

// readHeader reads the header and counts the connection for the client.
func (c *proxiedConn) readHeader() {
	c.client = c.limitedConn.RemoteAddr()
	_ = c.SetReadDeadline(time.Now().Add(proxyHeaderTimeout)) // fails only if it is closed
	from, local, err := readProxyHeader(c.limitedConn)
	_ = c.SetReadDeadline(time.Time{})
	switch {
	case err != nil:
		c.err = err
		c.limiter.logProxyError(c.client, err)
	case local:
	case !from.IsValid():
		c.client = unknownAddr{}
	case !c.limiter.reassign(c.limitedConn, from.Addr()):
		c.err = net.ErrClosed
	default:
		c.client = net.TCPAddrFromAddrPort(from)
	}
}

// logProxyError logs why a trusted proxy's connection is refused.
func (l *connLimiter) logProxyError(proxy net.Addr, err error) {
	level := slog.LevelDebug // a health check that only connects
	if errors.Is(err, errProxyHeader) || errors.Is(err, os.ErrDeadlineExceeded) {
		level = slog.LevelWarn
	}
	l.log.Log(context.Background(), level, "a connection of a trusted proxy is refused; have the proxy send version 2 of the PROXY protocol, "+
		"or turn LOGINHUB_PROXY_PROTOCOL off", "peer", proxy, "error", err)
}

// proxyLocalHeader is the header of a connection that a program opens for itself.
const proxyLocalHeader = proxySignature + "\x20\x00\x00\x00"

// unknownAddr is a client's address that the proxy does not know. It is not the
// proxy's, whose forwarding headers are trusted.
type unknownAddr struct{}

// Network implements net.Addr.
func (unknownAddr) Network() string { return "tcp" }

// String implements net.Addr.
func (unknownAddr) String() string { return "unknown" }

// readProxyHeader reads one header and nothing after it. from is the client's address,
// the zero AddrPort if the proxy names none for TCP. local means that the connection
// is the proxy's own, for example a health check.
func readProxyHeader(r io.Reader) (from netip.AddrPort, local bool, err error) {
	fixed := make([]byte, proxyFixedSize)
	if _, err := io.ReadFull(r, fixed); err != nil {
		return from, false, fmt.Errorf("read the PROXY header: %w", err)
	}
	signature, rest := fixed[:len(proxySignature)], fixed[len(proxySignature):]
	version, command, family, size := rest[0]>>4, rest[0]&0xf, rest[1], int(binary.BigEndian.Uint16(rest[2:]))
	switch {
	case bytes.HasPrefix(fixed, []byte("PROXY ")):
		return from, false, fmt.Errorf("%w, but with one of version 1", errProxyHeader)
	case string(signature) != proxySignature:
		return from, false, errProxyHeader
	case version != 2 || command > proxyForward || command == proxyForward && (family>>4 > maxProxyFamily || family&0xf > maxProxyTransport):
		return from, false, fmt.Errorf("%w: version %d, command %d, family %#x", errProxyHeader, version, command, family)
	case size > maxProxyHeader:
		return from, false, fmt.Errorf("%w: it has %d bytes, more than %d", errProxyHeader, size, maxProxyHeader)
	}
	body := make([]byte, size) // addresses, then TLVs, which are ignored
	if _, err := io.ReadFull(r, body); err != nil {
		return from, false, fmt.Errorf("read the PROXY header's %d bytes: %w", size, err)
	}
	if command == proxyLocal {
		return from, true, nil
	}
	var client netip.Addr
	var port []byte
	switch {
	case family == proxyTCP4 && size >= proxyTCP4Size:
		client, port = netip.AddrFrom4([4]byte(body)), body[8:]
	case family == proxyTCP6 && size >= proxyTCP6Size:
		client, port = netip.AddrFrom16([16]byte(body)).Unmap(), body[32:]
	case family == proxyTCP4 || family == proxyTCP6:
		return from, false, fmt.Errorf("%w: %d bytes are too short for its addresses", errProxyHeader, size)
	}
	if !client.IsValid() || client.IsUnspecified() || client.IsMulticast() {
		return from, false, nil
	}
	return netip.AddrPortFrom(client, binary.BigEndian.Uint16(port)), false, nil
}
