package apitest_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"loginhub/hub/provider"
)

// ticketIn creates a ticket and brings it to the state, with ann as its user.
func ticketIn(t *testing.T, s *testServer, state string) *browser {
	t.Helper()
	p := s.createTicket(t, nil)
	ann := s.phone("ann")
	switch state {
	case "pending":
	case "scanned":
		ann.mustDo(t, p, "scan")
	case "confirmed":
		ann.mustDo(t, p, "scan")
		ann.mustDo(t, p, "confirm")
	case "consumed":
		ann.mustDo(t, p, "scan")
		ann.mustDo(t, p, "confirm")
		p.ack(t, 3).noContent(t)
	case "rejected":
		ann.mustDo(t, p, "scan")
		ann.mustDo(t, p, "reject")
	}
	return p
}

// wantStates is the transition table of the wire contract, without number matching: the
// error for ann, who is the ticket's user, and for bob, who is not; "" is a 200.
var wantStates = []struct {
	state, action string
	ann, bob      string
	next          string // the state after ann's 200; "" if nothing changes
}{
	{"pending", "scan", "", "", "scanned"},
	{"pending", "confirm", "", "", "confirmed"},
	{"pending", "reject", "", "", "rejected"},
	{"scanned", "scan", "", "already_scanned", ""},
	{"scanned", "confirm", "", "already_scanned", "confirmed"},
	{"scanned", "reject", "", "already_scanned", "rejected"},
	{"confirmed", "scan", "ticket_closed", "ticket_closed", ""},
	{"confirmed", "confirm", "", "ticket_closed", ""},
	{"confirmed", "reject", "ticket_closed", "ticket_closed", ""},
	{"consumed", "scan", "ticket_closed", "ticket_closed", ""},
	{"consumed", "confirm", "", "ticket_closed", ""},
	{"consumed", "reject", "ticket_closed", "ticket_closed", ""},
	{"rejected", "scan", "ticket_closed", "ticket_closed", ""},
	{"rejected", "confirm", "ticket_closed", "ticket_closed", ""},
	{"rejected", "reject", "", "ticket_closed", ""},
}

// seqIn is the version of a ticket that ticketIn returns.
var seqIn = map[string]float64{"pending": 1, "scanned": 2, "confirmed": 3, "consumed": 4, "rejected": 3}

func TestPhoneCall_Transitions(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for _, l := range wantStates {
		for name, code := range map[string]string{"ann": l.ann, "bob": l.bob} {
			t.Run(l.state+", "+l.action+" by "+name, func(t *testing.T) {
				p := ticketIn(t, s, l.state)
				a := s.phone(name).do(t, p, l.action)
				if code != "" {
					a.problem(t, 409, code)
					p.requireState(t, l.state, seqIn[l.state])
					return
				}
				done := map[string]string{"scan": "scanned", "confirm": "confirmed", "reject": "rejected"}[l.action]
				if m := a.ok(t, http.StatusOK); m["state"] != done {
					t.Errorf("answered %v, want %s", m, done)
				}
				if l.next == "" {
					p.requireState(t, l.state, seqIn[l.state])
				} else {
					p.requireState(t, l.next, seqIn[l.state]+1)
				}
				// A repeated call gets the same answer.
				s.phone(name).do(t, p, l.action).ok(t, http.StatusOK)
			})
		}
	}
}

func TestPhoneCall_Expired(t *testing.T) {
	lives := map[string]time.Duration{"pending": 2 * time.Minute, "scanned": 2 * time.Minute, "confirmed": time.Minute}
	for from, life := range lives {
		t.Run(from, func(t *testing.T) {
			runSynctest(t, options{}, func(t *testing.T, s *testServer) {
				p := ticketIn(t, s, from)
				advance(life + time.Millisecond)
				for _, action := range []string{"scan", "confirm", "reject"} {
					s.phone("ann").do(t, p, action).problem(t, 410, "ticket_expired")
					s.phone("bob").do(t, p, action).problem(t, 410, "ticket_expired")
				}
				p.ack(t, seqIn[from]).problem(t, 410, "ticket_expired")
				p.cancel(t).problem(t, 410, "ticket_expired")
				v := p.requireState(t, "expired", seqIn[from]+1)
				fields(t, v, "ticket", "state", "seq")
				advance(time.Minute + 2*time.Second) // the record of the expired ticket is gone too
				for _, action := range []string{"scan", "confirm", "reject"} {
					s.phone("ann").do(t, p, action).problem(t, 404, "ticket_not_found")
				}
				p.poll(t, "wait=0").problem(t, 404, "ticket_not_found")
				p.ack(t, seqIn[from]).problem(t, 404, "ticket_not_found")
			})
		})
	}
}

