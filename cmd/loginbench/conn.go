package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// callLimit bounds one request. A longer one is an error.
const callLimit = 30 * time.Second

// stale is the age up to which an idle connection is used again. Servers and
// proxies close idle connections after a minute or more.
const stale = 45 * time.Second

// target is one server's address and the free keep-alive connections to it.
type target struct {
	url     *url.URL
	sources int           // number of local addresses to dial from; 0: the system chooses
	turn    *atomic.Int64 // index of the next source
	header  string        // lines of every request

	mu   sync.Mutex
	free []*conn // most recently used last
}

// conn is one connection.
type conn struct {
	net.Conn
	r    *bufio.Reader
	used time.Time
}

func newTarget(text string, sources int) (*target, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no URL like http://127.0.0.1:8080", text)
	}
	if u.Port() == "" {
		u.Host += map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	}
	if !strings.HasPrefix(u.Host, "127.") {
		sources = 0 // only the loopback has more local addresses
	}
	return &target{url: u, sources: sources, turn: new(atomic.Int64)}, nil
}

// dial opens a connection. One local address has 28,000 ports; more pages, and
// ports in TIME_WAIT, need further addresses.
func (d *target) dial(ctx context.Context, buffer int) (*conn, error) {
	dialer := net.Dialer{KeepAlive: -1}
	if d.sources > 0 {
		last := byte(2 + d.turn.Add(1)%int64(d.sources))
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, last)}
		dialer.Control = lateport
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	tcp, err := dialer.DialContext(ctx, "tcp", d.url.Host)
	if err != nil {
		return nil, err
	}
	if d.url.Scheme == "https" {
		tcp = tls.Client(tcp, &tls.Config{ServerName: d.url.Hostname()})
	}
	return &conn{Conn: tcp, r: bufio.NewReaderSize(tcp, buffer)}, nil
}

// lateport lets the kernel choose the port at connect, so that a port is used up
// only towards this server.
func lateport(_, _ string, raw syscall.RawConn) error {
	const bindAddressNoPort = 24 // IP_BIND_ADDRESS_NO_PORT (linux/in.h)
	var err error
	if e := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, bindAddressNoPort, 1)
	}); e != nil {
		return e
	}
	return err
}

// call makes one request on a free connection; an empty body makes it a GET.
// sent is the time just before the first byte was written.
func (d *target) call(ctx context.Context, path, header, body string) (status int, answer []byte, sent time.Time, err error) {
	resp, answer, sent, err := d.exchange(ctx, path, header, "application/json", body)
	if err != nil {
		return 0, nil, sent, err
	}
	return resp.StatusCode, answer, sent, nil
}

// exchange is call with a media type of the body. It also returns the answer's
// header, in resp.
func (d *target) exchange(ctx context.Context, path, header, mediaType, body string) (resp *http.Response, answer []byte, sent time.Time, err error) {
	l, err := d.take(ctx)
	if err != nil {
		return nil, nil, sent, err
	}
	method := "GET"
	if body != "" {
		method = "POST"
		header += fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\n", mediaType, len(body))
	}
	request := method + " " + path + " HTTP/1.1\r\nHost: " + d.url.Host + "\r\n" + d.header + header + "\r\n" + body
	sent = time.Now()
	l.SetDeadline(sent.Add(callLimit))
	resp, err = l.roundTrip(request)
	if err == nil {
		answer, err = io.ReadAll(resp.Body)
	}
	if err != nil {
		l.Close()
		return nil, nil, sent, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.Close {
		l.Close()
	} else {
		d.put(l)
	}
	return resp, answer, sent, nil
}

func (l *conn) roundTrip(request string) (*http.Response, error) {
	if _, err := io.WriteString(l, request); err != nil {
		return nil, err
	}
	return http.ReadResponse(l.r, nil)
}

func (d *target) take(ctx context.Context) (*conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.free) > 0 {
		l := d.free[len(d.free)-1]
		d.free = d.free[:len(d.free)-1]
		if time.Since(l.used) < stale {
			return l, nil
		}
		l.Close()
	}
	d.mu.Unlock()
	defer d.mu.Lock()
	return d.dial(ctx, 4<<10)
}

func (d *target) put(l *conn) {
	l.used = time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = append(d.free, l)
}

// close closes the free connections.
func (d *target) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.free {
		l.Close()
	}
	d.free = nil
}
