package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/hub/hubtest"
)

// dialAndWrite opens a connection and writes the text on it.
func dialAndWrite(t *testing.T, d *hubtest.PipeListener, text string) net.Conn {
	t.Helper()
	near, err := d.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	go near.Write([]byte(text))
	return near
}

// startPublic serves the public listener as Run does, inside a synctest bubble.
func startPublic(t *testing.T, certificate *certificate) *hubtest.PipeListener {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	d := hubtest.NewPipeListener()
	var listener net.Listener = d
	if certificate != nil {
		listener = certificate.listen(d)
	}
	startServer(t, listener, newHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			io.WriteString(w, strings.Repeat("x", 1<<20))
		}
	}), log))
	return d
}

// startAdminServer serves the admin address with a token. Its metrics take as long as a
// profile.
func startAdminServer(t *testing.T) *hubtest.PipeListener {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(30 * time.Second):
		case <-r.Context().Done():
			t.Errorf("a slow answer was ended: %v", r.Context().Err())
		}
	})
	d := hubtest.NewPipeListener()
	startServer(t, d, newAdminServer(&adminGuard{mux: mux, token: func() string { return "secret" }, log: slog.New(slog.DiscardHandler)}))
	return d
}

func startServer(t *testing.T, listener net.Listener, server *http.Server) {
	t.Helper()
	var life sync.WaitGroup
	life.Go(func() { server.Serve(listener) })
	t.Cleanup(func() {
		server.Close()
		life.Wait()
		<-time.After(time.Second) // net/http lingers for half a second after a refusal
	})
}

// readUntilClosed reads until the server closes the connection, and returns how long that took.
func readUntilClosed(conn net.Conn) time.Duration {
	began := time.Now()
	io.Copy(io.Discard, conn)
	return time.Since(began)
}

func TestListener_Timeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startPublic(t, nil)
		for name, c := range map[string]struct {
			text string
			most time.Duration
		}{
			"nothing sent":         {"", headerTimeout},
			"an unfinished header": {"GET / HTTP/1.1\r\nHost: x\r\nX-", headerTimeout},
			"idle after a request": {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", idleTimeout},
			"half a second header": {"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT", headerTimeout},
		} {
			if took := readUntilClosed(dialAndWrite(t, d, c.text)); took < c.most-time.Second || took > c.most+time.Second {
				t.Errorf("%s: open for %v, wanted %v", name, took, c.most)
			}
		}
		dripping := dialAndWrite(t, d, "GET / HTTP/1.1\r\nHost: x\r\nX-a: ")
		began := time.Now()
		for _, err := dripping.Write([]byte("a")); err == nil; _, err = dripping.Write([]byte("a")) {
			<-time.After(time.Second)
		}
		if took := time.Since(began); took > headerTimeout+2*time.Second {
			t.Errorf("a slowly sent header was open for %v", took)
		}
	})
}

func TestListener_Admin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startAdminServer(t)
		for name, c := range map[string]struct {
			text   string
			least  time.Duration
			answer string
		}{
			"an unfinished header":  {"GET / HTTP/1.1\r\nHost: x\r\nX-", headerTimeout, ""},
			"idle after an answer":  {"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 30*time.Second + adminIdleTimeout, "HTTP/1.1 200"},
			"a body that is late":   {"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", adminBodyTimeout, "HTTP/1.1 401"},
			"a header that is long": {"GET / HTTP/1.1\r\nHost: x\r\nX-a: " + strings.Repeat("a", 2*maxHeaderBytes) + "\r\n\r\n", 0, "HTTP/1.1 431"},
		} {
			conn, began := dialAndWrite(t, d, c.text), time.Now()
			if c.answer != "" {
				answer := make([]byte, len(c.answer))
				if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != c.answer || strings.Contains(c.answer, "401") && time.Since(began) > time.Second {
					t.Errorf("%s: %q %v after %v", name, answer, err, time.Since(began))
				}
			}
			readUntilClosed(conn)
			if took := time.Since(began); took < c.least || took > c.least+time.Second {
				t.Errorf("%s: open for %v, wanted %v", name, took, c.least)
			}
		}
	})
}

