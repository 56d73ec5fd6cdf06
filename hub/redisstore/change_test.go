package redisstore

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"loginhub/hub/ticket"
)

var changeCases = map[string]func(*testing.T, *fixture){
	"a change replaces the record and its expiry": func(t *testing.T, r *fixture) {
		id, old, deadline := r.created(t, time.Minute)
		r.attach(t, "N1", id)
		next := record(2, "next")
		before := r.clock(t)
		out := r.change(t, ticket.Change{ID: id, BaseTag: tag(old), Sealed: next, NotAfter: deadline, ExpireAt: deadline.Add(time.Hour)})
		if !out.Done || out.Now.Before(before) || out.Now.After(r.clock(t)) {
			t.Errorf("became %+v", out)
		}
		if got := r.storedRecord(t, id); string(got) != string(next) {
			t.Errorf("stored is %q", got)
		}
		if got := r.recordedNodes(t, id); got != "N1" {
			t.Errorf("recorded nodes: %q", got)
		}
		r.assertExpiry(t, id, deadline.Add(time.Hour))
	},

	"the window is by Redis's clock, not this machine's": func(t *testing.T, r *fixture) {
		id, old, deadline := r.created(t, time.Minute)
		right := r.offset.Load()
		r.offset.Store(right + int64(time.Hour))
		defer r.offset.Store(right)
		if out := r.change(t, ticket.Change{ID: id, BaseTag: tag(old), Sealed: record(2, "next"), NotAfter: deadline, ExpireAt: deadline}); !out.Done {
			t.Errorf("became %+v", out)
		}
	},

	"a repeated change is answered as the first, and is published once": func(t *testing.T, r *fixture) {
		id, old, deadline := r.created(t, time.Minute)
		b := r.listen(t)
		r.attach(t, b.node, id)
		// The window may have closed, and the stored version is the new one.
		c := ticket.Change{ID: id, BaseTag: tag(old), Sealed: record(2, "next"), NotAfter: r.clock(t).Add(5 * time.Second), ExpireAt: deadline}
		for range 3 {
			if out := r.change(t, c); !out.Done || out.Now.IsZero() {
				t.Errorf("became %+v", out)
			}
			c.NotAfter = r.clock(t)
		}
		if mail := b.drain(t, id); !slices.Equal(mail, []string{string(ticket.EncodeUpdate(id, c.Sealed))}) {
			t.Errorf("published %q", mail)
		}
		// Without the bytes, the tag of the new version repeats the change.
		for base, done := range map[string]bool{string(tag(c.Sealed)): true, string(tag(old)): false, "": false} {
			if out := r.change(t, ticket.Change{ID: id, BaseTag: []byte(base), ExpireAt: deadline.Add(time.Hour)}); out.Done != done {
				t.Errorf("repeated by the tag %q it became %+v", base, out)
			}
		}
		r.assertExpiry(t, id, deadline.Add(time.Hour))
		if mail := b.drain(t, id); len(mail) != 0 || string(r.storedRecord(t, id)) != string(c.Sealed) {
			t.Errorf("stored %q and published %q", r.storedRecord(t, id), mail)
		}
		// After another change, the repeated one no longer fits.
		third := record(3, "last")
		if out := r.change(t, ticket.Change{ID: id, BaseTag: tag(c.Sealed), Sealed: third, ExpireAt: deadline}); !out.Done {
			t.Errorf("the third version became %+v", out)
		}
		if out := r.change(t, c); out.Done || string(out.Sealed) != string(third) {
			t.Errorf("the late repetition became %+v", out)
		}
	},

	"every recorded node gets one message, except the excluded one": func(t *testing.T, r *fixture) {
		id, old, deadline := r.created(t, time.Minute)
		var all []*inbox
		for range 6 { // the first of five recorded nodes is dropped; the last never attaches
			all = append(all, r.listen(t))
		}
		for _, b := range all[:5] {
			r.attach(t, b.node, id)
		}
		c := ticket.Change{ID: id, BaseTag: tag(old), Sealed: record(2, "next"), ExpireAt: deadline, ExcludeNode: all[2].node}
		if out := r.change(t, c); !out.Done {
			t.Fatalf("became %+v", out)
		}
		for i, want := range []int{0, 1, 0, 1, 1, 0} {
			mail := all[i].drain(t, id)
			if len(mail) != want || want == 1 && mail[0] != string(ticket.EncodeUpdate(id, c.Sealed)) {
				t.Errorf("node %d received %q", i, mail)
			}
		}
	},

	"changes of one batch are independent": func(t *testing.T, r *fixture) {
		b := r.listen(t)
		var changes []ticket.Change
		for i := range 60 {
			id, old, deadline := r.created(t, time.Minute)
			r.attach(t, b.node, id)
			c := ticket.Change{ID: id, BaseTag: tag(old), Sealed: record(2, fmt.Sprint("next", i, ".")), NotAfter: deadline, ExpireAt: deadline}
			switch i % 3 {
			case 1: // based on another version
				c.BaseTag = tag(record(1, "other"))
			case 2: // deleted meanwhile
				if err := r.inspect.Del(limit(t), r.ticketKey(id)).Err(); err != nil {
					t.Fatal(err)
				}
			}
			changes = append(changes, c)
		}
		r.forgetScripts(t)
		outcomes, err := r.Change(limit(t), changes...)
		if err != nil || len(outcomes) != len(changes) {
			t.Fatalf("%d outcomes, %v", len(outcomes), err)
		}
		var sent, want []string
		for i, out := range outcomes {
			if out.Done != (i%3 == 0) || (out.Sealed != nil) != (i%3 == 1) {
				t.Errorf("change %d became %+v", i, out)
			}
			if i%3 == 0 {
				want = append(want, string(ticket.EncodeUpdate(changes[i].ID, changes[i].Sealed)))
			}
			sent = append(sent, b.drain(t, changes[i].ID)...)
		}
		slices.Sort(sent)
		slices.Sort(want)
		if !slices.Equal(sent, want) {
			t.Errorf("published are\n%q\nwant\n%q", sent, want)
		}
	},
}
