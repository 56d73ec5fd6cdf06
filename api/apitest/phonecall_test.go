package apitest_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
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

// seqIn is the version of a ticket that ticketIn returns.
var seqIn = map[string]float64{"pending": 1, "scanned": 2, "confirmed": 3, "consumed": 4, "rejected": 3}

// countingProvider counts the exchanges.
type countingProvider struct {
	provider.Exchanger
	calls atomic.Int64
}

func (o *countingProvider) Exchange(ctx context.Context, c provider.Credential) (provider.Identity, error) {
	o.calls.Add(1)
	return o.Exchanger.Exchange(ctx, c)
}

func TestPhoneCall_Expired(t *testing.T) {
	lives := map[string]time.Duration{"pending": 2 * time.Minute, "scanned": 2 * time.Minute, "confirmed": time.Minute}
	for from, life := range lives {
		t.Run(from, func(t *testing.T) {
			o := &countingProvider{Exchanger: sandboxProvider()}
			runSynctest(t, options{providers: map[string]provider.Exchanger{"sandbox": o}}, func(t *testing.T, s *testServer) {
				p := ticketIn(t, s, from)
				before := o.calls.Load()
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
				if n := o.calls.Load() - before; n != 0 {
					t.Errorf("%d codes were exchanged for a dead ticket", n)
				}
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
		first := ann.mustDo(t, p, "scan", "user", map[string]any{"nickname": " \u202eAnn\t"}) // is cleaned
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
				if detail := a.problem(t, 409, "ticket_closed"); a.object(t)["reason"] != "cancelled_here" || !strings.Contains(detail, "cancelled the login") {
					t.Errorf("%s afterwards: %s", action, a.body)
				}
			}
			p.ack(t, seqIn[state]).problem(t, 409, "not_confirmed")
		})
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
