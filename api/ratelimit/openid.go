package ratelimit

import (
	"net/netip"
	"time"
)

// OpenIDLimiter bounds the requests that begin a login of a site, before anybody has
// logged in: by address, by IPv6 /48, and by client, so that a flood against one site
// leaves the others their share. Only known clients are counted.
type OpenIDLimiter struct {
	addresses, networks *AddrLimiter
	clients             *Limiter[string]
}

// newOpenIDLimiter returns a limiter of rate requests per minute and address; 0: no limit.
func newOpenIDLimiter(rate int) *OpenIDLimiter {
	return &OpenIDLimiter{newAddrLimiter(rate), newAddrLimiter(networkFactor * rate), newLimiter[string](nodeFactor * rate)}
}

// Allow counts a request at every limit, or at none.
func (l *OpenIDLimiter) Allow(addr netip.Prefix, client string, now time.Time) error {
	var t taken
	net48, wide := network48(addr)
	_ = t.by(l.clients.take(client, now)) && (!wide || t.by(l.networks.take(net48, now))) && t.by(l.addresses.take(addr, now))
	return t.err
}
