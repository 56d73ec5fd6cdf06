package client

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// AllowsRedirect reports whether the authorization response may go to the URI. It must
// equal a registered one, byte for byte (RFC 9700, section 2.1). Only the port of a
// loopback URI is free, because a native app listens on a port that the system chooses
// (RFC 8252, section 7.3): for a client without credentials, and for a URI that is
// registered without a port.
func (c *Client) AllowsRedirect(uri string) bool {
	if slices.Contains(c.RedirectURIs, uri) {
		return true
	}
	without, ok := cutLoopbackPort(uri)
	if !ok {
		return false
	}
	return slices.ContainsFunc(c.RedirectURIs, func(registered string) bool {
		known, ok := cutLoopbackPort(registered)
		return ok && known == without && (c.Public() || known == registered)
	})
}

// cutLoopbackPort returns the URI without its port. ok is false unless it is http on a
// loopback host.
func cutLoopbackPort(uri string) (without string, ok bool) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" || !strings.HasPrefix(uri, "http://"+u.Host) || !IsLoopback(u.Hostname()) {
		return "", false
	}
	host := u.Host
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
			return "", false
		}
		host = strings.TrimSuffix(host, ":"+port)
	} else if strings.HasSuffix(host, ":") {
		return "", false
	}
	return "http://" + host + uri[len("http://"+u.Host):], true
}

// IsLoopback reports whether the host is localhost or a loopback address.
func IsLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Zone() == "" && addr.IsLoopback()
}
