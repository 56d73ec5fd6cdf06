package hub

import (
	"context"
	"errors"
	"log/slog"
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

// resyncer reads the waiting tickets from the store at regular intervals.
type resyncer struct {
	records            *records
	waiters            *registry
	metrics            Metrics
	log                *slog.Logger
	sweepsPerHeartbeat int // of one ticket
}

// sweep attaches every waiting ticket again at regular intervals until ctx ends. It
// serves the heartbeat, the resync after a lost subscription and the expiry, because
// each needs the ticket's version in Redis.
func (r *resyncer) sweep(ctx context.Context) {
	for ctx.Err() == nil {
		ids, next := r.waiters.due(maxBatch, time.Now())
		if len(ids) > 0 {
			r.resyncBatch(ctx, ids)
		}
		if next <= 0 {
			continue
		}
		timer := time.NewTimer(max(next, batchDelay))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-r.waiters.wake:
			sleepCtx(ctx, batchDelay)
		}
		timer.Stop()
	}
}

// resyncBatch attaches the tickets, records deadlines that have passed, and stores the
// versions from Redis in the slots.
func (r *resyncer) resyncBatch(ctx context.Context, ids []ticket.ID) {
	found, err := r.records.store.Attach(ctx, r.records.node, ids...)
	if err != nil {
		if ctx.Err() == nil {
			for range ids {
				r.metrics.Resynced(FoundUnknown)
			}
			r.log.Debug("sweep postponed: Redis is unavailable", "tickets", len(ids), "error", err)
			r.waiters.scheduleSoon(ids, retrySweep)
		}
		return
	}
	var overdue expiries
	for i, id := range ids {
		t, err := r.records.open(ctx, id, found[i].Sealed, InRecord)
		switch {
		case errors.Is(err, ticket.ErrUnknownKey), err == nil && !r.records.current.Load().hasClient(t.Client):
			r.waiters.releaseTicket(id, cannotServe)
			r.metrics.Resynced(FoundRefused)
		case err != nil:
			r.handleMissing(id, err, found[i].Now)
			r.metrics.Resynced(findingOf(err))
		case t.Overdue(found[i].Now):
			if err := overdue.add(ctx, r.records, t); err != nil {
				r.log.Error("record expiry", "ticket", id, "error", err)
				r.waiters.scheduleSoon([]ticket.ID{id}, retrySweep)
				continue
			}
			r.metrics.Resynced(FoundExpired)
		default:
			what := FoundSame
			latest, newer := r.waiters.apply(t, found[i].Now)
			if newer {
				what = FoundNewer
			}
			if r.storeRolledBack(t, latest, found[i].Now) {
				what = FoundBehind
			}
			r.metrics.Resynced(what)
			if what != FoundNewer { // a newer version was just sent
				r.waiters.heartbeat(id, r.sweepsPerHeartbeat)
			}
		}
	}
	r.expire(ctx, overdue)
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
// a new ticket. So does one under a revoked key. A forged record ends the wait only after
// the deadline.
func (r *resyncer) handleMissing(id ticket.ID, err error, now time.Time) {
	if errors.Is(err, ticket.ErrUnknownKey) {
		r.waiters.releaseTicket(id, cannotServe) // another node can read it
		return
	}
	t := r.waiters.latest(id)
	if errors.Is(err, ticket.ErrNotFound) || errors.Is(err, ticket.ErrRevokedKey) || t != nil && !now.Before(t.Deadline) {
		r.waiters.markMissing(id)
	}
}

// storeRolledBack reports whether t, which Redis holds, is older than latest, which this
// node has verified, because a failover lost writes, or a version that follows such an older one.
// The ticket then ends on this node at its deadline, or once it has ended in Redis: no
// message or read will end it otherwise.
func (r *resyncer) storeRolledBack(t ticket.Ticket, latest *version, now time.Time) bool {
	if latest == nil {
		return false
	}
	over := t.State.Final() && !latest.State.Final()
	if latest.Seq < t.Seq || latest.Seq == t.Seq && !over {
		return false
	}
	if over || latest.Overdue(now) {
		r.waiters.markMissing(t.ID)
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
func (e *expiries) add(ctx context.Context, r *records, t ticket.Ticket) error {
	c, err := r.seal(t, t.Expire())
	if err != nil {
		return err
	}
	slot, err := r.audit.reserve(ctx)
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
func (r *resyncer) expire(ctx context.Context, e expiries) {
	if len(e.ids) == 0 {
		return
	}
	defer e.release()
	outcomes, err := r.records.store.Change(ctx, e.changes...)
	if err != nil {
		r.waiters.scheduleSoon(e.ids, retrySweep)
		return
	}
	for i, out := range outcomes {
		found := out.Stored
		if out.Done {
			found.Sealed = e.changes[i].Sealed
		}
		t, now, err := r.records.openAndExpire(ctx, e.ids[i], found)
		if errors.Is(err, ErrAuditStalled) {
			r.waiters.scheduleSoon(e.ids[i:i+1], retrySweep)
			continue
		}
		if err != nil {
			r.handleMissing(e.ids[i], err, found.Now)
			continue
		}
		if out.Done {
			r.records.audit.change(&e.slots[i], t, netip.Addr{})
		}
		r.waiters.apply(t, now)
	}
}
