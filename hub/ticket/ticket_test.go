package ticket_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

func TestTicket_New(t *testing.T) {
	zone := time.FixedZone("Shanghai", 8*3600)
	made := noon.In(zone).Add(1234567 * time.Nanosecond)
	v := ticket.New("id", ticket.Request{Client: &client.Client{ID: "demo", NumberMatching: true}, Nonce: "n"}, "kid", made, ticketTTL)
	// The store counts in milliseconds, and so does the record.
	at := noon.Add(time.Millisecond)
	if v.State != ticket.Pending || v.Seq != 1 || v.Client != "demo" || !v.NumberMatching || v.Key != "kid" || v.Nonce != "n" ||
		v.CreatedAt.Time() != at || v.Deadline != at.Add(ticketTTL) || v.Identity != (provider.Identity{}) || v.User != (ticket.User{}) ||
		v.Claims != nil || v.Address.IsValid() {
		t.Errorf("new is %+v", v)
	}
	for _, c := range []struct {
		at  time.Time
		due bool
	}{
		{at, false}, {v.Deadline.Add(-time.Millisecond), false}, {v.Deadline, true}, {v.Deadline.Add(time.Hour), true},
	} {
		if v.Overdue(c.at) != c.due {
			t.Errorf("due %v before its deadline: %v", v.Deadline.Sub(c.at), !c.due)
		}
	}
}

func TestTicket_FinalNeverOverdue(t *testing.T) {
	for state, all := range paths(t, demo) {
		for _, v := range all {
			if due := v.Overdue(noon.Add(time.Hour)); due == state.Final() {
				t.Errorf("%s an hour later: due %v", state, due)
			}
		}
	}
}

func TestTicket_BrowserClaimsBounded(t *testing.T) {
	v := ticket.New("id", ticket.Request{Client: demo, Browser: " Chrome\u202e 150\n", OS: strings.Repeat("W", 100)}, "kid", noon, ticketTTL)
	if v.Browser != "Chrome 150" || v.OS != strings.Repeat("W", 48) {
		t.Errorf("%q on %q", v.Browser, v.OS)
	}
}

func TestTicket_ScanExtendsDeadline(t *testing.T) {
	v := newTicket(t, demo)
	early := must(t)(v.Scan(alice, ticket.User{}, noon.Add(time.Second), confirmTTL))
	if !early.Deadline.Equal(v.Deadline) {
		t.Errorf("an early scan moved the deadline to %v", early.Deadline)
	}
	last := noon.Add(ticketTTL - time.Millisecond)
	late := must(t)(v.Scan(alice, ticket.User{}, last, confirmTTL))
	if !late.Deadline.Equal(last.Add(confirmTTL)) {
		t.Errorf("a late scan gives until %v", late.Deadline)
	}
	again := must(t)(late.Scan(alice, ticket.User{Nickname: "other"}, last.Add(confirmTTL/2), confirmTTL))
	if !again.Deadline.Equal(late.Deadline) || again.User != late.User {
		t.Errorf("a repeated scan changed it to %+v", again)
	}
}

func TestTicket_LogValue(t *testing.T) {
	v := must(t)(newTicket(t, demo).Scan(alice, ticket.User{Nickname: "小明"}, noon, confirmTTL))
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("login", "ticket", v, "id", v.ID)
	}
	for _, word := range []string{string(v.ID), v.Nonce, "小明", alice.Subject, alice.Union, "203.0.113.7"} {
		if strings.Contains(out.String(), word) {
			t.Errorf("%q is in\n%s", word, out.String())
		}
	}
	if n := strings.Count(out.String(), v.ID.Short()); n != 4 || len(v.ID.Short()) != 8 {
		t.Errorf("the short id is %d times in\n%s", n, out.String())
	}
	if ticket.ID("abc").Short() != "abc" {
		t.Error("a short id is not cut")
	}
}

func TestClient_Label(t *testing.T) {
	both := &client.Client{ID: "demo", LabelZH: "演示", LabelEN: "Demo"}
	for _, c := range []struct {
		client *client.Client
		zh, en string
	}{
		{both, "演示", "Demo"},
		{&client.Client{ID: "demo", LabelZH: "演示"}, "演示", "演示"},
		{&client.Client{ID: "demo", LabelEN: "Demo"}, "Demo", "Demo"},
		{demo, "demo", "demo"},
	} {
		if zh, en := c.client.Label("zh"), c.client.Label("en"); zh != c.zh || en != c.en {
			t.Errorf("%+v is named %q and %q", c.client, zh, en)
		}
	}
}

func TestClient_Allows(t *testing.T) {
	c := &client.Client{ID: "demo", Origins: []string{"https://www.example.com"}, Providers: []string{"wechat"}}
	for origin, want := range map[string]bool{
		"https://www.example.com":      true,
		"":                             true, // not a cross-site request of a browser
		"null":                         false,
		"https://www.example.com:8443": false,
		"http://www.example.com":       false,
		"https://example.com":          false,
		"https://www.example.com.evil": false,
	} {
		if c.AllowsOrigin(origin) != want {
			t.Errorf("%q is allowed: %v", origin, !want)
		}
	}
	if !c.AllowsProvider("wechat") || c.AllowsProvider("sandbox") || c.AllowsProvider("") || !demo.AllowsProvider("sandbox") {
		t.Error("allows the wrong providers")
	}
}

func TestRetryError_Unwrap(t *testing.T) {
	err := error(&provider.RetryError{After: time.Second, Err: ticket.ErrStoreUnavailable})
	if !errors.Is(err, ticket.ErrStoreUnavailable) || err.Error() != ticket.ErrStoreUnavailable.Error() {
		t.Errorf("%v", err)
	}
}
