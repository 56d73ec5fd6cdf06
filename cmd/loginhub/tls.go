package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
)

// certificate is a certificate with its key, from two files. A reload replaces it, so
// that a renewal needs no restart.
type certificate struct {
	current atomic.Pointer[tls.Certificate]
}

func newCertificate(cert, key string, read reader) (*certificate, error) {
	certText, err := read(cert)
	if err != nil {
		return nil, err
	}
	keyText, err := read(key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certText, keyText)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", cert, key, err)
	}
	c := &certificate{}
	c.current.Store(&pair)
	return c, nil
}

// replace takes the value of next. Both may be nil.
func (c *certificate) replace(next *certificate) {
	if c != nil && next != nil {
		c.current.Store(next.current.Load())
	}
}

// listen wraps the listener in TLS 1.2 or later. It offers only HTTP/1.1, which
// WebSockets need; HTTP/2 has flooding attacks of its own.
func (c *certificate) listen(l net.Listener) net.Listener {
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	})
}

// readRedisTLS reads the TLS settings for Redis. A reload replaces the certificate;
// the authorities stay until a restart.
func (s *settings) readRedisTLS() error {
	if s.RedisCA == "" && s.RedisCert == "" {
		return nil
	}
	s.redisTLS = &tls.Config{}
	if s.RedisCA != "" {
		text, err := s.read(s.RedisCA)
		if err != nil {
			return err
		}
		if s.redisCAs = pemCertificates(text); len(s.redisCAs) == 0 {
			return fmt.Errorf("%s holds no PEM certificate", s.RedisCA)
		}
		s.redisTLS.RootCAs = x509.NewCertPool()
		for _, ca := range s.redisCAs {
			s.redisTLS.RootCAs.AddCert(ca)
		}
	}
	if s.RedisCert != "" && s.RedisKey != "" {
		own, err := newCertificate(s.RedisCert, s.RedisKey, s.read)
		if err != nil {
			return fmt.Errorf("LOGINHUB_REDIS_CERT: %w", err)
		}
		s.redisCert = own
		s.redisTLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return own.current.Load(), nil
		}
	}
	return nil
}

// isLocalURL reports whether a URL's host is this machine or in a private network, by
// name (RFC 6761, RFC 6762, .internal by ICANN) or address.
func isLocalURL(text string) bool {
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