func TestPhoneCall_SameSubjectOtherProvider(t *testing.T) {
	t.Parallel()
	o := &fakeProvider{users: map[string]provider.Identity{
		"one":   {Provider: "wechat", Realm: "wx1", Subject: "o-1"},
		"two":   {Provider: "wechat", Realm: "wx2", Subject: "o-1"},
		"later": {Provider: "wechat", Realm: "wx1", Subject: "o-1", Union: "u-1"}, // the same user, now with a unionid
	}}
	app := &fakeProvider{users: map[string]provider.Identity{"one": {Provider: "app", Realm: "wx1", Subject: "o-1"}}}
	s := start(t, options{providers: map[string]provider.Exchanger{"wechat": o, "app": app}})
	p := s.createTicket(t, nil)
	(&phone{s, "wechat", "one"}).mustDo(t, p, "scan")
	for _, other := range []*phone{{s, "wechat", "two"}, {s, "app", "one"}} {
		for _, action := range []string{"scan", "confirm", "reject"} {
			other.do(t, p, action).problem(t, 409, "already_scanned")
		}
	}
	(&phone{s, "wechat", "later"}).mustDo(t, p, "confirm")
}

func TestPhoneCall_RepeatedScan(t *testing.T) {
	runSynctest(t, options{}, func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil)
		ann := s.phone("ann")
		first := ann.mustDo(t, p, "scan", "user", map[string]any{"nickname": "Ann"})
		requireRange(t, "expires_in", first["expires_in"], 120, 120)
		advance(10 * time.Second)
		second := ann.mustDo(t, p, "scan", "user", map[string]any{"nickname": "Mallory"})
		requireRange(t, "expires_in", second["expires_in"], 110, 110)
		delete(first, "expires_in")
		delete(second, "expires_in")
		if !equal(first, second) {
			t.Errorf("first %v, then %v", first, second)
		}
		if v := p.requireState(t, "scanned", 2); v["user"].(map[string]any)["nickname"] != "Ann" {
			t.Errorf("a repeated scan renames the user: %v", v["user"])
		}
	})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for _, state := range []string{"pending", "scanned", "confirmed", "rejected"} {
		t.Run(state, func(t *testing.T) {
			p := ticketIn(t, s, state)
			var waiting *wsConn // another window of the same browser
			if state != "rejected" {
				waiting = p.dial(t)
				waiting.expect(t, state, seqIn[state])
			}
			for range 2 { // a repeated call gets the same answer
				m := p.cancel(t).ok(t, http.StatusOK)
				if was := m["was"]; m["state"] != "rejected" || (was == "confirmed") != (state == "confirmed") || (was != nil) != (was == "confirmed") {
					t.Errorf("answered %v", m)
				}
			}
			if state == "rejected" {
				return
			}
			v := waiting.expect(t, "rejected", seqIn[state]+1)
			waiting.requireClose(t, 1000)
			fields(t, v, "ticket", "state", "seq", "reason")
			if polled := p.requireState(t, "rejected", seqIn[state]+1); v["reason"] != "cancelled_here" || !equal(polled, v) {
				t.Errorf("the socket received %v, the poll %v", v, polled)
			}
			for _, action := range []string{"scan", "confirm"} {
				a := s.phone("ann").do(t, p, action)
				if a.problem(t, 409, "ticket_closed"); a.object(t)["reason"] != "cancelled_here" {
					t.Errorf("%s afterwards: %s", action, a.body)
				}
			}
			p.ack(t, seqIn[state]).problem(t, 409, "not_confirmed")
		})
	}
}

func TestPhoneCall_NicknameCleaned(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for given, want := range map[string]string{
		"  Ann\t":                       "Ann",
		"A\u0000n\u001bn\u007f":         "Ann",
		"\u202eannA\u2066\u2069\u200f":  "annA",
		"A\u200bn\u2060n\ufeff":         "Ann",
		"line\u2028\u2029break":         "linebreak",
		"👩\u200d👧":                      "👩\u200d👧", // a family emoji needs joiners
		"小明 <b>&amp;</b>":               "小明 <b>&amp;</b>",
		"\u202e\u202d":                  "",
		strings.Repeat("\u202e", 64):    "",
		"private \ue000 use \U000f0000": "private  use",
	} {
		p := s.createTicket(t, nil)
		s.phone("ann").mustDo(t, p, "scan", "user", map[string]any{"nickname": given})
		user, _ := p.requireState(t, "scanned", 2)["user"].(map[string]any)
		if want == "" && user != nil || want != "" && user["nickname"] != want {
			t.Errorf("%q becomes %v, want %q", given, user, want)
		}
	}
}

func TestPhoneCall_LoggedOnce(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := ticketIn(t, s, "consumed")
	p.ack(t, 3).noContent(t)
	s.phone("ann").mustDo(t, p, "confirm")
	for _, state := range []string{"made", "scanned", "confirmed", "consumed"} {
		line := regexp.MustCompile(`"login ` + state + `" .*audit\.ticket=` + regexp.QuoteMeta(p.id[:8]))
		if n := len(line.FindAllString(s.log.String(), -1)); n != 1 {
			t.Errorf("%s is logged %d times", state, n)
		}
	}
	if strings.Contains(s.log.String(), p.id) {
		t.Error("the log contains a whole ticket id")
	}
}
