package hub_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/hub"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// fakeAudit counts the reserved and the written lines.
type fakeAudit struct {
	isFull   atomic.Bool
	reserved atomic.Int64
	written  atomic.Int64
	aborted  atomic.Int64 // lines of calls that ended without a result
}

func (a *fakeAudit) Stalled() bool { return false }

func (a *fakeAudit) Reserve() bool {
	if a.isFull.Load() {
		return false
	}
	a.reserved.Add(1)
	return true
}

func (a *fakeAudit) Release(held bool) {
	if held {
		a.reserved.Add(-1)
	}
}

func (a *fakeAudit) Write(line slog.Record, held bool) {
	a.Release(held)
	line.Attrs(func(all slog.Attr) bool {
		if strings.Contains(all.String(), "outcome=internal_error") {
			a.aborted.Add(1)
		}
		return true
	})
	if held {
		a.written.Add(1)
	}
}

// auditedStore fails the test if a change has no reserved line.
type auditedStore struct {
	hub.Store
	t       *testing.T
	audit   *fakeAudit
	changes atomic.Int64
	fails   atomic.Bool
}

func (s *auditedStore) check(n int) error {
	if s.audit.reserved.Load() < int64(n) {
		s.t.Errorf("%d changes with %d lines reserved", n, s.audit.reserved.Load())
	}
	if s.fails.Load() {
		return ticket.ErrStoreUnavailable
	}
	s.changes.Add(int64(n))
	return nil
}

func (s *auditedStore) Create(ctx context.Context, id ticket.ID, sealed []byte, deadline time.Time, life time.Duration) (bool, error) {
	if err := s.check(1); err != nil {
		return false, err
	}
	return s.Store.Create(ctx, id, sealed, deadline, life)
}

func (s *auditedStore) Change(ctx context.Context, all ...ticket.Change) ([]ticket.Outcome, error) {
	if err := s.check(len(all)); err != nil {
		return nil, err
	}
	return s.Store.Change(ctx, all...)
}

func TestAudit_ReservesBeforeEveryChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		audit := &fakeAudit{}
		var store *auditedStore
		s := start(t, options{
			wrap:  func(inner hub.Store) hub.Store { store = &auditedStore{Store: inner, t: t, audit: audit}; return store },
			tweak: func(c *hub.Config) { c.Audit, c.AuditRequired = audit, true }})
		ctx := context.Background()
		id, rejected, waits, forgotten := s.create(t), s.create(t), s.create(t), s.create(t)
		s.Scan(ctx, s.phoneCall(id, "ann"))
		s.Scan(ctx, s.phoneCall(id, "bob"))                // refused
		s.Scan(ctx, s.phoneCall(ticket.ID("none"), "ann")) // unknown
		s.Confirm(ctx, s.phoneCall(id, "ann"))
		s.Confirm(ctx, s.phoneCall(id, "ann")) // repeated
		s.Reject(ctx, s.phoneCall(rejected, "ann"))
		for _, err := range []error{provider.ErrProviderUnavailable, nil} { // between the phases: refused, aborted
			call, _ := s.Begin(ctx, hub.PhoneCall{Action: ticket.Confirm, Ticket: waits})
			call.End(provider.Identity{}, "ok", err)
		}
		s.Ack(ctx, id, 9, anyBrowser) // another seq
		store.fails.Store(true)
		if _, err := s.Create(ctx, ticket.Request{Client: s.client}); !errors.Is(err, ticket.ErrStoreUnavailable) {
			t.Errorf("a ticket without a store: %v", err)
		}
		if err := s.Ack(ctx, id, 3, anyBrowser); !errors.Is(err, ticket.ErrStoreUnavailable) {
			t.Errorf("an ack without a store: %v", err)
		}
		store.fails.Store(false)
		for range 2 {
			if err := s.Ack(ctx, id, 3, anyBrowser); err != nil {
				t.Error(err)
			}
		}
		audit.isFull.Store(true)
		if _, err := s.Create(ctx, ticket.Request{Client: s.client}); !errors.Is(err, hub.ErrAuditStalled) || !errors.Is(err, ticket.ErrOverloaded) {
			t.Errorf("a ticket without a line: %v", err)
		}
		if _, err := s.Confirm(ctx, s.phoneCall(waits, "ann")); !errors.Is(err, hub.ErrAuditStalled) {
			t.Errorf("a confirm without a line: %v", err)
		}
		if err := s.SetEnabled(ctx, "demo", false, netip.Addr{}); !errors.Is(err, hub.ErrAuditStalled) {
			t.Errorf("a switch without a line: %v", err)
		}
		// Deadlines pass: of a waiting ticket, in the sweep, and of one that has no waiter.
		v := make(chan ticket.View, 1)
		go func() {
			view, _, err := s.Poll(ctx, waits, 1, 5*time.Minute, anyBrowser)
			if err != nil {
				t.Error(err)
			}
			v <- view
		}()
		<-time.After(2*time.Minute + 10*time.Second)
		if _, _, err := s.Poll(ctx, forgotten, 0, 0, anyBrowser); !errors.Is(err, hub.ErrAuditStalled) {
			t.Errorf("an end without a line: %v", err)
		}
		audit.isFull.Store(false)
		if view := <-v; view.State != ticket.Expired {
			t.Errorf("the poll returns %+v", view)
		}
		synctest.Wait()
		if n := audit.reserved.Load(); n != 0 {
			t.Errorf("%d lines stay reserved", n)
		}
		// Four tickets, scan, confirm, reject, ack, one end; and five calls that changed nothing.
		if n, lines, aborted := store.changes.Load(), audit.written.Load(), audit.aborted.Load(); n != 9 || lines != 9+5 || aborted != 1 {
			t.Errorf("%d changes, %d lines, %d aborted calls", n, lines, aborted)
		}
	})
}
