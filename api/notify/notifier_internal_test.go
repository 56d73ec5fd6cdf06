package notify

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"loginhub/hub/outbox"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// TestChange_Fate: an event is reported only if exactly its change was made. All changes of
// the table are prepared on the scanned ticket, at the same time.
func TestChange_Fate(t *testing.T) {
	t.Parallel()
	scanned := ticket.Ticket{ID: "t", State: ticket.Scanned, Seq: 2, Identity: provider.Identity{Provider: "p", Subject: "alice"}}
	with := func(t ticket.Ticket, s ticket.State, why ticket.Reason, confirmedAt int64) ticket.Ticket {
		t.State, t.Reason, t.ConfirmedAt, t.Seq = s, why, confirmedAt, t.Seq+1
		return t
	}
	confirmed, repeated := with(scanned, ticket.Confirmed, 0, 7), with(scanned, ticket.Confirmed, 0, 8)
	rejected, wrong := with(scanned, ticket.Rejected, ticket.ReasonUser, 0), with(scanned, ticket.Rejected, ticket.ReasonWrongNumber, 0)
	bobs := confirmed
	bobs.Identity.Subject = "bob"
	all := map[string]ticket.Ticket{"confirmed": confirmed, "confirmed again": repeated, "confirmed by bob": bobs, "rejected": rejected, "a wrong number": wrong}
	disputed := with(confirmed, ticket.Rejected, ticket.ReasonUser, 7)
	for name, c := range map[string]struct {
		now  ticket.Ticket
		made string // of all; the others are not
	}{
		"nothing yet":          {scanned, ""},
		"confirmed":            {confirmed, "confirmed"},
		"consumed":             {with(confirmed, ticket.Consumed, 0, 7), "confirmed"},
		"disputed":             {disputed, "confirmed"},
		"cancelled after all":  {with(confirmed, ticket.Rejected, ticket.ReasonCancelled, 7), "confirmed"},
		"expired after all":    {with(confirmed, ticket.Expired, 0, 7), "confirmed"},
		"rejected":             {rejected, "rejected"},
		"rejected, version 1":  {with(scanned, ticket.Rejected, 0, 0), "rejected, a wrong number"}, // without a reason
		"a wrong number":       {wrong, "a wrong number"},
		"cancelled":            {with(scanned, ticket.Rejected, ticket.ReasonCancelled, 0), ""},
		"expired":              {with(scanned, ticket.Expired, 0, 0), ""},
		"expired, scan lost":   {ticket.Ticket{ID: "t", State: ticket.Expired, Seq: 2}, ""},
		"confirmed by another": {bobs, "confirmed by bob"},
	} {
		for what, next := range all {
			m, err := NewMessage("id", next, "body")
			var read change
			if err == nil {
				err = json.Unmarshal(m.Value, &read)
			}
			want := outbox.NotMade
			if name == "nothing yet" {
				want = outbox.Undecided
			} else if slices.Contains(strings.Split(c.made, ", "), what) {
				want = outbox.Made
			}
			if got := read.fate(c.now); err != nil || got != want {
				t.Errorf("%s: the event %q has the fate %d, want %d: %v", name, what, got, want, err)
			}
		}
	}
}
