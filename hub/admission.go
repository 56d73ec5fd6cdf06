package hub

import (
	"context"
	"net/netip"
	"sync/atomic"

	"loginhub/hub/ticket"
)

// Browser is a browser that waits for its ticket or acknowledges its token.
type Browser struct {
	// Authorize is called with the ticket before the browser gets anything of it.
	Authorize func(ticket.Ticket) error
	// Addr is the observed address, for the audit; zero if it is not known.
	Addr netip.Addr
	// Closed, if not nil, is called once: when the connection of a socket is closed, or
	// when Socket returns without one.
	Closed func()
}

// admission decides whether this node takes a waiter.
type admission struct {
	draining atomic.Bool
	liveness *liveness
	waiters  *registry
	records  *records
}

// admit registers a waiter, attaches its ticket and authorizes the browser, in this
// order: no change of the ticket falls between. It returns the version to begin with.
// After an error the waiter is not registered.
func (a *admission) admit(ctx context.Context, id ticket.ID, w waiter, from Browser) (first *version, err error) {
	if err = a.accepts(); err == nil {
		err = a.waiters.add(id, w)
	}
	if err != nil {
		return nil, a.refuseBusy(ctx, id, from, err)
	}
	if first, err = a.records.attach(ctx, id); err == nil {
		err = from.Authorize(first.Ticket)
	}
	if err == nil {
		err = a.accepts() // Drain may have released all waiters before this one was added
	}
	if err != nil {
		a.waiters.remove(id, w)
	}
	return first, err
}

// accepts returns an error if this node takes no new sockets and polls.
func (a *admission) accepts() error {
	if a.draining.Load() {
		return ticket.ErrOverloaded
	}
	if a.liveness.isStalled() {
		return ticket.ErrStoreUnavailable
	}
	return nil
}

// refuseBusy returns full, the reason why this node takes no waiter. An error of the
// ticket or its authorization comes first, because the wire contract checks limits last.
func (a *admission) refuseBusy(ctx context.Context, id ticket.ID, from Browser, full error) error {
	if a.liveness.isStalled() {
		return full // reading from Redis would probably time out
	}
	t, _, err := a.records.read(ctx, id)
	if err == nil {
		err = from.Authorize(t)
	}
	if err != nil {
		return err
	}
	return full
}
