package hub

import (
	"context"
	"errors"
	"net/netip"

	"loginhub/hub/provider"
	"loginhub/hub/ticket"
	"loginhub/hub/trace"
)

// actionDispute is the action of a dispute, in audit lines and metrics.
const actionDispute = "dispute"

// DisputeCall is a call of a user who says that a login that they have confirmed was not
// theirs. It may come long after the ticket has ended.
type DisputeCall struct {
	Ticket   ticket.ID
	Client   string     // the login's client; "" if there is no such login
	Provider string     // that the call names, for the metrics
	Phone    netip.Addr // observed address of the caller, for the audit; zero if unknown

	hub     *Hub
	slot    auditSlot
	ticket  ticket.Ticket // the latest version, if it still exists
	changed bool
}

// Begin reserves the audit line of a dispute. Call End in any case. ErrAuditStalled: the
// line has no room, and the call must not consume the code.
func (d *DisputeCall) Begin(ctx context.Context, h *Hub) (err error) {
	d.hub = h
	trace.Begin(ctx, d.Ticket, false)
	d.slot, err = h.audit.reserve(ctx)
	return err
}

// Apply ends the ticket, if it still exists: no node delivers its token any more, and its
// grant cannot be redeemed. A repeated call changes nothing.
func (d *DisputeCall) Apply(ctx context.Context) error {
	r := d.hub.records
	t, now, err := r.read(ctx, d.Ticket)
	for range maxTries {
		if errors.Is(err, ticket.ErrNotFound) || errors.Is(err, ticket.ErrBrokenSeal) {
			return nil
		}
		if err != nil {
			return err
		}
		d.ticket = t
		next := t.Dispute(now)
		if next.Seq == t.Seq {
			return nil
		}
		var out ticket.Outcome
		out, err = r.applyChange(ctx, t, &next)
		if out.Done || errors.Is(err, ticket.ErrNotReplicated) {
			d.ticket, d.changed = next, true
			d.hub.waiters.applyFrom(trace.Changed, next, d.hub.config.Store.Now())
		}
		if err != nil || out.Done {
			return err
		}
		t, now, err = r.openAndExpire(ctx, d.Ticket, out.Stored)
	}
	return errTooManyUpdates
}

// End writes the call's audit line and counts its result: the user (zero if unknown), the
// error code of the answer ("ok" for none) and the error.
func (d *DisputeCall) End(by provider.Identity, outcome string, err error) {
	a := d.hub.audit
	defer d.slot.release()
	a.metrics.PhoneCallDone(actionDispute, outcome, d.Provider)
	if d.changed {
		a.metrics.TicketChanged(d.ticket)
	}
	t := d.ticket
	t.ID, t.Client = d.Ticket, d.Client
	a.write(&d.slot, auditEntry{ticket: t, by: by, phone: d.Phone, action: actionDispute, outcome: outcome, reason: err})
}
