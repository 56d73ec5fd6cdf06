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
	steps := []takeStep{func() (func(), error) { return l.clients.take(client, now) }}
	if net48, ok := network48(addr); ok {
		steps = append(steps, func() (func(), error) { return l.networks.take(net48, now) })
	}
	_, err := takeAll(append(steps, func() (func(), error) { return l.addresses.take(addr, now) })...)
	return err
}
