package ticket_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"loginhub/hub/ticket"
)

// viewJSON returns the view as JSON, with the ticket's id replaced by "…", as in the
// wire contract.
func viewJSON(t *testing.T, v ticket.Ticket, now time.Time) string {
	t.Helper()
	text, err := json.Marshal(v.View(now))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), string(v.ID), "…")
}

func TestView_Fields(t *testing.T) {
	ok := must(t)
	later := noon.Add(2 * time.Second)
	xiaoming := ticket.User{Nickname: "小明", AvatarURL: "https://example.com/a"}
	const user = `"user":{"nickname":"小明","avatar_url":"https://example.com/a"}`

	pending := newTicket(t, demo)
	scanned := ok(pending.Scan(alice, xiaoming, noon.Add(90*time.Second), confirmTTL))
	confirmed := ok(scanned.Confirm(confirmation(alice, demo)))
	for _, c := range []struct {
		of   ticket.Ticket
		want string
	}{
		{pending, `{"ticket":"…","state":"pending","seq":1,"expires_in":118}`},
		{scanned, `{"ticket":"…","state":"scanned","seq":2,"expires_in":148,` + user + `}`},
		// The view has no token: the delivering node adds it.
		{confirmed, `{"ticket":"…","state":"confirmed","seq":3,"expires_in":58,` + user + `}`},
		{ok(scanned.Reject(alice)), `{"ticket":"…","state":"rejected","seq":3,"reason":"user"}`},
		{pending.Expire(), `{"ticket":"…","state":"expired","seq":2}`},
		{scanned.Expire(), `{"ticket":"…","state":"expired","seq":3}`},
		{ok(confirmed.Ack(3)), `{"ticket":"…","state":"consumed","seq":4}`},
	} {
		if got := viewJSON(t, c.of, later); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.of.State, got, c.want)
		}
	}
}

func TestView_UserWithoutName(t *testing.T) {
	scanned := must(t)(newTicket(t, demo).Scan(alice, ticket.User{}, noon, confirmTTL))
	if v := scanned.View(noon); v.User != nil {
		t.Errorf("shown is %+v", *v.User)
	}
}

func TestView_PendingWithoutUser(t *testing.T) {
	v := newTicket(t, demo)
	// No step produces such a ticket; the view does not rely on that.
	v.Identity, v.User, v.Claims = alice, ticket.User{Nickname: "小明"}, json.RawMessage(`{}`)
	if got, want := viewJSON(t, v, noon), `{"ticket":"…","state":"pending","seq":1,"expires_in":120}`; got != want {
		t.Errorf("got %s", got)
	}
}

func TestView_VouchedNameFirst(t *testing.T) {
	vouched := alice
	vouched.Nickname, vouched.Picture = "Alice", "https://example.com/alice"
	v := must(t)(newTicket(t, demo).Scan(vouched, ticket.User{Nickname: "the boss", AvatarURL: "https://example.com/boss"}, noon, confirmTTL))
	want := `{"ticket":"…","state":"scanned","seq":2,"expires_in":120,"user":{"nickname":"Alice","avatar_url":"https://example.com/alice","verified":true}}`
	if got := viewJSON(t, v, noon); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	// The name of one is not combined with the picture of the other.
	vouched.Picture = ""
	v.Identity = vouched
	if got, want := v.DisplayUser(), (ticket.DisplayUser{User: ticket.User{Nickname: "Alice"}, Verified: true}); got != want {
		t.Errorf("shown is %+v", got)
	}
}

func TestSeconds_RoundsUp(t *testing.T) {
	for d, want := range map[time.Duration]int64{
		2 * time.Minute:            120,
		time.Second + 1:            2,
		time.Second:                1,
		time.Second - 1:            1,
		1:                          1,
		0:                          1, // the store says when a ticket is over, not a clock here
		-1:                         1,
		-time.Hour:                 1,
		math.MinInt64:              1,
		24*time.Hour + 500_000_000: 86401,
	} {
		if got := ticket.Seconds(d); got != want {
			t.Errorf("%v is %d s, want %d", d, got, want)
		}
	}
}
