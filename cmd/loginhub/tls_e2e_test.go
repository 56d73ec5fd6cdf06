package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
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
