package hubtest

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Middlebox is an HTTP proxy between a browser and the hub that breaks WebSockets. With
// the zero value of its settings it passes them.
type Middlebox struct {
	URL string

	Refuse   int           // status that answers an upgrade request
	Swallow  bool          // accept an upgrade request and never answer it
	CutAfter time.Duration // longest life of a socket
	CutIdle  time.Duration // longest silence of a socket, in both directions

	Upgrades atomic.Int64 // upgrade requests received
	entry    func() string
}

// Start starts the proxy in front of the URL that entry returns for each request. It
// ends with the test.
func (m *Middlebox) Start(t testing.TB, entry func() string) *Middlebox {
	t.Helper()
	m.entry = entry
	dialer := &net.Dialer{}
	sockets := m.proxy(&http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err == nil && m.CutIdle > 0 {
				conn = &idleTimeoutConn{Conn: conn, limit: m.CutIdle}
			}
			return conn, err
		}})
	plain := m.proxy(&http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 2 * time.Second})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			plain.ServeHTTP(w, r)
			return
		}
		m.Upgrades.Add(1)
		m.upgrade(sockets, w, r)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	m.URL = server.URL
	return m
}

func (m *Middlebox) upgrade(sockets http.Handler, w http.ResponseWriter, r *http.Request) {
	switch {
	case m.Refuse != 0:
		http.Error(w, "no WebSockets here", m.Refuse)
	case m.Swallow:
		<-r.Context().Done() // until the client gives up
	case m.CutAfter > 0:
		ctx, cancel := context.WithTimeout(r.Context(), m.CutAfter)
		defer cancel()
		sockets.ServeHTTP(w, r.WithContext(ctx))
	default:
		sockets.ServeHTTP(w, r)
	}
}

func (m *Middlebox) proxy(transport http.RoundTripper) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			to, _ := url.Parse(m.entry())
			r.SetURL(to)
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		ErrorLog:     log.New(io.Discard, "", 0),
	}
}

// idleTimeoutConn is a connection that fails if nothing is sent in either direction for
// the limit.
type idleTimeoutConn struct {
	net.Conn
	limit time.Duration
}

func (c *idleTimeoutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.Conn.SetDeadline(time.Now().Add(c.limit))
	return n, err
}

func (c *idleTimeoutConn) Write(b []byte) (int, error) {
	c.Conn.SetDeadline(time.Now().Add(c.limit))
	return c.Conn.Write(b)
}
