package main_test

import (
	"context"
	"strings"
	"testing"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

const phonePath = "/wxa/business/getuserphonenumber"

// phoneLogins are logins on two nodes whose clients ask for phone numbers.
type phoneLogins struct {
	*testing.T
	ctx       context.Context
	w         *wechattest.Server
	nodes     []*hubtest.Node
	exchanges int // that WeChat must have had
}

func startPhoneLogins(t *testing.T) *phoneLogins {
	w, settings := startWebsite(t, "CLIENTS="+hubtest.WriteFile(t, "clients.yaml", `clients:
  - {id: ask, phone_number: ask}
  - {id: must, phone_number: require}
  - {id: numbers, phone_number: require, number_matching: true}
  - {id: none}
`))
	_, nodes := cluster(t, 2, settings...)
	return &phoneLogins{T: t, ctx: loginContext(t), w: w, nodes: nodes}
}

func (l *phoneLogins) open(client string) *hubtest.Ticket {
	l.Helper()
	ticket, err := hubtest.CreateTicket(l.ctx, l.nodes[0].URL, map[string]string{"client_id": client})
	if err != nil {
		l.Fatal(err)
	}
	return ticket
}

func (l *phoneLogins) code() string { return l.w.PhoneCode(appID, "86", "13800138000") }

// call makes a call of a user's phone, whose answer must have the status and the text. match is a pair
// of the field's name and value, or nothing.
func (l *phoneLogins) call(user string, ticket *hubtest.Ticket, action, code string, status int, text string, match ...string) {
	l.Helper()
	fields, before := map[string]any{"phone_code": code}, l.w.Calls()
	for _, number := range match {
		fields["match"] = number
	}
	a, err := weChatPhone(l.w, user).Do(l.ctx, l.nodes[l.exchanges%2].URL, ticket.ID, action, fields)
	if err != nil || a.Status != status || !strings.Contains(string(a.Body), text) || strings.Contains(string(a.Body), "13800138000") {
		l.Errorf("%s: %d %s %v, wanted %d with %s", action, a.Status, a.Body, err, status, text)
	}
	if status == 400 && l.w.Calls() != before {
		l.Error("WeChat was asked")
	}
	if n := l.w.CallsTo(phonePath); n != l.exchanges {
		l.Errorf("%s: %d exchanges, wanted %d", action, n, l.exchanges)
	}
}

// wantNumber demands the number in the token, nil for none.
func (l *phoneLogins) wantNumber(ticket *hubtest.Ticket, want any) {
	l.Helper()
	v, err := ticket.Poll(l.ctx, l.nodes[1].URL, 0, 0)
	if err != nil || v.State != "confirmed" {
		l.Fatalf("%+v %v", v, err)
	}
	claims, _, err := verifyToken(l.ctx, l.nodes[0].URL, v.Token)
	if err != nil || claims["phone_number"] != want || (claims["phone_number_verified"] == true) != (want != nil) {
		l.Errorf("claims %v %v, wanted %v", claims, err, want)
	}
}

// TestPhoneNumber_Ask: a code is exchanged once, by the user who confirms. The number is in the token,
// masked on the phone, and in no view.
func TestPhoneNumber_Ask(t *testing.T) {
	t.Parallel()
	l := startPhoneLogins(t)
	ask, code := l.open("ask"), l.code()
	l.call("alice", ask, "scan", "", 200, `"phone_number":"ask"`)
	l.call("bob", ask, "confirm", code, 409, "already_scanned")
	l.exchanges++
	l.call("alice", ask, "confirm", code, 200, `"phone_number":"+86138****8000"`)
	l.call("alice", ask, "confirm", code, 200, `"phone_number":"+86138****8000"`) // repeated
	l.call("alice", l.open("ask"), "confirm", strings.Repeat("x", 4097), 400, "phone_code")
	l.exchanges++
	l.call("alice", l.open("ask"), "confirm", code, 422, "code_invalid") // used
	l.wantNumber(ask, "+8613800138000")
	declined, plain := l.open("ask"), l.open("none")
	l.call("alice", declined, "confirm", "", 200, `{"state":"confirmed"}`)
	l.call("alice", plain, "confirm", l.code(), 200, `{"state":"confirmed"}`)
	l.wantNumber(declined, nil)
	l.wantNumber(plain, nil)
}

// TestPhoneNumber_Require: there is no login without a number, and no exchange of a code that cannot
// confirm. Each fault costs one exchange.
func TestPhoneNumber_Require(t *testing.T) {
	t.Parallel()
	l := startPhoneLogins(t)
	must := l.open("must")
	l.call("alice", must, "scan", "", 200, `"phone_number":"require"`)
	l.call("alice", must, "confirm", "", 400, "phone_code")
	for _, c := range []struct {
		fault  wechattest.Fault
		status int
		code   string
	}{{wechattest.Fault{Errcode: 40013}, 502, "provider_misconfigured"}, {wechattest.Fault{Break: wechattest.Reset}, 503, "provider_unavailable"},
		{wechattest.Fault{ForeignWatermark: true}, 503, "provider_unavailable"}, {wechattest.Fault{Errcode: 40001}, 503, "provider_unavailable"}} {
		if l.exchanges == 0 { // the access token is requested first
			l.w.Fail(wechattest.Fault{})
		}
		l.exchanges++
		l.w.Fail(wechattest.Fault{}, c.fault) // after jscode2session
		l.call("alice", must, "confirm", l.code(), c.status, c.code)
		l.w.ClearFaults()
	}
	l.exchanges++
	l.call("alice", must, "confirm", l.code(), 200, "8000")
	l.wantNumber(must, "+8613800138000")
	numbers, wrong := l.open("numbers"), "00"
	if numbers.MatchCode == wrong {
		wrong = "01"
	}
	l.call("alice", numbers, "scan", "", 200, "match_choices")
	l.call("alice", numbers, "confirm", l.code(), 403, "match_failed", wrong)
}
