package hub

import (
	"context"
	"time"

	"loginhub/hub/ticket"
	"loginhub/hub/trace"
)

// poll is a waiting long poll. The goroutine of its request owns it.
type poll struct {
	next     chan *version // capacity 1: the latest version
	released chan reason   // capacity 1: a poll is released at most once
}

// transport implements waiter.
func (p *poll) transport() Transport { return TransportPoll }

// changed implements waiter.
func (p *poll) changed(v *version, _ bool) {
	select {
	case <-p.next: // an older version
	default:
	}
	p.next <- v // the registry is locked, so that no other version is sent
}

// release implements waiter.
func (p *poll) release(why reason) { p.released <- why }

// Poll waits at most wait until the ticket's seq differs from after or the ticket is
// final. changed is false if there is no new view: the wait is over, a newer waiter
// replaced this one, or the node drains.
func (h *Hub) Poll(ctx context.Context, id ticket.ID, after int64, wait time.Duration, from Browser) (v ticket.View, changed bool, err error) {
	trace.Begin(ctx, id, false)
	if wait <= 0 {
		return h.pollOnce(ctx, id, after, from)
	}
	p := &poll{next: make(chan *version, 1), released: make(chan reason, 1)}
	t, err := h.admission.admit(ctx, id, p, from)
	if err != nil {
		return v, false, err
	}
	defer h.waiters.remove(id, p)
	h.metrics.WaitStarted(TransportPoll)
	why, how := EndedBroken, Resumed
	defer func() { h.metrics.WaitEnded(TransportPoll, why) }()
	over := time.NewTimer(wait)
	defer over.Stop()
	var woken time.Time
	for seen := t.State; ; how = Pushed {
		if t.missing {
			why = EndedDone
			return expiredView(t.Ticket), true, nil
		}
		// The state can change without seq if Redis lost a write (slot.supersedes).
		if t.Seq != after || t.State.Final() || t.State != seen {
			if v, err = h.records.view(t.Ticket); err != nil {
				return v, false, err
			}
			why = EndedDone
			if how == Pushed {
				h.records.tracer.Push(t.Ticket, t.cause, "poll", woken, false)
			}
			h.records.delivered(ctx, TransportPoll, how, t.Ticket, from.Addr)
			return v, true, nil
		}
		select {
		case t = <-p.next:
			woken = time.Now()
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
	if err := h.admission.accepts(); err != nil {
		return v, false, h.admission.refuseBusy(ctx, id, from, err)
	}
	t, _, err := h.records.read(ctx, id)
	if err != nil {
		return v, false, err
	}
	if err := from.Authorize(t); err != nil {
		return v, false, err
	}
	if t.Seq == after && !t.State.Final() {
		return v, false, nil
	}
	if v, err = h.records.view(t); err != nil {
		return v, false, err
	}
	h.records.delivered(ctx, TransportPoll, Resumed, t, from.Addr)
	return v, true, nil
}

// expiredView returns the view of a ticket that Redis no longer has.
func expiredView(t ticket.Ticket) ticket.View {
	return ticket.View{Ticket: t.ID, State: ticket.Expired, Seq: t.Seq + 1}
}
