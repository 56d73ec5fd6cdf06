package hub

import (
	"context"
	"net/netip"
	"time"

	"loginhub/hub/ticket"
	"loginhub/hub/trace"
)

// Redeem exchanges a ticket's grant, in one atomic step: of any number of concurrent
// calls, one succeeds, and the others get ticket.ErrRedeemed with the ticket. check
// authorizes the caller for each version that is read; its error is returned. from is the
// caller's address, for the audit. It returns the redeemed ticket and the store's time.
func (h *Hub) Redeem(ctx context.Context, id ticket.ID, from netip.Addr, check func(ticket.Ticket) error) (ticket.Ticket, time.Time, error) {
	trace.Begin(ctx, id, false)
	t, now, err := h.records.read(ctx, id)
	if err != nil {
		return t, now, err
	}
	slot, err := h.audit.reserve(ctx)
	if err != nil {
		return t, now, err
	}
	defer slot.release()
	for range maxTries {
		if err := check(t); err != nil {
			return t, now, err
		}
		next, err := t.Redeem(now)
		if err != nil {
			return t, now, err
		}
		out, err := h.records.applyChange(ctx, t, &next)
		if err != nil {
			return t, now, err
		}
		if out.Done {
			h.audit.change(&slot, next, from)
			h.waiters.applyFrom(trace.Changed, next, out.Now)
			return next, out.Now, nil
		}
		if t, now, err = h.records.openAndExpire(ctx, id, out.Stored); err != nil {
			return t, now, err
		}
	}
	return t, now, errTooManyUpdates
}

// Keys returns the keys in use, for codes and for values that wait outside of the hub.
func (h *Hub) Keys() *ticket.Keyring { return h.current.Load().Keys }
