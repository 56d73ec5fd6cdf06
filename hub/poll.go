package hub

import (
	"context"
	"net/netip"
	"time"

	"loginhub/hub/ticket"
)

// Browser is a browser that waits for its ticket or acknowledges its token.
type Browser struct {
	// Authorize is called with the ticket before the browser gets anything of it.
	Authorize func(ticket.Ticket) error
	// Addr is the observed address, for the audit; zero if it is not known.
	Addr netip.Addr
}

// poll is a waiting long poll. The goroutine of its request owns it.
type poll struct {
	wake     chan struct{} // capacity 1: wake-ups are merged
	released chan reason   // capacity 1: a poll is released at most once
}

func (p *poll) changed() {
	select {
	case p.wake <- struct{}{}:
	default: // the last wake-up is still pending
	}
}

func (p *poll) release(why reason) { p.released <- why }

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

// Poll waits at most wait until the ticket's seq differs from after or the ticket is
// final. changed is false if there is no new view: the wait is over, a newer waiter
// replaced this one, or the node drains.
func (h *Hub) Poll(ctx context.Context, id ticket.ID, after int64, wait time.Duration, from Browser) (v ticket.View, changed bool, err error) {
	if err := h.acceptsWaiters(); err != nil {
		return v, false, h.refuseBusy(ctx, id, from, err)
	}
	if wait <= 0 {
		return h.pollOnce(ctx, id, after, from)
	}
	p := &poll{wake: make(chan struct{}, 1), released: make(chan reason, 1)}
	if err := h.waiters.add(id, p); err != nil {
		return v, false, h.refuseBusy(ctx, id, from, err)
	}
	defer h.waiters.remove(id, p)
	if err := h.acceptsWaiters(); err != nil {
		return v, false, err // Drain may have released the polls before this one was added
	}
	t, err := h.attach(ctx, id)
	if err != nil {
		return v, false, err
	}
	if err := from.Authorize(t); err != nil {
		return v, false, err
	}
	h.Metrics.WaitStarted(TransportPoll)
	why, how := EndedBroken, Resumed
	defer func() { h.Metrics.WaitEnded(TransportPoll, why) }()
	over := time.NewTimer(wait)
	defer over.Stop()
	for seen := (ticket.State)(""); ; how = Pushed {
		t, _, missing := h.waiters.latest(id)
		if missing {
			why = EndedDone
			return expiredView(t), true, nil
		}
		if seen == "" {
			seen = t.State
		}
		// The state can change without seq if Redis lost a write (slot.supersedes).
		if t.Seq != 0 && (t.Seq != after || t.State.Final() || t.State != seen) {
			if v, err = h.view(t); err != nil {
				return v, false, err
			}
			why = EndedDone
			h.delivered(TransportPoll, how, t, from.Addr)
			return v, true, nil
		}
		select {
		case <-p.wake:
		case reason := <-p.released:
			why = endedReasons[reason]
			switch reason {
			case stalled:
				return v, false, ticket.ErrStoreUnavailable
			case switchedOff:
				return v, false, ticket.ErrLoginDisabled
			case cannotServe:
				return v, false, ticket.ErrUnknownKey
			}
			return v, false, nil
		case <-over.C:
			why = EndedTimeout
			return v, false, nil
		case <-ctx.Done():
			why = EndedLeft
			return v, false, nil
		}
	}
}

// pollOnce answers a poll that does not wait. It registers no waiter.
func (h *Hub) pollOnce(ctx context.Context, id ticket.ID, after int64, from Browser) (v ticket.View, changed bool, err error) {
	t, _, err := h.read(ctx, id)
	if err != nil {
		return v, false, err
	}
	if err := from.Authorize(t); err != nil {
		return v, false, err
	}
	if t.Seq == after && !t.State.Final() {
		return v, false, nil
	}
	if v, err = h.view(t); err != nil {
		return v, false, err
	}
	h.delivered(TransportPoll, Resumed, t, from.Addr)
	return v, true, nil
}

// expiredView returns the view of a ticket that Redis no longer has.
func expiredView(t ticket.Ticket) ticket.View {
	return ticket.View{Ticket: t.ID, State: ticket.Expired, Seq: t.Seq + 1}
}
