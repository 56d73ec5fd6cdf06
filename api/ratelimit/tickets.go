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
func (l *TicketLimiter) Allow(addr netip.Prefix, now time.Time) error { return l.take(addr, now).err }

// Take is Allow that also returns a function to refund the event. Call refund at
// most once.
func (l *TicketLimiter) Take(addr netip.Prefix, now time.Time) (refund func(), err error) {
	t := l.take(addr, now)
	return t.refund, t.err
}

func (l *TicketLimiter) take(addr netip.Prefix, now time.Time) (t taken) {
	net48, wide := network48(addr)
	_ = t.by(l.node.take(struct{}{}, now)) && (!wide || t.by(l.networks.take(net48, now))) && t.by(l.addresses.take(addr, now))
	return t
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

// taken is one event that several limits count, or none: if one refuses, those before it are
// refunded.
type taken struct {
	refunds [3]func()
	n       int
	err     error // of the limit that has refused
}

// by adds the result of the next limit and reports whether it has counted the event.
func (t *taken) by(refund func(), err error) bool {
	if t.err = err; err != nil {
		t.refund()
		return false
	}
	t.refunds[t.n] = refund
	t.n++
	return true
}

func (t *taken) refund() {
	for _, back := range t.refunds[:t.n] {
		back()
	}
}
