package ratelimit

import (
	"net/netip"
	"time"
)

// TicketLimiter bounds new tickets, or another event, by address, by IPv6 /48, and
// on the whole node. One customer of an internet provider often has a /48, which is 65,536
// addresses of our limits. IPv4 has no such level: a /24 belongs to many
// customers.
type TicketLimiter struct {
	addresses, networks *AddrLimiter
	node                *Limiter[struct{}]
}

// nodeFactor is the node's limit as a multiple of an address's limit.
const nodeFactor = 100

// newTicketLimiter returns a limiter of rate tickets per minute and address; 0:
// no limit.
func newTicketLimiter(rate int) *TicketLimiter {
	return &TicketLimiter{newAddrLimiter(rate), newAddrLimiter(networkFactor * rate), newLimiter[struct{}](nodeFactor * rate)}
}

// Allow counts a new ticket at every limit, or at none: an address over its own
// limit uses nothing of the others. The widest limit comes first, so that a
// flood does not fill the table of addresses.
func (l *TicketLimiter) Allow(addr netip.Prefix, now time.Time) error {
	_, err := l.Take(addr, now)
	return err
}

// Take is Allow that also returns a function to refund the event. Call refund at
// most once.
func (l *TicketLimiter) Take(addr netip.Prefix, now time.Time) (refund func(), err error) {
	steps := []takeStep{func() (func(), error) { return l.node.take(struct{}{}, now) }}
	if net48, ok := network48(addr); ok {
		steps = append(steps, func() (func(), error) { return l.networks.take(net48, now) })
	}
	return takeAll(append(steps, func() (func(), error) { return l.addresses.take(addr, now) })...)
}

// network48 returns the IPv6 /48 that contains the /64 of an address. It
// returns false for IPv4 and for no address.
func network48(addr netip.Prefix) (netip.Prefix, bool) {
	if !addr.Addr().Is6() {
		return netip.Prefix{}, false
	}
	net48, err := addr.Addr().Prefix(48)
	return net48, err == nil
}

// takeStep counts one event at one limit.
type takeStep func() (refund func(), err error)

// takeAll runs all steps. If one refuses, it refunds those before it.
func takeAll(steps ...takeStep) (refund func(), err error) {
	taken := make([]func(), 0, len(steps))
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
