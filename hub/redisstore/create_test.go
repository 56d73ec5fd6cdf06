package redisstore

import (
	"errors"
	"strings"
	"testing"
	"time"

	"loginhub/hub/ticket"
)

var createCases = map[string]func(*testing.T, *fixture){
	"a record expires a minute after its deadline": func(t *testing.T, r *fixture) {
		id, sealed, deadline := r.created(t, 90*time.Second)
		if got := r.storedRecord(t, id); string(got) != string(sealed) {
			t.Errorf("stored is %q", got)
		}
		r.assertExpiry(t, id, deadline.Add(time.Minute))
	},

	"the same bytes created twice are one ticket": func(t *testing.T, r *fixture) {
		id, sealed, deadline := r.created(t, time.Minute)
		r.attach(t, "N1", id)
		if made, err := r.Create(limit(t), id, sealed, deadline, time.Minute); err != nil || !made {
			t.Errorf("made again: %v %v", made, err)
		}
		if got := r.recordedNodes(t, id); got != "N1" {
			t.Errorf("the second make changed the notes to %q", got)
		}
	},

	"another ticket with the same id is refused": func(t *testing.T, r *fixture) {
		id, sealed, deadline := r.created(t, time.Minute)
		made, err := r.Create(limit(t), id, record(1, "other"), deadline.Add(time.Hour), time.Minute)
		if made || err == nil {
			t.Errorf("made: %v %v", made, err)
		}
		if err != nil && strings.Contains(err.Error(), string(id)) {
			t.Errorf("the error holds the whole id: %v", err)
		}
		if errors.Is(err, ticket.ErrStoreUnavailable) {
			t.Errorf("a taken id looks like an unreachable store: %v", err)
		}
		if got := r.storedRecord(t, id); string(got) != string(sealed) {
			t.Errorf("stored is %q", got)
		}
		r.assertExpiry(t, id, deadline.Add(time.Minute))
	},

	"a deadline by a wrong clock is refused and corrects the clock": func(t *testing.T, r *fixture) {
		for _, wrong := range []time.Duration{-24 * time.Hour, -2 * time.Second, 2 * time.Second, 24 * time.Hour} {
			r.offset.Store(int64(wrong))
			id, life := newID(), time.Minute
			made, err := r.Create(limit(t), id, record(1, "a"), r.Now().Add(life), life)
			if made || err != nil || r.storedRecord(t, id) != nil {
				t.Errorf("off by %v: %v %v", wrong, made, err)
			}
			if off := r.Now().Sub(r.clock(t)); off.Abs() > 500*time.Millisecond {
				t.Errorf("off by %v, and after the answer still by %v", wrong, off)
			}
			deadline := r.Now().Add(life)
			if made, err := r.Create(limit(t), id, record(1, "b"), deadline, life); err != nil || !made {
				t.Errorf("off by %v, then right: %v %v", wrong, made, err)
			}
			r.assertExpiry(t, id, deadline.Add(time.Minute))
		}
	},

	"a small difference of the clocks is accepted": func(t *testing.T, r *fixture) {
		for _, off := range []time.Duration{-300 * time.Millisecond, 300 * time.Millisecond} {
			deadline := r.clock(t).Add(time.Minute + off)
			if made, err := r.Create(limit(t), newID(), record(1, "a"), deadline, time.Minute); err != nil || !made {
				t.Errorf("off by %v: %v %v", off, made, err)
			}
		}
	},
}

var attachCases = map[string]func(*testing.T, *fixture){
	"reading returns the record and Redis's time and records nothing": func(t *testing.T, r *fixture) {
		id, sealed, deadline := r.created(t, time.Minute)
		before := r.clock(t)
		found := r.attach(t, "", id)
		if string(found.Sealed) != string(sealed) || found.Now.Before(before) || found.Now.After(r.clock(t)) {
			t.Errorf("found %q at %v", found.Sealed, found.Now)
		}
		if zone, _ := found.Now.Zone(); zone != "UTC" {
			t.Errorf("the time is %v", found.Now)
		}
		if fields, err := r.inspect.HLen(limit(t), r.ticketKey(id)).Result(); err != nil || fields != 1 {
			t.Errorf("%d fields (%v)", fields, err)
		}
		r.assertExpiry(t, id, deadline.Add(time.Minute))
	},

	"at most four nodes are recorded, the oldest is dropped": func(t *testing.T, r *fixture) {
		id, _, deadline := r.created(t, time.Minute)
		for _, step := range []struct{ node, nodes string }{
			{"N1", "N1"}, {"N2", "N1,N2"}, {"N1", "N1,N2"}, {"N3", "N1,N2,N3"}, {"N4", "N1,N2,N3,N4"},
			{"N2", "N1,N2,N3,N4"}, // already recorded: its position stays
			{"", "N1,N2,N3,N4"},   // only reads
			{"N5", "N2,N3,N4,N5"},
			{"N1", "N3,N4,N5,N1"},
			{"N", "N4,N5,N1,N"}, // the beginning of another name is a name of its own
			{".", "N5,N1,N,."},  // not a pattern
		} {
			r.attach(t, step.node, id)
			if got := r.recordedNodes(t, id); got != step.nodes {
				t.Errorf("after %q recorded nodes: %q, want %q", step.node, got, step.nodes)
			}
		}
		r.assertExpiry(t, id, deadline.Add(time.Minute)) // attaching does not extend the lifetime
	},

	"a batch is attached in order, also after SCRIPT FLUSH": func(t *testing.T, r *fixture) {
		var ids []ticket.ID
		for i := range 60 {
			id := newID()
			if i%3 > 0 { // the other ids are unknown
				id, _, _ = r.created(t, time.Minute)
			}
			ids = append(ids, id)
		}
		for _, forget := range []bool{false, true} {
			if forget {
				r.forgetScripts(t)
			}
			found, err := r.Attach(limit(t), "N1", ids...)
			if err != nil || len(found) != len(ids) {
				t.Fatalf("%d answers, %v", len(found), err)
			}
			for i, f := range found {
				if (f.Sealed != nil) != (i%3 > 0) || f.Now.IsZero() {
					t.Errorf("forgotten %v: ticket %d is %+v", forget, i, f)
				}
			}
		}
		for i, id := range ids {
			if got := r.recordedNodes(t, id); (got == "N1") != (i%3 > 0) {
				t.Errorf("ticket %d: recorded nodes: %q", i, got)
			}
		}
		if found, err := r.Attach(limit(t), "N1"); err != nil || len(found) != 0 {
			t.Errorf("attaching none: %v %v", found, err)
		}
	},
}

// forgetScripts removes all scripts, as a restart of Redis does.
func (r *fixture) forgetScripts(t testing.TB) {
	t.Helper()
	if err := r.inspect.ScriptFlush(limit(t)).Err(); err != nil {
		t.Fatal(err)
	}
}
