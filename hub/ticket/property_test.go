package ticket_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// follows lists the states that may follow each state. Final states have none.
var follows = map[ticket.State][]ticket.State{
	ticket.Pending:   {ticket.Scanned, ticket.Confirmed, ticket.Rejected, ticket.Expired},
	ticket.Scanned:   {ticket.Confirmed, ticket.Rejected, ticket.Expired},
	ticket.Confirmed: {ticket.Consumed, ticket.Rejected, ticket.Expired}, // rejected: by a cancel
}

// fuzzDriver makes random calls of several users on one ticket.
type fuzzDriver struct {
	t      *testing.T
	random *rand.Rand
	client *client.Client
	now    time.Time
	at     ticket.Ticket
	ring   *ticket.Keyring
}

// TestTicket_RandomSequences makes many thousand random steps. The seed is fixed, so
// that a failure can be repeated.
func TestTicket_RandomSequences(t *testing.T) {
	reached := map[ticket.State]int{}
	for walk := range uint64(1500) {
		w := &fuzzDriver{t: t, random: rand.New(rand.NewPCG(20260301, walk)), ring: newRing(t), now: noon,
			client: &client.Client{ID: "demo", NumberMatching: walk%3 == 1, AutoMatching: walk%3 == 2}}
		w.at = newTicket(t, w.client)
		for range 16 {
			w.now = w.now.Add(time.Duration(w.random.Int64N(int64(30 * time.Second))))
			w.step()
			reached[w.at.State]++
		}
		if t.Failed() {
			t.Fatalf("walk %d", walk)
		}
	}
	for _, s := range []ticket.State{ticket.Pending, ticket.Scanned, ticket.Confirmed, ticket.Consumed, ticket.Rejected, ticket.Expired} {
		if reached[s] < 300 {
			t.Errorf("too few walks reach %s: %v", s, reached)
		}
	}
}

// step makes one random call, and repeats it.
func (w *fuzzDriver) step() {
	if w.at.Overdue(w.now) {
		w.check(w.at.Expire(), nil)
		return
	}
	call := w.call()
	before := w.at
	next, err := call(before)
	w.check(next, err)
	if err != nil {
		return
	}
	// A phone that got no answer repeats its call later.
	w.now = w.now.Add(time.Second)
	if again, err := call(w.at); err != nil || !reflect.DeepEqual(again, w.at) {
		w.t.Errorf("%s to %s, the same again: %v and %+v", before.State, w.at.State, err, again)
	}
}

// likely are the actions to choose from. Reject and Cancel are rare: a sequence that ends
// early tests little.
var likely = []ticket.Action{
	ticket.Scan, ticket.Scan, ticket.Scan, ticket.Scan, ticket.Confirm, ticket.Confirm, ticket.Confirm,
	ticket.Ack, ticket.Ack, ticket.Ack, ticket.Ack, ticket.Reject, ticket.Cancel,
}

// call returns a random call in which everything but the time is fixed.
func (w *fuzzDriver) call() func(ticket.Ticket) (ticket.Ticket, error) {
	by := []provider.Identity{alice, alice, alice, bob, carol}[w.random.IntN(5)]
	user := []ticket.User{{}, {Nickname: "小明"}, {Nickname: "mallory", AvatarURL: "https://example.com/a"}}[w.random.IntN(3)]
	match := []string{"47", "47", "47", "48", ""}[w.random.IntN(5)]
	a := likely[w.random.IntN(len(likely))]
	seq := int64(w.random.IntN(5))
	risk := ticket.Risk(w.random.IntN(int(ticket.NoRisk) + 1)) // a repeated call has another address
	return func(v ticket.Ticket) (ticket.Ticket, error) {
		switch a {
		case ticket.Ack:
			return v.Ack(seq)
		case ticket.Cancel:
			return v.Cancel()
		}
		if err := v.Precheck(a, match); err != nil {
			return v, err
		}
		switch a {
		case ticket.Scan:
			return v.WithRisk(risk).Scan(by, user, w.now, confirmTTL)
		case ticket.Reject:
			return v.Reject(by)
		}
		in := confirmation(by, w.client)
		in.User, in.Match, in.Now = user, match, w.now
		if next, err := v.WithRisk(risk).Confirm(in); !errors.Is(err, ticket.ErrScanRequired) {
			return next, err
		}
		return v, ticket.ErrScanRequired
	}
}

