package hub

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"loginhub/hub/ticket"
)

const (
	// heartbeat is how often a socket's current view is repeated: a browser
	// cannot see protocol pings.
	heartbeat = 20 * time.Second
	// maxBatch bounds one pipeline, so that Redis serves others in between.
	maxBatch = 512
	// batchDelay gathers tickets that are due almost together into one batch.
	batchDelay = 50 * time.Millisecond
	// deadlineGrace makes the look that finds a deadline passed come after it.
	deadlineGrace = 20 * time.Millisecond
	// retrySweep is when tickets are swept again after a failure.
	retrySweep = 2 * time.Second
)

// sweep attaches every waiting ticket anew from time to time. It is the
// heartbeat, the resync after a broken link, and the expiry, all in one: each
// asks Redis how the ticket stands.
func (h *Hub) sweep(ctx context.Context) {
	for ctx.Err() == nil {
		ids, next := h.waiters.due(maxBatch, time.Now())
		if len(ids) > 0 {
			h.resyncBatch(ctx, ids)
		}
		if next <= 0 {
			continue
		}
		timer := time.NewTimer(max(next, batchDelay))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-h.waiters.wake:
			sleepCtx(ctx, batchDelay)
		}
		timer.Stop()
	}
}

// resyncBatch attaches these tickets, writes down deadlines that have passed, and
// puts what it learns into the slots.
func (h *Hub) resyncBatch(ctx context.Context, ids []ticket.ID) {
	found, err := h.Store.Attach(ctx, h.node, ids...)
	if err != nil {
		if ctx.Err() == nil {
			for range ids {
				h.Metrics.Resynced(FoundUnknown)
			}
			h.Log.Debug("sweep put off", "tickets", len(ids), "error", err)
			h.waiters.scheduleSoon(ids, retrySweep)
		}
		return
	}
	var overdue expiries
	for i, id := range ids {
		t, err := h.open(id, found[i].Sealed, InRecord)
		switch {
		case errors.Is(err, ticket.ErrUnknownKey), err == nil && !h.current.Load().hasClient(t.Client):
			h.waiters.releaseTicket(id, cannotServe)
			h.Metrics.Resynced(FoundRefused)
		case err != nil:
			h.handleMissing(id, err, found[i].Now)
			h.Metrics.Resynced(findingOf(err))
		case t.Overdue(found[i].Now):
			if err := overdue.add(h, t); err != nil {
				h.Log.Error("an expired ticket cannot be recorded", "ticket", id, "error", err)
				h.waiters.scheduleSoon([]ticket.ID{id}, retrySweep)
				continue
			}
			h.Metrics.Resynced(FoundExpired)
		default:
			what := FoundSame
			if h.waiters.apply(t, found[i].Now) {
				what = FoundNewer
			}
			if h.storeRolledBack(t, found[i].Now) {
				what = FoundBehind
			}
			h.Metrics.Resynced(what)
			if what != FoundNewer { // its page has just been shown it
				h.waiters.heartbeat(id, h.sweepsPerHeartbeat)
			}
		}
	}
	h.expire(ctx, overdue)
}

// findingOf is the finding of a ticket that could not be opened.
func findingOf(err error) string {
	if errors.Is(err, ticket.ErrNotFound) {
		return FoundMissing
	}
	return FoundRefused
}

// handleMissing is a waiting ticket whose record is gone (a Redis that came back
// empty, a tombstone dropped) or not ours. The page hears expired and makes a
// new one. A forged record does not close a page before its time.
func (h *Hub) handleMissing(id ticket.ID, err error, now time.Time) {
	if errors.Is(err, ticket.ErrUnknownKey) {
		h.waiters.releaseTicket(id, cannotServe) // another node can read it
		return
	}
	t, known, _ := h.waiters.latest(id)
	if errors.Is(err, ticket.ErrNotFound) || known && !now.Before(t.Deadline) {
		h.waiters.markMissing(id)
	}
}

// storeRolledBack notices a Redis that fell back behind what this node has verified (a
// failover that lost writes), or went on from there: such a ticket ends with its
// deadline here, or when it has ended there, for Redis will not tell.
func (h *Hub) storeRolledBack(t ticket.Ticket, now time.Time) bool {
	latest, known, _ := h.waiters.latest(t.ID)
	over := t.State.Final() && !latest.State.Final()
	if !known || latest.Seq < t.Seq || latest.Seq == t.Seq && !over {
		return false
	}
	if over || latest.Overdue(now) {
		h.waiters.markMissing(t.ID)
	}
	return true
}

// expiries are the tickets of one sweep whose deadline has passed.
type expiries struct {
	ids     []ticket.ID
	changes []ticket.Change
	slots   []auditSlot
}

// add seals the change of one ticket and reserves its line in the audit.
func (e *expiries) add(h *Hub, t ticket.Ticket) error {
	c, err := h.seal(t, t.Expire(), h.node)
	if err != nil {
		return err
	}
	slot, err := h.reserveAudit()
	if err != nil {
		return err
	}
	e.ids, e.changes, e.slots = append(e.ids, t.ID), append(e.changes, c), append(e.slots, slot)
	return nil
}

func (e *expiries) release() {
	for i := range e.slots {
		e.slots[i].release()
	}
}

// expire writes passed deadlines down, in one batch.
func (h *Hub) expire(ctx context.Context, e expiries) {
	if len(e.ids) == 0 {
		return
	}
	defer e.release()
	outcomes, err := h.Store.Change(ctx, e.changes...)
	if err != nil {
		h.waiters.scheduleSoon(e.ids, retrySweep)
		return
	}
	for i, out := range outcomes {
		found := out.Stored
		if out.Done {
			found.Sealed = e.changes[i].Sealed
		}
		t, now, err := h.openAndExpire(ctx, e.ids[i], found, h.node)
		if errors.Is(err, ErrAuditStalled) {
			h.waiters.scheduleSoon(e.ids[i:i+1], retrySweep)
			continue
		}
		if err != nil {
			h.handleMissing(e.ids[i], err, found.Now)
			continue
		}
		if out.Done {
			h.auditChange(&e.slots[i], t, netip.Addr{})
		}
		h.waiters.apply(t, now)
	}
}
