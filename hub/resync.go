package hub

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"loginhub/hub/ticket"
)

const (
	// heartbeat is the interval at which a socket's current view is repeated. JavaScript
	// cannot see WebSocket pings.
	heartbeat = 20 * time.Second
	// maxBatch bounds one pipeline, so that Redis serves other calls in between.
	maxBatch = 512
	// batchDelay collects tickets that are due at almost the same time into one batch.
	batchDelay = 50 * time.Millisecond
	// deadlineGrace delays the sweep for a deadline, so that the deadline has passed.
	deadlineGrace = 20 * time.Millisecond
	// retrySweep is the time until tickets are swept again after an error.
	retrySweep = 2 * time.Second
)

// sweep attaches every waiting ticket again at regular intervals until ctx ends. It
// serves the heartbeat, the resync after a lost subscription and the expiry, because
// each needs the ticket's version in Redis.
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

// resyncBatch attaches the tickets, records deadlines that have passed, and stores the
// versions from Redis in the slots.
func (h *Hub) resyncBatch(ctx context.Context, ids []ticket.ID) {
	found, err := h.Store.Attach(ctx, h.node, ids...)
	if err != nil {
		if ctx.Err() == nil {
			for range ids {
				h.Metrics.Resynced(FoundUnknown)
			}
			h.Log.Debug("sweep postponed: Redis is unavailable", "tickets", len(ids), "error", err)
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
				h.Log.Error("record expiry", "ticket", id, "error", err)
				h.waiters.scheduleSoon([]ticket.ID{id}, retrySweep)
				continue
			}
			h.Metrics.Resynced(FoundExpired)
		default:
			what := FoundSame
			latest, newer := h.waiters.apply(t, found[i].Now)
			if newer {
				what = FoundNewer
			}
			if h.storeRolledBack(t, latest, found[i].Now) {
				what = FoundBehind
			}
			h.Metrics.Resynced(what)
			if what != FoundNewer { // a newer version was just sent
				h.waiters.heartbeat(id, h.sweepsPerHeartbeat)
			}
		}
	}
	h.expire(ctx, overdue)
}

// findingOf returns the finding for a ticket that could not be opened.
func findingOf(err error) string {
	if errors.Is(err, ticket.ErrNotFound) {
		return FoundMissing
	}
	return FoundRefused
}

// handleMissing handles a waiting ticket whose record is missing or forged. A missing
// one (Redis restarted empty, or evicted it) ends: the browser gets expired and creates
// a new ticket. A forged record ends the wait only after the deadline.
func (h *Hub) handleMissing(id ticket.ID, err error, now time.Time) {
	if errors.Is(err, ticket.ErrUnknownKey) {
		h.waiters.releaseTicket(id, cannotServe) // another node can read it
		return
	}
	t := h.waiters.latest(id)
	if errors.Is(err, ticket.ErrNotFound) || t != nil && !now.Before(t.Deadline) {
		h.waiters.markMissing(id)
	}
}

// storeRolledBack reports whether t, which Redis holds, is older than latest, which this
// node has verified, because a failover lost writes, or a version that follows such an older one.
// The ticket then ends on this node at its deadline, or once it has ended in Redis: no
// message or read will end it otherwise.
func (h *Hub) storeRolledBack(t ticket.Ticket, latest *version, now time.Time) bool {
	if latest == nil {
		return false
	}
	over := t.State.Final() && !latest.State.Final()
	if latest.Seq < t.Seq || latest.Seq == t.Seq && !over {
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

// add seals the change of one ticket and reserves its audit line.
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

// expire records passed deadlines in one batch.
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
