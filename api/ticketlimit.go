package api

import (
	"net/netip"
	"time"
)

// ticketLimiter bounds new tickets by address, by IPv6 /48 (one customer of a
// provider often holds one, with 65,536 addresses by which limits are counted),
// and on the whole node. IPv4 has no level between: a /24 belongs to many.
type ticketLimiter struct {
	addresses, networks *addrLimiter
	node                *rateLimiter[struct{}]
}

// nodeFactor is how many times an address's limit the node has.
const nodeFactor = 100

func newTicketLimiter(rate int) *ticketLimiter {
	return &ticketLimiter{newAddrLimiter(rate), newAddrLimiter(networkFactor * rate), newRateLimiter[struct{}](nodeFactor * rate)}
}

// allow counts a new ticket at every limit, or at none: an address over its own
// limit uses up nothing of the others'. The widest comes first, so that a flood
// fills no table of addresses.
func (l *ticketLimiter) allow(who netip.Prefix, now time.Time) error {
	steps := []takeStep{func() (func(), error) { return l.node.take(struct{}{}, now) }}
	if wide, ok := network48(who); ok {
		steps = append(steps, func() (func(), error) { return l.networks.take(wide, now) })
	}
	_, err := takeAll(append(steps, func() (func(), error) { return l.addresses.take(who, now) })...)
	return err
}

// network48 is the IPv6 /48 of an address's /64; false for IPv4 and for no address.
func network48(who netip.Prefix) (netip.Prefix, bool) {
	if !who.Addr().Is6() {
		return netip.Prefix{}, false
	}
	wide, err := who.Addr().Prefix(48)
	return wide, err == nil
}

// takeStep counts one event at one limit.
type takeStep func() (refund func(), err error)

// takeAll takes every step, or refunds those before the one that refuses.
func takeAll(steps ...takeStep) (refund func(), err error) {
	var taken []func()
	refund = func() {
		for _, back := range taken {
			back()
		}
	}
	for _, step := range steps {
		back, err := step()
		if err != nil {
			refund()
			return nil, err
		}
		taken = append(taken, back)
	}
	return refund, nil
}
