package ticket_test

import (
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"loginhub/hub/ticket"
)

// grantPaths returns paths' tickets with a grant of that type.
func grantPaths(t testing.TB, kind string) map[ticket.State][]ticket.Ticket {
	t.Helper()
	all := paths(t, demo)
	for _, list := range all {
		for i := range list {
			list[i].Grant = &ticket.Grant{Type: kind, Issuer: "https://login.example.com", RedirectURI: "https://rp.example/cb", State: "s"}
			if list[i].WasConfirmed() {
				list[i].Grant.Seq = list[i].Seq
				if list[i].State != ticket.Confirmed {
					list[i].Grant.Seq--
				}
			}
		}
	}
	return all
}

// TestRedeem has the rows of the redemption: by state, by time, and once.
func TestRedeem(t *testing.T) {
	until := noon.Add(resultTTL + ticket.RedeemGrace)
	for state, want := range map[ticket.State]error{
		ticket.Pending: ticket.ErrNotConfirmed, ticket.Scanned: ticket.ErrNotConfirmed, ticket.Rejected: ticket.ErrClosed,
		ticket.Confirmed: nil, ticket.Consumed: nil, ticket.Expired: nil,
	} {
		for _, v := range grantPaths(t, ticket.GrantCode)[state] {
			expected, next := want, state
			if state == ticket.Expired && !v.WasConfirmed() {
				expected = ticket.ErrExpired
			}
			if state == ticket.Confirmed {
				next = ticket.Consumed
			}
			got, err := v.Redeem(until.Add(-1))
			if !errors.Is(err, expected) {
				t.Errorf("%s: %v, want %v", state, err, expected)
			}
			if err != nil {
				if !reflect.DeepEqual(got, v) {
					t.Errorf("%s, refused: %+v", state, got)
				}
				continue
			}
			if got.State != next || got.Seq != v.Seq+1 || !got.Redeemed() || v.Redeemed() {
				t.Errorf("%s: %+v", state, got)
			}
			if _, err := got.Redeem(noon); !errors.Is(err, ticket.ErrRedeemed) {
				t.Errorf("%s, again: %v", state, err)
			}
			if _, err := v.Redeem(until); !errors.Is(err, ticket.ErrExpired) || !v.RedeemUntil().Equal(until) {
				t.Errorf("%s, too late: %v, until %v", state, err, v.RedeemUntil())
			}
			if again, err := got.Ack(v.Grant.Seq); err != nil || !reflect.DeepEqual(again, got) {
				t.Errorf("%s, a late ack: %v", state, err)
			}
			if _, err := got.Ack(v.Grant.Seq + 1); err == nil {
				t.Errorf("%s: an ack of another version was accepted", state)
			}
			if _, err := got.Cancel(); err == nil {
				t.Errorf("%s: a redeemed ticket was cancelled", state)
			}
		}
	}
	if _, err := paths(t, demo)[ticket.Confirmed][0].Redeem(noon); !errors.Is(err, ticket.ErrNotConfirmed) {
		t.Errorf("a ticket without a grant: %v", err)
	}
}

