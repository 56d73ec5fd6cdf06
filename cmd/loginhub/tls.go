package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// certificateCheck is how often a handshake looks whether the files are new.
const certificateCheck = time.Second

// certificate is a certificate and key in files, read anew when they change, so
// that a renewal needs no restart.
type certificate struct {
	certPath, keyPath string

	mu      sync.Mutex
	current *tls.Certificate
	stamp   string    // of the files that current was read from
	checked time.Time // when the files were last looked at
}

// newCertificate reads the files once: a wrong path is found at the start.
func newCertificate(cert, key string) (*certificate, error) {
	c := &certificate{certPath: cert, keyPath: key}
	if err := c.read(c.look()); err != nil {
		return nil, err
	}
	return c, nil
}

// look tells one version of the files from another; "" where one is missing.
func (c *certificate) look() string {
	var b strings.Builder
	for _, path := range []string{c.certPath, c.keyPath} {
		info, err := os.Stat(path)
		if err != nil {
			return ""
		}
		fmt.Fprintf(&b, "%d %d;", info.ModTime().UnixNano(), info.Size())
	}
	return b.String()
}

func (c *certificate) read(stamp string) error {
	pair, err := tls.LoadX509KeyPair(c.certPath, c.keyPath)
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	c.current, c.stamp = &pair, stamp
	return nil
}

// get is the certificate as it stands in the files. Files that do not fit, as in
// the middle of a renewal, leave the former one in place.
func (c *certificate) get(log *slog.Logger) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) >= certificateCheck {
		c.checked = now
		if stamp := c.look(); stamp != c.stamp {
			if err := c.read(stamp); err != nil {
				log.Warn("the new certificate cannot be used; the former one stays", "error", err)
			} else {
				log.Info("certificate read anew", "path", c.certPath)
			}
		}
	}
	return c.current
}

// listen puts TLS 1.2 or later before the listener. HTTP/1.1 alone is offered: a
// WebSocket needs it, and HTTP/2 brings floods of its own.
func (c *certificate) listen(l net.Listener, log *slog.Logger) net.Listener {
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(log), nil },
	})
}

// redisTLS is what the settings say about TLS to Redis; nil where they say
// nothing. The certificate is read anew when it changes; the authorities are not.
func (c *Config) redisTLS() (*tls.Config, error) {
	if c.RedisCA == "" && c.RedisCert == "" {
		return nil, nil
	}
	secure := &tls.Config{}
	if c.RedisCA != "" {
		text, err := os.ReadFile(c.RedisCA)
		if err != nil {
			return nil, err
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no PEM certificate", c.RedisCA)
		}
	}
	if c.RedisCert != "" && c.RedisKey != "" {
		own, err := newCertificate(c.RedisCert, c.RedisKey)
		if err != nil {
			return nil, fmt.Errorf("LOGINHUB_REDIS_CERT: %w", err)
		}
		secure.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return own.get(slog.Default()), nil
		}
	}
	return secure, nil
}

// local reports whether a URL's host is this machine or a private network: its
// own names (RFC 6761, RFC 6762, .internal by ICANN) and addresses.
func local(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	host := strings.TrimSuffix(u.Hostname(), ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		return addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast()
	}
	if host == "localhost" {
		return true
	}
	for _, zone := range []string{".localhost", ".test", ".local", ".internal"} {
		if strings.HasSuffix(host, zone) {
			return true
		}
	}
	return false
}