func TestListener_WriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startPublic(t, nil)
		conn := dialAndWrite(t, d, "GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
		<-time.After(answerTimeout + time.Second)
		if got, _ := io.ReadAll(conn); len(got) >= 1<<20 {
			t.Errorf("received %d bytes after %v", len(got), answerTimeout)
		}
	})
}

func TestListener_HeaderSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startPublic(t, nil)
		for size, want := range map[int]int{maxHeaderBytes - 1000: http.StatusOK, 2 * maxHeaderBytes: http.StatusRequestHeaderFieldsTooLarge} {
			conn := dialAndWrite(t, d, "GET / HTTP/1.1\r\nHost: x\r\nX-a: "+strings.Repeat("a", size)+"\r\n\r\n")
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || answer.StatusCode != want {
				t.Errorf("%d bytes: %+v %v", size, answer, err)
			}
			conn.Close()
		}
	})
}

// selfSigned is a certificate without a CA.
func selfSigned(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestListener_HandshakeTimeout(t *testing.T) {
	pair := selfSigned(t)
	synctest.Test(t, func(t *testing.T) {
		own := &certificate{}
		own.current.Store(pair)
		d := startPublic(t, own)
		for name, text := range map[string]string{
			"nothing sent":        "",
			"an unfinished hello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		} {
			if took := readUntilClosed(dialAndWrite(t, d, text)); took < headerTimeout-time.Second || took > headerTimeout+time.Second {
				t.Errorf("%s: open for %v", name, took)
			}
		}
		// A connection that completes its handshake is served.
		conn := tls.Client(dialAndWrite(t, d, ""), &tls.Config{InsecureSkipVerify: true})
		go io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if answer, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("%+v %v", answer, err)
		}
	})
}

// startPublicTCP is a public server on TCP, as Run makes it.
func startPublicTCP(t *testing.T, handler http.HandlerFunc) *publicServer {
	t.Helper()
	tcp, err := listenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := newPublicServer(newHTTPServer(handler, slog.New(slog.DiscardHandler)), tcp, tcp)
	t.Cleanup(func() { p.Close(); tcp.Close() })
	return p
}

// dialPublic opens a connection that the kernel has accepted.
func dialPublic(t *testing.T, p *publicServer) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// requireAnswer demands the answer to the request sent.
func requireAnswer(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("%+v %v", answer, err)
	}
}

const stopRequest = "POST /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

func TestStop_QueuedConnections(t *testing.T) {
	p := startPublicTCP(t, func(http.ResponseWriter, *http.Request) {})
	var conns []net.Conn
	for range 50 { // Accept has not been called yet
		conn := dialPublic(t, p)
		io.WriteString(conn, stopRequest)
		conns = append(conns, conn)
	}
	go p.serve()
	if err := p.stop(t.Context()); err != nil {
		t.Error(err)
	}
	for _, conn := range conns {
		requireAnswer(t, conn)
	}
}

func TestStop_OpenConnections(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	p := startPublicTCP(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(begun)
			<-finish
		}
	})
	go p.serve()
	slow, fresh, silent := dialPublic(t, p), dialPublic(t, p), dialPublic(t, p)
	io.WriteString(slow, strings.Replace(stopRequest, "/x", "/slow", 1))
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- p.stop(t.Context()) }()
	hubtest.Eventually(t, 5*time.Second, "the listener is closed", func() bool {
		late, err := net.Dial("tcp", p.tcp.Addr().String())
		if err == nil {
			late.Close()
		}
		return err != nil
	})
	io.WriteString(fresh, stopRequest)
	requireAnswer(t, fresh)
	close(finish)
	requireAnswer(t, slow)
	if took := readUntilClosed(silent); took > 2*firstRequestTimeout {
		t.Errorf("a connection without a request was open for %v", took)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