// check compares two versions and continues with the next.
func (w *fuzzDriver) check(next ticket.Ticket, err error) {
	w.t.Helper()
	was := w.at
	w.at = next
	changed := next.State != was.State
	switch {
	case !changed:
		if !reflect.DeepEqual(next, was) {
			w.t.Errorf("the state stays (%v) and the ticket does not:\n%+v\n%+v", err, was, next)
		}
		return
	case err != nil && !errors.Is(err, ticket.ErrMatchFailed):
		w.t.Errorf("refused with %v, and changed to %s", err, next.State)
	case next.Seq != was.Seq+1:
		w.t.Errorf("%s to %s: seq %d after %d", was.State, next.State, next.Seq, was.Seq)
	}
	w.checkChange(was, next)
	opened, err := w.ring.Open(next.ID, seal(w.t, w.ring, next))
	if err != nil || !reflect.DeepEqual(opened.View(w.now), next.View(w.now)) || !bytes.Equal(opened.Claims, next.Claims) ||
		!opened.Deadline.Equal(next.Deadline) || !opened.Identity.Same(next.Identity) {
		w.t.Errorf("sealed and opened it is another ticket (%v):\n%+v\n%+v", err, next, opened)
	}
}

// checkChange checks the fields that no change may alter.
func (w *fuzzDriver) checkChange(was, next ticket.Ticket) {
	w.t.Helper()
	allowed := false
	for _, s := range follows[was.State] {
		allowed = allowed || s == next.State
	}
	if !allowed {
		w.t.Errorf("%s follows %s", next.State, was.State)
	}
	if was.Identity != (provider.Identity{}) && !next.Identity.Same(was.Identity) {
		w.t.Errorf("%s to %s: %+v took over from %+v", was.State, next.State, next.Identity, was.Identity)
	}
	if hasClaims := next.Claims != nil; hasClaims != (next.State != ticket.Rejected && (was.Claims != nil || next.State == ticket.Confirmed)) {
		w.t.Errorf("%s to %s: claims %s", was.State, next.State, next.Claims)
	}
	if (next.Reason != 0) != (next.State == ticket.Rejected) || next.State == ticket.Rejected && next.WasConfirmed() != (was.State == ticket.Confirmed) {
		w.t.Errorf("%s to %s: reason %q, was confirmed %v", was.State, next.State, next.Reason, next.WasConfirmed())
	}
	if was.Claims != nil && next.Claims != nil && !bytes.Equal(was.Claims, next.Claims) {
		w.t.Errorf("%s to %s: claims were %s and are %s", was.State, next.State, was.Claims, next.Claims)
	}
	if next.State == ticket.Confirmed {
		if !next.Deadline.Equal(w.now.Add(resultTTL)) {
			w.t.Errorf("confirmed at %v and waits until %v", w.now, next.Deadline)
		}
	} else if next.Deadline.Before(was.Deadline) {
		w.t.Errorf("%s to %s: the deadline moved back from %v to %v", was.State, next.State, was.Deadline, next.Deadline)
	}
	if was.Auto != 0 && was.State == ticket.Pending && next.State == ticket.Scanned {
		was.NumberMatching = next.NumberMatching // the scan decides
	}
	// All other fields stay as the browser's request set them.
	was.State, was.Seq, was.Deadline, was.Identity, was.User, was.Claims = next.State, next.Seq, next.Deadline, next.Identity, next.User, next.Claims
	was.Reason, was.ConfirmedAt = next.Reason, next.ConfirmedAt
	if !reflect.DeepEqual(was, next) {
		w.t.Errorf("a change touched more than it may:\n%+v\n%+v", was, next)
	}
}
