package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"loginhub/hub/ticket"
)

// codeGuard keeps invented codes away from the providers: each costs a call of
// the quota that all users share. A refused code is counted by the caller's address and the
// provider, and by the address and the ticket. The second limit is lower, so that
// a flood on one ticket leaves the other users of a carrier's NAT their calls.
// Nothing is counted by the ticket alone: its id is public, so anyone could lock its
// user out.
type codeGuard struct {
	networks  *rateLimiter[codeSource] // IPv6 /48
	addresses *rateLimiter[codeSource]
	tickets   *rateLimiter[ticketSource]
	dead      deadCodes
}

// codeSource is an address or network, and the provider that it calls.
type codeSource struct {
	from     netip.Prefix
	provider Provider
}

// ticketSource is an address, and the ticket and provider that it calls.
type ticketSource struct {
	codeSource
	ticket ticket.ID
}

const (
	// refusedPerTicket is how many refused codes a minute one address may bring
	// for one ticket. A phone that is refused asks for one fresh code.
	refusedPerTicket = 10
	// networkShare is how many times an address's limit a whole IPv6 /48 has.
	networkShare = 8
)

func newCodeGuard(rate int) *codeGuard {
	g := &codeGuard{networks: newBuckets[codeSource](0), addresses: newBuckets[codeSource](0), tickets: newBuckets[ticketSource](0)}
	if rate > 0 {
		each := max(rate/10, 60)
		g.networks, g.addresses = newBuckets[codeSource](networkShare*each), newBuckets[codeSource](each)
		g.tickets = newBuckets[ticketSource](refusedPerTicket)
	}
	rand.Read(g.dead.key[:])
	return g
}

// exchange calls the provider, unless it has refused the code a moment ago or the
// caller has brought too many refused ones. A call is counted before its outcome
// is known, which is what holds against calls at once, and refunded if the code
// was not refused. A caller who hangs up meanwhile gets nothing back.
func (g *codeGuard) exchange(ctx context.Context, from netip.Prefix, p Provider, proof Credential,
	call func(context.Context, Provider, Credential) (ticket.Identity, error)) (ticket.Identity, error) {
	now := time.Now()
	code := g.dead.name(p, proof)
	if g.dead.has(code, now) {
		return ticket.Identity{}, errDeadCode
	}
	refund, err := g.count(from, p, proof.Ticket, now)
	if err != nil {
		return ticket.Identity{}, err
	}
	by, err := call(ctx, p, proof)
	refused := errors.Is(err, ticket.ErrCodeInvalid)
	if refused {
		g.dead.add(code, time.Now())
	}
	if !refused && ctx.Err() == nil {
		refund()
	}
	return by, err
}

// count counts one call at every limit, or at none. The widest comes first: it
// keeps one network from filling the tables of the others.
func (g *codeGuard) count(from netip.Prefix, p Provider, id ticket.ID, now time.Time) (refund func(), err error) {
	source := codeSource{from, p}
	steps := []takeStep{
		func() (func(), error) { return g.addresses.take(source, now) },
		func() (func(), error) { return g.tickets.take(ticketSource{source, id}, now) },
	}
	if wide, ok := network(from); ok {
		wider := func() (func(), error) { return g.networks.take(codeSource{wide, p}, now) }
		steps = append([]takeStep{wider}, steps...)
	}
	return takeAll(steps...)
}

// TicketBound is implemented by a Provider whose codes name the ticket that they
// confirm: a code that is refused for one ticket may be good for another.
type TicketBound interface{ TicketBound() }

const (
	deadFor  = time.Minute // at least so long a refused code is remembered, at most twice
	maxDead  = 1 << 14     // codes per generation; about 1 MiB
	deadHash = 16          // bytes
)

// errDeadCode is a code that its provider has refused before.
var errDeadCode = fmt.Errorf("refused before, so the provider is not asked: %w", ticket.ErrCodeInvalid)

// deadCodes remembers refused codes by a keyed hash, in two generations of bounded
// size. The zero value with a random key is empty.
type deadCodes struct {
	key [32]byte

	mu       sync.Mutex
	new, old map[deadCode]struct{}
	turned   time.Time // when old was new
}

type deadCode struct {
	provider Provider
	hash     [deadHash]byte
}

func (d *deadCodes) name(p Provider, proof Credential) deadCode {
	h := sha256.New()
	h.Write(d.key[:])
	if _, bound := p.(TicketBound); bound {
		h.Write([]byte(proof.Ticket))
	}
	h.Write([]byte(proof.Code))
	return deadCode{p, [deadHash]byte(h.Sum(nil))}
}

func (d *deadCodes) has(code deadCode, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turn(now, false)
	if _, ok := d.new[code]; ok {
		return true
	}
	_, ok := d.old[code]
	return ok
}

func (d *deadCodes) add(code deadCode, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turn(now, len(d.new) >= maxDead)
	d.new[code] = struct{}{}
}

// turn begins a new generation if the newest is old enough, or full. Called with
// mu held.
func (d *deadCodes) turn(now time.Time, full bool) {
	age := now.Sub(d.turned)
	if age < deadFor && !full && d.new != nil {
		return
	}
	d.old, d.new, d.turned = d.new, map[deadCode]struct{}{}, now
	if age >= 2*deadFor {
		d.old = nil
	}
}
