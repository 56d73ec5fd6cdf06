package hub

import (
	"context"
	"net/netip"
	"time"

	"loginhub/hub/ticket"
)

// Browser is a browser that waits for its ticket or acknowledges its token.
type Browser struct {
	// Authorize is called with the ticket before the browser is told anything of it.
	Authorize func(ticket.Ticket) error
	// Addr is the observed address, for the audit; zero if it is not known.
	Addr netip.Addr
}

// poll is a waiting long poll. Its request's goroutine owns it.
type poll struct {
	wake     chan struct{} // capacity 1: a wake-up, not a queue
	released chan reason   // capacity 1: released once
}

func (p *poll) changed() {
	select {
	case p.wake <- struct{}{}:
	default: // it has not looked at the last one yet
	}
}

func (p *poll) release(why reason) { p.released <- why }

// acceptsWaiters is nil where this node takes a new socket or poll.
func (h *Hub) acceptsWaiters() error {
	if h.draining.Load() {
		return ticket.ErrOverloaded
	}
	if h.isStalled() {
		return ticket.ErrStoreUnavailable
	}
	return nil
}

// refuseBusy says why there is no place here, but first what is wrong anyway: limits
// come after ticket and origin.
func (h *Hub) refuseBusy(ctx context.Context, id ticket.ID, from Browser, full error) error {
	if h.isStalled() {
		return full // Redis would only be waited for
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

// Poll waits until the ticket's seq differs from after, or it is final, for wait
// at the most. news is false where there is none: the wait is over, a newer
// waiter took the place, or the node drains.
func (h *Hub) Poll(ctx context.Context, id ticket.ID, after int64, wait time.Duration, from Browser) (v ticket.View, news bool, err error) {
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
		return v, false, err // it began to drain meanwhile, and has let its polls go
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
		t, _, lost := h.waiters.latest(id)
		if lost {
			why = EndedDone
			return expiredView(t), true, nil
		}
		if seen == "" {
			seen = t.State
		}
		// A state can change and seq not, where Redis fell back (slot.settled).
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

// pollOnce is a poll that does not wait: it is noted nowhere.
func (h *Hub) pollOnce(ctx context.Context, id ticket.ID, after int64, from Browser) (v ticket.View, news bool, err error) {
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

// expiredView is the view of a ticket that Redis no longer has.
func expiredView(t ticket.Ticket) ticket.View {
	return ticket.View{Ticket: t.ID, State: ticket.Expired, Seq: t.Seq + 1}
}
