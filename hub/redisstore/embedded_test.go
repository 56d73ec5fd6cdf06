package redisstore

import (
	"testing"
	"testing/synctest"
	"time"

	"loginhub/hub/ticket"
)

// after advances the clock of the bubble.
func after(d time.Duration) { <-time.After(d) }

func TestEmbedded_Expiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newFixture(t, Embedded, 1)
		id, sealed, deadline := r.created(t, 2*time.Minute)
		start := time.Now()

		after(2*time.Minute + 59*time.Second) // a late phone still gets "expired"
		if found := r.attach(t, "", id); string(found.Sealed) != string(sealed) || !found.Now.After(deadline) {
			t.Errorf("found %+v after %v", found, time.Since(start))
		}
		after(2 * time.Second)
		if found := r.attach(t, "", id); found.Sealed != nil {
			t.Errorf("found %+v after %v", found, time.Since(start))
		}
	})
}

// TestEmbedded_WindowExact checks the bounds to the millisecond: the clock does not move
// between calls. NotBefore is inside the window, NotAfter is outside.
func TestEmbedded_WindowExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ms = time.Millisecond
		for _, c := range []struct {
			from, until time.Duration // from now; 0: no bound
			done        bool
		}{
			{from: -ms, done: true}, {from: 0, done: true}, {from: ms, done: false},
			{until: -ms, done: false}, {until: ms, done: true},
			{from: -ms, until: ms, done: true},
		} {
			r := newFixture(t, Embedded, 1)
			id, old, _ := r.created(t, time.Minute)
			now := r.clock(t)
			change := ticket.Change{ID: id, BaseTag: tag(old), Sealed: record(2, "next"), ExpireAt: now.Add(time.Hour)}
			if change.NotBefore = now.Add(c.from); c.until != 0 {
				change.NotAfter = now.Add(c.until)
			}
			if out := r.change(t, change); out.Done != c.done {
				t.Errorf("from %v until %v: done %v", c.from, c.until, out.Done)
			}
		}
		// NotAfter itself is outside. So an expiry at the deadline and a change before
		// it never overlap and leave no gap.
		r := newFixture(t, Embedded, 1)
		id, old, _ := r.created(t, time.Minute)
		now := r.clock(t)
		if out := r.change(t, ticket.Change{ID: id, BaseTag: tag(old), Sealed: record(2, "late"), NotAfter: now, ExpireAt: now.Add(time.Hour)}); out.Done {
			t.Error("changed at its deadline")
		}
		if out := r.change(t, ticket.Change{ID: id, BaseTag: tag(old), Sealed: record(2, "expired"), NotBefore: now, ExpireAt: now.Add(time.Hour)}); !out.Done {
			t.Error("not expired at its deadline")
		}
	})
}

// TestEmbedded_Clock checks that the last known time is advanced by the monotonic clock.
func TestEmbedded_Clock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newFixture(t, Embedded, 1)
		r.syncClock(time.Now().Add(42*time.Minute), time.Now())
		for range 3 {
			if off := time.Until(r.Now()); off != 42*time.Minute {
				t.Errorf("the clock is %v before ours", off)
			}
			after(time.Hour)
		}
		// A reply is as old as half its round trip.
		sent := time.Now()
		after(2 * time.Second)
		r.syncClock(sent.Add(time.Second), sent)
		if off := time.Until(r.Now()); off != 0 {
			t.Errorf("after a slow answer the clock is off by %v", off)
		}
	})
}

func TestEmbedded_Isolated(t *testing.T) {
	one, other := newFixture(t, Embedded, 1), newFixture(t, Embedded, 1)
	id, _, _ := one.created(t, time.Minute)
	if found := other.attach(t, "", id); found.Sealed != nil {
		t.Errorf("found %+v", found)
	}
}