// TestCode: one code for each confirmed version, from every node that has the key.
func TestCode(t *testing.T) {
	v := newTicket(t, demo)
	v.Grant = &ticket.Grant{Type: ticket.GrantCode}
	if _, err := newRing(t).Code(v); !errors.Is(err, ticket.ErrNotConfirmed) {
		t.Errorf("a pending ticket: %v", err)
	}
	v = must(t)(v.Confirm(confirmation(alice, demo)))
	code, err := newRing(t).Code(v)
	if err != nil || len(code) != ticket.CodeLength || !strings.HasPrefix(code, string(v.ID)+".") || newRing(t, "old", "new").CheckCode(v, code) != nil {
		t.Errorf("code %q: %v", code, err)
	}
	if id, err := ticket.ParseCode(code); err != nil || id != v.ID {
		t.Errorf("parsed as %q: %v", id, err)
	}
	acked := must(t)(v.Ack(v.Seq))
	for _, same := range []ticket.Ticket{acked, v.Expire(), must(t)(acked.Redeem(noon))} {
		if err := newRing(t).CheckCode(same, code); err != nil {
			t.Errorf("%s: %v", same.State, err)
		}
	}
	answer := func(grant string) ticket.Answer {
		same := v
		same.Grant = &ticket.Grant{Type: grant, Seq: v.Grant.Seq}
		a, err := newRing(t).Answer(same)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := answer(ticket.GrantExchange); len(a.Code) != ticket.CodeLength || a.Code == code || a.RedirectTo != "" || answer(ticket.GrantDevice) != (ticket.Answer{}) {
		t.Errorf("delivery by code: %+v", a)
	}
	other, later, device := v, v, v
	other.ID, later.ConfirmedAt = newTicket(t, demo).ID, v.ConfirmedAt+1
	device.Grant = &ticket.Grant{Type: ticket.GrantDevice, Seq: v.Grant.Seq}
	for _, foreign := range []ticket.Ticket{other, later, device, newTicket(t, demo)} {
		if err := newRing(t).CheckCode(foreign, code); err == nil {
			t.Errorf("the code fits %+v", foreign)
		}
	}
	if _, err := newRing(t, "old").Code(v); !errors.Is(err, ticket.ErrUnknownKey) {
		t.Errorf("without the key: %v", err)
	}
	for _, bad := range []string{"", code[1:], code + "A", code[:22], strings.Replace(code, ".", "-", 1), "=" + code[1:], strings.Repeat(".", ticket.CodeLength)} {
		if _, err := ticket.ParseCode(bad); err == nil {
			t.Errorf("%q was parsed", bad)
		}
	}
}

// TestAnswer: the response of each state, as an address and as a form.
func TestAnswer(t *testing.T) {
	for state, list := range grantPaths(t, ticket.GrantCode) {
		want := map[ticket.State]string{
			ticket.Confirmed: "https://rp.example/cb?code=c&state=s&iss=https%3A%2F%2Flogin.example.com",
			ticket.Rejected:  "https://rp.example/cb?error=access_denied&state=s&iss=https%3A%2F%2Flogin.example.com",
		}[state]
		for _, v := range list {
			code := ""
			if state == ticket.Confirmed {
				code = "c"
			}
			if got := v.Answer(code); got.RedirectTo != want || got.FormPost != nil {
				t.Errorf("%s: %+v", state, got)
			}
		}
	}
	for uri, want := range map[string]string{
		"https://rp.example/cb?a=b": "https://rp.example/cb?a=b&code=c&state=", "https://rp.example/cb?": "https://rp.example/cb?code=c&state=",
		"com.example.app:/cb": "com.example.app:/cb?code=c&state=",
	} {
		const state = "&code=x#\r\n\"ü"
		g := &ticket.Grant{Type: ticket.GrantCode, RedirectURI: uri, State: state, Issuer: "i"}
		if got := g.Respond("code", "c").RedirectTo; got != want+url.QueryEscape(state)+"&iss=i" {
			t.Errorf("%s: %s", uri, got)
		}
		g.ResponseMode = ticket.ModeFormPost
		if got := g.Respond("code", "c").FormPost; got.Action != uri || !reflect.DeepEqual(got.Fields, map[string]string{"code": "c", "state": state, "iss": "i"}) {
			t.Errorf("%s: %+v", uri, got)
		}
	}
	for _, v := range grantPaths(t, ticket.GrantDevice)[ticket.Confirmed] {
		if got := v.Answer("c"); got != (ticket.Answer{}) {
			t.Errorf("a device's ticket: %+v", got)
		}
	}
}

// TestNew_GrantTTL: a grant has a life of its own, and a record of version 1 keeps it.
func TestNew_GrantTTL(t *testing.T) {
	v := ticket.New(ticket.NewSecret().ID(), ticket.Request{Client: demo, Grant: &ticket.Grant{Type: ticket.GrantDevice, TTL: 10 * time.Minute}}, "new", noon, ticketTTL)
	if !v.Deadline.Equal(noon.Add(10 * time.Minute)) {
		t.Errorf("deadline %v", v.Deadline)
	}
	ring := atVersion(t, newRing(t), 1)
	if again, err := ring.Open(v.ID, seal(t, ring, v)); err != nil || !reflect.DeepEqual(again.Grant, v.Grant) {
		t.Errorf("%+v, %v", again, err)
	}
}
