package hub

import (
	"context"
	"net/netip"

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

// admit registers a waiter, attaches its ticket and authorizes the browser, in this
// order: no change of the ticket falls between. It returns the version to begin with.
// After an error the waiter is not registered.
func (h *Hub) admit(ctx context.Context, id ticket.ID, w waiter, from Browser) (first *version, err error) {
	if err = h.acceptsWaiters(); err == nil {
		err = h.waiters.add(id, w)
	}
	if err != nil {
		return nil, h.refuseBusy(ctx, id, from, err)
	}
	if first, err = h.attach(ctx, id); err == nil {
		err = from.Authorize(first.Ticket)
	}
	if err == nil {
		err = h.acceptsWaiters() // Drain may have released all waiters before this one was added
	}
	if err != nil {
		h.waiters.remove(id, w)
	}
	return first, err
}

// acceptsWaiters returns an error if this node takes no new sockets and polls.
func (h *Hub) acceptsWaiters() error {
	if h.draining.Load() {
		return ticket.ErrOverloaded
	}
	if h.isStalled() {
		return ticket.ErrStoreUnavailable
	}
	return nil
}

// refuseBusy returns full, the reason why this node takes no waiter. An error of the
// ticket or its authorization comes first, because the wire contract checks limits last.
func (h *Hub) refuseBusy(ctx context.Context, id ticket.ID, from Browser, full error) error {
	if h.isStalled() {
		return full // reading from Redis would probably time out
	}
	t, _, err := h.read(ctx, id)
	if err == nil {
		err = from.Authorize(t)
	}
	if err != nil {
		return err
	}
	return full
}
