package main

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/hub/hubtest"
)

// proxyHeader is a header with that version, command, family and body.
func proxyHeader(command, family byte, body string) string {
	head := append([]byte(proxySignature), command, family)
	return string(binary.BigEndian.AppendUint16(head, uint16(len(body)))) + body
}

const (
	proxy4 = "\xcb\x00\x71\x09" + "\x0a\x00\x00\x07" + "\x12\x34" + "\x00\x50" // 203.0.113.9:4660 to 10.0.0.7:80
	proxy6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + "0123456789abcdef" + "\x12\x34" + "\x00\x50"
)

func TestProxyHeader(t *testing.T) {
	mapped := strings.Repeat("\x00", 10) + "\xff\xff\xcb\x00\x71\x09" + proxy6[16:]
	for name, c := range map[string]struct{ header, want string }{
		"IPv4":                       {proxyHeader(0x21, 0x11, proxy4), "203.0.113.9:4660"},
		"IPv4 with a TLV":            {proxyHeader(0x21, 0x11, proxy4+"\x04\x00\x03abc"), "203.0.113.9:4660"},
		"IPv6":                       {proxyHeader(0x21, 0x21, proxy6), "[2001:db8::1]:4660"},
		"IPv4 in IPv6":               {proxyHeader(0x21, 0x21, mapped), "203.0.113.9:4660"},
		"LOCAL":                      {proxyHeader(0x20, 0x00, ""), "local"},
		"LOCAL with what is ignored": {proxyHeader(0x20, 0xff, proxy4), "local"},
		"unspecified family":         {proxyHeader(0x21, 0x00, ""), "unknown"},
		"Unix socket":                {proxyHeader(0x21, 0x31, strings.Repeat("/", 216)), "unknown"},
		"UDP":                        {proxyHeader(0x21, 0x12, proxy4), "unknown"},
		"0.0.0.0":                    {proxyHeader(0x21, 0x11, "\x00\x00\x00\x00"+proxy4[4:]), "unknown"},
		"multicast":                  {proxyHeader(0x21, 0x11, "\xe0\x00\x00\x01"+proxy4[4:]), "unknown"},
		"the longest":                {proxyHeader(0x21, 0x11, proxy4+strings.Repeat("\x04", maxProxyHeader-len(proxy4))), "203.0.113.9:4660"},
		"too long":                   {proxyHeader(0x21, 0x11, proxy4+strings.Repeat("\x04", maxProxyHeader)), ""},
		"too short for IPv4":         {proxyHeader(0x21, 0x11, proxy4[1:]), ""},
		"too short for IPv6":         {proxyHeader(0x21, 0x21, proxy6[1:]), ""},
		"command 2":                  {proxyHeader(0x22, 0x11, proxy4), ""},
		"version 1, binary":          {proxyHeader(0x11, 0x11, proxy4), ""},
		"version 3":                  {proxyHeader(0x31, 0x11, proxy4), ""},
		"family 4":                   {proxyHeader(0x21, 0x41, proxy4), ""},
		"transport 3":                {proxyHeader(0x21, 0x13, proxy4), ""},
		"version 1":                  {"PROXY TCP4 203.0.113.9 10.0.0.7 4660 80\r\n", ""},
		"a request":                  {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", ""},
	} {
		in := strings.NewReader(c.header + "rest")
		from, local, err := readProxyHeader(in)
		got := from.String()
		switch {
		case err != nil:
			got = ""
		case local:
			got = "local"
		case !from.IsValid():
			got = "unknown"
		}
		if got != c.want || err != nil && !errors.Is(err, errProxyHeader) {
			t.Errorf("%s: %q %v", name, got, err)
		}
		if rest, _ := io.ReadAll(in); err == nil && string(rest) != "rest" {
			t.Errorf("%s: %q is left", name, rest)
		}
	}
	whole := proxyHeader(0x21, 0x11, proxy4)
	for n := range len(whole) {
		if _, _, err := readProxyHeader(strings.NewReader(whole[:n])); err == nil {
			t.Errorf("accepted after %d bytes", n)
		}
	}
}

func FuzzProxyHeader(f *testing.F) {
	for _, seed := range []string{"", proxyHeader(0x21, 0x11, proxy4), proxyHeader(0x21, 0x21, proxy6), proxyHeader(0x20, 0, ""), proxyHeader(0x21, 0x31, "x"), "PROXY UNKNOWN\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		in := bytes.NewReader(text)
		from, local, err := readProxyHeader(in)
		if err != nil {
			return
		}
		size := int(binary.BigEndian.Uint16(text[14:16]))
		if read := len(text) - in.Len(); read != proxyFixedSize+size || size > maxProxyHeader || !bytes.HasPrefix(text, []byte(proxySignature)) {
			t.Errorf("read %d bytes of %x", read, text)
		}
		if from.IsValid() && (local || from.Addr().Is4In6() || from.Addr().IsUnspecified()) {
			t.Errorf("%v, local %v", from, local)
		}
	})
}

