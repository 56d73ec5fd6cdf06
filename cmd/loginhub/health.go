package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// healthTimeout bounds the whole request. It is below the three seconds of a usual
// container health check.
const healthTimeout = 2 * time.Second

// health is `loginhub health`: the health check of a container without a shell. It
// needs the node's LOGINHUB_LISTEN and LOGINHUB_TLS_CERT, and for the PROXY protocol
// LOGINHUB_PROXY_PROTOCOL and LOGINHUB_TRUSTED_PROXIES.
type health struct {
	Ready bool `env:"-" help:"Check that the node is ready (/readyz): Redis and mailbox work, and it does not drain. Otherwise only that the process answers (/healthz). A restart helps only against the second."`
}

// Run sends the request to the node on this machine. An error is exit code 1.
func (h health) Run(c *Config) error {
	path, scheme := "/healthz", "http"
	if h.Ready {
		path = "/readyz"
	}
	if c.TLSCert != "" {
		scheme = "https"
	}
	addr, err := dialAddress(c.Listen)
	if err != nil {
		return &usageError{fmt.Errorf("LOGINHUB_LISTEN: %w", err)}
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+addr+path, nil)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	// The certificate is not verified: it names the public host, and during a renewal
	// it may be another one. The port of this machine is the node's.
	client := &http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true, DialContext: c.dialNode, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	answer, err := client.Do(ask)
	if err != nil {
		return fmt.Errorf("not healthy: no answer at %s: %w", addr, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		var problem struct{ Code, Detail string }
		if text, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10)); err == nil {
			_ = json.Unmarshal(text, &problem) // another server's response has none
		}
		return fmt.Errorf("not healthy: GET %s at %s answered %d %s %s", path, addr, answer.StatusCode, problem.Code, problem.Detail)
	}
	fmt.Printf("ok: GET %s at %s\n", path, addr)
	return nil
}

// dialNode opens a connection to a node. It sends the PROXY header if the node requires
// one from this machine.
func (c *Config) dialNode(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil || !c.ProxyProtocol {
		return conn, err
	}
	proxies, err := prefixes(c.TrustedProxies)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("LOGINHUB_TRUSTED_PROXIES: %w", err), conn.Close())
	}
	here, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err == nil && slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(here.Addr().Unmap()) }) {
		_, err = io.WriteString(conn, proxyLocalHeader)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// dialAddress returns the address under which this machine reaches a node that
// listens there.
func dialAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port), nil
}
