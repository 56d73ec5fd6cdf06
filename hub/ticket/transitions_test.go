package ticket_test

import (
	"errors"
	"reflect"
	"testing"

	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// outcome is one cell of the table of states in the wire contract: a state to go to,
// "same" for the same answer again, or an error code.
type outcome string

const same outcome = "same"

// refusals maps the contract's error codes to errors. Every other outcome is a success.
var refusals = map[outcome]error{
	"already_scanned": ticket.ErrScanned,
	"ticket_closed":   ticket.ErrClosed,
	"scan_required":   ticket.ErrScanRequired,
	"invalid_request": ticket.ErrMatchMissing,
	"ticket_expired":  ticket.ErrExpired,
	"not_confirmed":   ticket.ErrNotConfirmed,
}

// wantTransitions is the contract's table of states, row by row: the state, whether the
// caller is the user recorded on the ticket, and the outcomes of scan, confirm and
// reject.
var wantTransitions = []struct {
	state                 ticket.State
	recorded              bool
	scan, confirm, reject outcome
}{
	{ticket.Pending, false, "scanned", "confirmed", "rejected"},
	{ticket.Scanned, true, same, "confirmed", "rejected"},
	{ticket.Scanned, false, "already_scanned", "already_scanned", "already_scanned"},
	{ticket.Confirmed, true, "ticket_closed", same, "ticket_closed"},
	{ticket.Confirmed, false, "ticket_closed", "ticket_closed", "ticket_closed"},
	{ticket.Consumed, true, "ticket_closed", same, "ticket_closed"},
	{ticket.Consumed, false, "ticket_closed", "ticket_closed", "ticket_closed"},
	{ticket.Rejected, true, "ticket_closed", "ticket_closed", same},
	{ticket.Rejected, false, "ticket_closed", "ticket_closed", "ticket_closed"},
	{ticket.Expired, true, "ticket_expired", "ticket_expired", "ticket_expired"},
	{ticket.Expired, false, "ticket_expired", "ticket_expired", "ticket_expired"},
}

// matching contains the changes by number matching: only confirm differs, by the number
// that the phone sent.
var matching = []struct {
	state                 ticket.State
	recorded              bool
	right, wrong, missing outcome
}{
	{ticket.Pending, false, "scan_required", "scan_required", "scan_required"},
	{ticket.Scanned, true, "confirmed", "match_failed", "invalid_request"},
	// A request without a number is malformed, whichever user sends it, and is rejected
	// before the state is checked.
	{ticket.Scanned, false, "already_scanned", "already_scanned", "invalid_request"},
	// A repeated confirm gets the first answer, with any number.
	{ticket.Confirmed, true, same, same, same},
	{ticket.Confirmed, false, "ticket_closed", "ticket_closed", "ticket_closed"},
	{ticket.Consumed, true, same, same, same},
	{ticket.Consumed, false, "ticket_closed", "ticket_closed", "ticket_closed"},
	{ticket.Rejected, true, "ticket_closed", "ticket_closed", "ticket_closed"},
	{ticket.Rejected, false, "ticket_closed", "ticket_closed", "ticket_closed"},
	{ticket.Expired, true, "ticket_expired", "ticket_expired", "ticket_expired"},
	{ticket.Expired, false, "ticket_expired", "ticket_expired", "ticket_expired"},
}

// act does what a node does with a phone's call: it checks whether any user could
// succeed before it checks the user.
func act(v ticket.Ticket, a ticket.Action, by provider.Identity, match string, c *client.Client) (ticket.Ticket, error) {
	if err := v.Precheck(a, match); err != nil {
		return v, err
	}
	switch a {
	case ticket.Scan:
		return v.Scan(by, ticket.User{}, noon, confirmTTL)
	case ticket.Confirm:
		in := confirmation(by, c)
		in.Match = match
		return v.Confirm(in)
	}
	return v.Reject(by)
}

// assertOutcome checks one cell for one ticket and caller.
func assertOutcome(t *testing.T, v ticket.Ticket, a ticket.Action, by provider.Identity, match string, c *client.Client, want outcome) {
	t.Helper()
	next, err := act(v, a, by, match, c)
	switch refused := refusals[want]; {
	case refused != nil:
		if !errors.Is(err, refused) || !reflect.DeepEqual(next, v) {
			t.Errorf("%s by %s with %q: %v and %+v, want %s and no change", v.State, by.Subject, match, err, next, want)
		}
	case want == "match_failed":
		if !errors.Is(err, ticket.ErrMatchFailed) || next.State != ticket.Rejected || next.Seq != v.Seq+1 || next.Reason != ticket.ReasonWrongNumber || next.Claims != nil {
			t.Errorf("%s by %s with %q: %v and %+v, want %s and rejected", v.State, by.Subject, match, err, next, want)
		}
	case want == same:
		if err != nil || !reflect.DeepEqual(next, v) {
			t.Errorf("%s by %s with %q: %v and %+v, want the same answer again", v.State, by.Subject, match, err, next)
		}
	default:
		if err != nil || next.State != ticket.State(want) || next.Seq != v.Seq+1 || !next.Identity.Same(by) {
			t.Errorf("%s by %s with %q: %v and %+v, want %s", v.State, by.Subject, match, err, next, want)
		}
	}
}

// callers returns the users that a row is about.
func callers(recorded bool) []provider.Identity {
	if recorded {
		// A name, or a unionid that was added later, does not make another user.
		renamed := alice
		renamed.Nickname, renamed.Union = "小红", "union-new"
		return []provider.Identity{alice, renamed}
	}
	elsewhere := alice
	elsewhere.Realm = "wx2" // the same openid under another application is another user
	return []provider.Identity{bob, carol, elsewhere}
}

func TestTransitions(t *testing.T) {
	all := paths(t, demo)
	cells := map[[2]any]bool{}
	for _, row := range wantTransitions {
		for _, v := range all[row.state] {
			if !row.recorded && v.Identity == (provider.Identity{}) && row.state == ticket.Pending {
				assertOutcome(t, v, ticket.Scan, alice, "", demo, row.scan)
			}
			for _, by := range callers(row.recorded) {
				assertOutcome(t, v, ticket.Scan, by, "", demo, row.scan)
				assertOutcome(t, v, ticket.Confirm, by, "", demo, row.confirm)
				assertOutcome(t, v, ticket.Reject, by, "", demo, row.reject)
			}
		}
		cells[[2]any{row.state, row.recorded}] = true
	}
	for state := range all {
		if !cells[[2]any{state, false}] || state != ticket.Pending && !cells[[2]any{state, true}] {
			t.Errorf("the test's table leaves out %s", state)
		}
	}
}

func TestTransitions_NumberMatching(t *testing.T) {
	c := &client.Client{ID: "demo", NumberMatching: true}
	all := paths(t, c)
	for _, row := range matching {
		for _, v := range all[row.state] {
			for _, by := range callers(row.recorded) {
				assertOutcome(t, v, ticket.Confirm, by, "47", c, row.right)
				assertOutcome(t, v, ticket.Confirm, by, "48", c, row.wrong)
				assertOutcome(t, v, ticket.Confirm, by, "", c, row.missing)
			}
		}
	}
	for _, row := range wantTransitions {
		for _, v := range all[row.state] {
			for _, by := range callers(row.recorded) {
				assertOutcome(t, v, ticket.Scan, by, "", c, row.scan)
				assertOutcome(t, v, ticket.Reject, by, "", c, row.reject)
			}
		}
	}
}

// A provider is called only if some user could succeed, or if a wrong number must be
// counted against the user who scanned.
func TestPrecheck_MatchesTransitions(t *testing.T) {
	type cell struct {
		state ticket.State
		a     ticket.Action
		match string
	}
	check := func(c *client.Client, hope map[cell]bool) {
		all := paths(t, c)
		for at, some := range hope {
			for _, v := range all[at.state] {
				if err := v.Precheck(at.a, at.match); (err == nil) != some {
					t.Errorf("matching %v: %+v is hopeless: %v", c.NumberMatching, at, err)
				}
			}
		}
	}
	plain, matched := map[cell]bool{}, map[cell]bool{}
	note := func(hope map[cell]bool, at cell, v outcome) { hope[at] = hope[at] || refusals[v] == nil }
	for _, row := range wantTransitions {
		for _, hope := range []map[cell]bool{plain, matched} {
			note(hope, cell{row.state, ticket.Scan, ""}, row.scan)
			note(hope, cell{row.state, ticket.Reject, ""}, row.reject)
		}
		note(plain, cell{row.state, ticket.Confirm, ""}, row.confirm)
		note(plain, cell{row.state, ticket.Confirm, "47"}, row.confirm) // a number that was not asked for
	}
	for _, row := range matching {
		note(matched, cell{row.state, ticket.Confirm, "47"}, row.right)
		note(matched, cell{row.state, ticket.Confirm, "48"}, row.wrong)
		note(matched, cell{row.state, ticket.Confirm, ""}, row.missing)
	}
	check(demo, plain)
	check(&client.Client{ID: "demo", NumberMatching: true}, matched)
}

func TestAck_ConfirmedVersionOnly(t *testing.T) {
	all := paths(t, demo)
	for state, refused := range map[ticket.State]error{
		ticket.Pending: ticket.ErrNotConfirmed, ticket.Scanned: ticket.ErrNotConfirmed,
		ticket.Rejected: ticket.ErrNotConfirmed, ticket.Expired: ticket.ErrExpired,
	} {
		for _, v := range all[state] {
			for seq := int64(-1); seq <= v.Seq+1; seq++ {
				if next, err := v.Ack(seq); !errors.Is(err, refused) || !reflect.DeepEqual(next, v) {
					t.Errorf("%s, ack of %d: %v and %+v, want %v", state, seq, err, next, refused)
				}
			}
		}
	}
	for _, confirmed := range all[ticket.Confirmed] {
		right := confirmed.Seq
		consumed := must(t)(confirmed.Ack(right))
		if consumed.State != ticket.Consumed || consumed.Seq != right+1 {
			t.Fatalf("an ack made %+v", consumed)
		}
		if again, err := consumed.Ack(right); err != nil || !reflect.DeepEqual(again, consumed) {
			t.Errorf("the same ack again: %v and %+v", err, again)
		}
		for _, seq := range []int64{-1, 0, right - 1, right + 1, right + 2} {
			for _, v := range []ticket.Ticket{confirmed, consumed} {
				if next, err := v.Ack(seq); !errors.Is(err, ticket.ErrNotConfirmed) || !reflect.DeepEqual(next, v) {
					t.Errorf("%s, ack of %d instead of %d: %v and %+v", v.State, seq, right, err, next)
				}
			}
		}
	}
}

// TestCancel has the browser's row of the contract's table of states, and what a phone
// gets afterwards.
func TestCancel(t *testing.T) {
	all := paths(t, demo)
	for state, refused := range map[ticket.State]error{ticket.Consumed: ticket.ErrClosed, ticket.Expired: ticket.ErrExpired} {
		for _, v := range all[state] {
			if next, err := v.Cancel(); !errors.Is(err, refused) || !reflect.DeepEqual(next, v) {
				t.Errorf("%s: %v and %+v, want %v", state, err, next, refused)
			}
		}
	}
	for _, v := range all[ticket.Rejected] {
		if again, err := v.Cancel(); err != nil || !reflect.DeepEqual(again, v) {
			t.Errorf("rejected, then cancelled: %v and %+v", err, again)
		}
	}
	for _, state := range []ticket.State{ticket.Pending, ticket.Scanned, ticket.Confirmed} {
		for _, v := range all[state] {
			next := must(t)(v.Cancel())
			if next.State != ticket.Rejected || next.Seq != v.Seq+1 || next.Reason != ticket.ReasonCancelled || next.Claims != nil ||
				next.WasConfirmed() != (state == ticket.Confirmed) {
				t.Errorf("a cancel of %s made %+v", state, next)
			}
			var why ticket.RejectedError
			if err := next.Precheck(ticket.Confirm, ""); !errors.As(err, &why) || why.Reason != ticket.ReasonCancelled || !errors.Is(err, ticket.ErrClosed) {
				t.Errorf("a confirm after the cancel: %v", err)
			}
		}
	}
	// No user has scanned: none can reject it once more, and no provider is called.
	assertOutcome(t, must(t)(all[ticket.Pending][0].Cancel()), ticket.Reject, alice, "", demo, "ticket_closed")
}