// proxiedServer answers with the address of the peer and hijacks /hold. 127.0.0.9 is the proxy.
func proxiedServer(t *testing.T, l *connLimiter, secure *certificate) (addr string, hijacked chan net.Conn) {
	t.Helper()
	tcp, err := listenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Listener, l.sources, l.log = tcp, map[netip.Prefix]*connSource{}, slog.New(slog.DiscardHandler)
	l.trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}
	hijacked = make(chan net.Conn, 8)
	server := newHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.RemoteAddr)
		if r.URL.Path == "/hold" {
			conn, _, _ := http.NewResponseController(w).Hijack()
			hijacked <- conn
		}
	}), l.log)
	server.ConnState = l.connState
	var listener net.Listener = proxyListener{l}
	if secure != nil {
		listener = secure.listen(listener)
	}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return tcp.Addr().String(), hijacked
}

// answerOn returns all that the server sends on the connection, until it closes it.
func answerOn(conn net.Conn) string {
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	text, _ := io.ReadAll(conn)
	return string(text)
}

func TestProxyListener_Addresses(t *testing.T) {
	addr, _ := proxiedServer(t, &connLimiter{}, nil)
	silent := dialFrom(t, addr, "127.0.0.9", "") // must not delay the others
	const request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	header := proxyHeader(0x21, 0x11, proxy4)
	for name, c := range map[string]struct{ from, header, want string }{
		"a client":                   {"127.0.0.9", header, "\r\n\r\n203.0.113.9:4660"},
		"the proxy itself":           {"127.0.0.9", proxyLocalHeader, "\r\n\r\n127.0.0.9:"},
		"an unknown client":          {"127.0.0.9", proxyHeader(0x21, 0, ""), "\r\n\r\nunknown"},
		"others need none":           {"127.0.0.1", "", "\r\n\r\n127.0.0.1:"},
		"others may send none":       {"127.0.0.1", header, "400 Bad Request"},
		"a second header":            {"127.0.0.9", header + header, "400 Bad Request"},
		"the proxy must send one":    {"127.0.0.9", "", "400 Bad Request"},
		"version 1 of a proxy":       {"127.0.0.9", "PROXY TCP4 203.0.113.9 10.0.0.7 4660 80\r\n", "400 Bad Request"},
		"the health check of others": {"127.0.0.1", proxyLocalHeader, "400 Bad Request"},
	} {
		if got := answerOn(dialFrom(t, addr, c.from, c.header+request)); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	parts := dialFrom(t, addr, "127.0.0.9", header[:20])
	io.WriteString(parts, header[20:]+request)
	if got := answerOn(parts); !strings.HasSuffix(got, "203.0.113.9:4660") {
		t.Errorf("in two parts: %q", got)
	}
	silent.Close()
}

func TestProxyListener_TLS(t *testing.T) {
	secure := &certificate{}
	secure.current.Store(selfSigned(t))
	addr, _ := proxiedServer(t, &connLimiter{}, secure)
	conn := tls.Client(dialFrom(t, addr, "127.0.0.9", proxyHeader(0x21, 0x21, proxy6)), &tls.Config{InsecureSkipVerify: true})
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if got := answerOn(conn); !strings.HasSuffix(got, "[2001:db8::1]:4660") {
		t.Errorf("%q", got)
	}
}

// TestProxyListener_Limit: the connections of one client are counted, and its sockets keep a file
// descriptor for the poller.
func TestProxyListener_Limit(t *testing.T) {
	l := &connLimiter{total: 100, perAddress: 2}
	addr, hijacked := proxiedServer(t, l, nil)
	header := proxyHeader(0x21, 0x11, proxy4)
	hold := header + strings.Replace(keepAlive, "/", "/hold", 1)
	dialFrom(t, addr, "127.0.0.9", hold)
	if _, ok := (<-hijacked).(syscall.Conn); !ok {
		t.Error("a socket has no file descriptor")
	}
	idle := dialFrom(t, addr, "127.0.0.9", header)
	l.waitCounts(t, 2, 1)
	hubtest.Eventually(t, 5*time.Second, "both are the client's", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.sources) == 1 && l.sources[netip.MustParsePrefix("203.0.113.9/32")] != nil
	})
	dialFrom(t, addr, "127.0.0.9", hold)
	<-hijacked
	requireClosed(t, idle) // it made room
	requireClosed(t, dialFrom(t, addr, "127.0.0.9", hold))
	dialFrom(t, addr, "127.0.0.9", strings.Replace(hold, "\xcb", "\xcc", 1)) // another client
	<-hijacked
	l.waitCounts(t, 3, 0)
}

func TestProxyListener_Timeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		l := &connLimiter{sources: map[netip.Prefix]*connSource{}, log: slog.New(slog.DiscardHandler)}
		c := &proxiedConn{limitedConn: &limitedConn{Conn: near, limiter: l, source: l.source(netip.Addr{})}}
		began := time.Now()
		go io.WriteString(far, proxySignature)
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != proxyHeaderTimeout {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
