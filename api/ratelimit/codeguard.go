package ratelimit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// CodeGuard keeps invented codes away from the providers: each costs a call of
// the quota that all users share. A refused code is counted by the caller's
// address and the provider, and by the address and the ticket. The second limit
// is lower, so that a flood on one ticket leaves the other users of a carrier's
// NAT their calls. Nothing is counted by ticket alone: its id is public, so
// anyone could lock its user out.
type CodeGuard struct {
	networks  *Limiter[codeSource] // IPv6 /48
	addresses *Limiter[codeSource]
	tickets   *Limiter[ticketSource]
	refused   refusedCodes
}

// codeSource is an address or network, and the provider that it calls.
type codeSource struct {
	from     netip.Prefix
	provider any
}

// ticketSource is an address, and the ticket and provider that it calls.
type ticketSource struct {
	codeSource
	ticket ticket.ID
}

const (
	// refusedPerTicket is how many refused codes per minute one address may
	// send for one ticket. A phone whose code is refused gets one fresh code.
	refusedPerTicket = 10
	// networkFactor is the limit of an IPv6 /48 as a multiple of an address's
	// limit.
	networkFactor = 8
)

// newCodeGuard derives the limits from the rate; 0 turns them off, but refused
// codes are still remembered.
func newCodeGuard(rate int) *CodeGuard {
	g := &CodeGuard{networks: newLimiter[codeSource](0), addresses: newLimiter[codeSource](0), tickets: newLimiter[ticketSource](0)}
	if rate > 0 {
		perAddress := max(rate/10, 60)
		g.networks, g.addresses = newLimiter[codeSource](networkFactor*perAddress), newLimiter[codeSource](perAddress)
		g.tickets = newLimiter[ticketSource](refusedPerTicket)
	}
	rand.Read(g.refused.key[:])
	return g
}

// Attempt is one call with a code to a provider.
type Attempt struct {
	From     netip.Prefix // rate key of the caller's address
	Provider any          // comparable
	Code     string
	Ticket   ticket.ID
	// TicketBound means that the provider's codes name the ticket that they
	// confirm: a code that is refused for one ticket may be valid for another.
	TicketBound bool
}

// Exchange runs call, unless the provider has just refused the same code or the
// caller has sent too many refused ones. A call is counted before its outcome
// is known, so that concurrent calls cannot exceed the limit. It is refunded if
// the code was not refused. A caller that hangs up meanwhile gets no refund.
func (g *CodeGuard) Exchange(ctx context.Context, a Attempt, call func(context.Context) (provider.Identity, error)) (provider.Identity, error) {
	now := time.Now()
	code := g.refused.hash(a)
	if g.refused.has(code, now) {
		return provider.Identity{}, errCodeRefusedBefore
	}
	counted := g.count(a, now)
	if counted.err != nil {
		return provider.Identity{}, counted.err
	}
	by, err := call(ctx)
	refused := errors.Is(err, provider.ErrCodeInvalid)
	if refused {
		g.refused.add(code, time.Now())
	}
	if !refused && ctx.Err() == nil {
		counted.refund()
	}
	return by, err
}

// count counts one call at every limit, or at none. The widest limit comes
// first: it prevents one network from filling the tables of the others.
func (g *CodeGuard) count(a Attempt, now time.Time) (t taken) {
	source := codeSource{a.From, a.Provider}
	net48, wide := network48(a.From)
	_ = (!wide || t.by(g.networks.take(codeSource{net48, a.Provider}, now))) &&
		t.by(g.addresses.take(source, now)) && t.by(g.tickets.take(ticketSource{source, a.Ticket}, now))
	return t
}

const (
	refusedFor      = time.Minute // a refused code is remembered for at least this long, at most twice as long
	maxRefused      = 1 << 14     // codes per generation; about 1 MiB
	refusedHashSize = 16          // bytes
)

// errCodeRefusedBefore is the error of a code that its provider has refused
// before.
var errCodeRefusedBefore = fmt.Errorf("the provider has refused this code before and is not called again: %w", provider.ErrCodeInvalid)

// refusedCodes remembers refused codes by a keyed hash, in two generations of
// bounded size. The zero value with a random key is empty.
type refusedCodes struct {
	key [32]byte

	mu                sync.Mutex
	current, previous map[refusedCode]struct{}
	rotatedAt         time.Time // when current began
}

// refusedCode is the keyed hash of a code, and the provider that refused it.
type refusedCode struct {
	provider any
	hash     [refusedHashSize]byte
}

// hash returns the key of a code. The ticket is part of it if the provider's
// codes are bound to tickets.
func (d *refusedCodes) hash(a Attempt) refusedCode {
	h := sha256.New()
	h.Write(d.key[:])
	if a.TicketBound {
		h.Write([]byte(a.Ticket))
	}
	h.Write([]byte(a.Code))
	var sum [sha256.Size]byte
	return refusedCode{a.Provider, [refusedHashSize]byte(h.Sum(sum[:0]))}
}

// has reports whether the code was refused recently: within refusedFor, and at
// most twice as long ago.
func (d *refusedCodes) has(code refusedCode, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rotate(now, false)
	if _, ok := d.current[code]; ok {
		return true
	}
	_, ok := d.previous[code]
	return ok
}

// add remembers a refused code.
func (d *refusedCodes) add(code refusedCode, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rotate(now, len(d.current) >= maxRefused)
	d.current[code] = struct{}{}
}

// rotate starts a new generation if the current one is old enough, or full.
// Called with mu held.
func (d *refusedCodes) rotate(now time.Time, full bool) {
	age := now.Sub(d.rotatedAt)
	if age < refusedFor && !full && d.current != nil {
		return
	}
	d.previous, d.current, d.rotatedAt = d.current, map[refusedCode]struct{}{}, now
	if age >= 2*refusedFor {
		d.previous = nil
	}
}
