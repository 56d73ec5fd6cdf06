package main_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// writeCertificate writes a new certificate with that serial number.
func writeCertificate(t *testing.T, cert, key string, number int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(number), Subject: pkix.Name{CommonName: "localhost"},
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}, &x509.Certificate{}, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: raw}} {
		// The files are renamed into place, as renewal programs do.
		if err := os.WriteFile(path+".new", pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTLS_CertificateReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, cert, key, 1)
	n := hubtest.LaunchNode(t, program, "TLS_CERT="+cert, "TLS_KEY="+key, "PUBLIC_URL=https://localhost", "REDIS_URL=embedded", "SANDBOX=true")
	addr := strings.TrimPrefix(n.URL, "http://")
	// dial makes a handshake with at most that version and returns the certificate's serial number.
	dial := func(most uint16) (int64, error) {
		conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: most, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
			t.Errorf("negotiated %s", got)
		}
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
	}
	hubtest.Eventually(t, 20*time.Second, "TLS", func() bool { number, err := dial(tls.VersionTLS13); return err == nil && number == 1 })
	if _, err := dial(tls.VersionTLS12); err != nil {
		t.Errorf("TLS 1.2: %v", err)
	}
	if _, err := dial(tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	get := func() (*http.Response, error) { return client.Get("https://" + addr + "/readyz") }
	hubtest.Eventually(t, 20*time.Second, "ready", func() bool {
		r, err := get()
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == 200 && r.Header.Get("Strict-Transport-Security") != ""
	})
	writeCertificate(t, cert, key, 2)
	hubtest.Eventually(t, 10*time.Second, "the new certificate", func() bool { number, err := dial(tls.VersionTLS13); return err == nil && number == 2 })
	// A broken renewal keeps the working certificate.
	if err := os.WriteFile(cert, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	hubtest.Eventually(t, 10*time.Second, "the log reports the refused reload", func() bool {
		number, err := dial(tls.VersionTLS13)
		if err != nil || number != 2 {
			t.Fatalf("certificate %d %v", number, err)
		}
		return strings.Contains(n.Log(), "reload refused: nothing was changed")
	})
}

func TestTLS_HalfOpenHandshakes(t *testing.T) {
	t.Parallel()
	n := hubtest.StartNode(t, program, "RATE_LIMIT=600")
	addr := strings.TrimPrefix(n.URL, "http://")
	ctx := testContext(t, 90*time.Second)
	const many = 2000
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	began := time.Now()
	for i := range many {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		conns = append(conns, conn)
		head := "GET /api/login/tickets/AAAAAAAAAAAAAAAAAAAAAA/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Up"
		if i%2 == 0 {
			head = "POST /api/login/tickets HTTP/1.1\r\nHost: x\r\nX-a: "
		}
		if _, err := io.WriteString(conn, head); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	for i := range 3 {
		if err := login(ctx, fmt.Sprintf("patient %d", i), n.URL); err != nil {
			t.Errorf("with %d half-open connections: %v", many, err)
		}
	}
	if n.Get("/readyz") != 200 {
		t.Error("the node is no longer ready")
	}
	// One of them keeps sending slowly. It is closed all the same.
	cut := make(chan time.Duration, 1)
	go sendSlowly(ctx, conns[0], cut)
	for i, conn := range conns[1:] {
		conn.SetReadDeadline(time.Now().Add(45 * time.Second))
		if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatalf("connection %d is still open after %v", i, time.Since(began))
		}
	}
	if took := <-cut; took > 45*time.Second {
		t.Errorf("a slowly sent header was open for %v", took)
	}
	t.Logf("%d half-open connections", many)
	if err := login(ctx, "afterwards", n.URL); err != nil {
		t.Error(err)
	}
}

// sendSlowly sends a byte of a header now and then until the connection is closed.
func sendSlowly(ctx context.Context, conn net.Conn, cut chan<- time.Duration) {
	began := time.Now()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		if _, err := conn.Write([]byte("a")); err != nil {
			break
		}
		<-tick.C
	}
	cut <- time.Since(began)
}
