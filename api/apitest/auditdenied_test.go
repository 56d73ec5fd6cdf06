package apitest_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/hubtest"
)

func TestAudit_DeniedBrowsers(t *testing.T) {
	runSynctest(t, behindProxy(options{api: trustLocalProxy}), func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil)
		seen := len(auditLines(s))
		from := []string{forwarded, "203.0.113.7"}
		stolen, evil := append(from, "Authorization", "Bearer "+strings.Repeat("A", 43)), append(from, "Origin", "https://evil.example")
		wrong := append(from, "Sec-WebSocket-Protocol", "loginhub.v1, loginhub.secret."+strings.Repeat("A", 43))
		for _, c := range []struct {
			action, code string
			status       int
			ask          func() *answer
		}{
			{"poll", "invalid_secret", 401, func() *answer { return s.ask(t, "GET", p.path("poll"), nil, stolen...) }},
			{"ack", "invalid_secret", 401, func() *answer { return s.ask(t, "POST", p.path("ack"), `{"seq":3}`, stolen...) }},
			{"cancel", "invalid_secret", 401, func() *answer { return s.ask(t, "POST", p.path("cancel"), nil, stolen...) }},
			{"socket", "invalid_secret", 401, func() *answer { return p.tryHandshake(t, wrong...) }},
			{"poll", "origin_not_allowed", 403, func() *answer { return p.poll(t, "wait=0", evil...) }},
			{"poll", "origin_not_allowed", 403, func() *answer { return p.poll(t, "wait=9", evil...) }},
			{"ack", "origin_not_allowed", 403, func() *answer { return p.ack(t, 3, evil...) }},
			{"cancel", "origin_not_allowed", 403, func() *answer { return p.cancel(t, evil...) }},
			{"socket", "origin_not_allowed", 403, func() *answer { return p.tryHandshake(t, evil...) }},
		} {
			c.ask().problem(t, c.status, c.code)
			client := map[int]string{401: "", 403: "demo"}[c.status]
			expectNewAudit(t, s, &seen, refusedLine(c.action, c.code, client, p))
		}
		p.ack(t, 3, from...).problem(t, 409, "not_confirmed") // a mistake of the page itself is not audited
		expectNewAudit(t, s, &seen)
		// A flood of wrong secrets writes few lines.
		for range 200 {
			s.ask(t, "GET", p.path("poll"), nil, stolen...)
		}
		if lines := len(auditLines(s)) - seen; lines < 30 || lines > 60 {
			t.Errorf("%d lines for a flood", lines)
		}
	})
}

func TestAudit_TokenReceiver(t *testing.T) {
	t.Parallel()
	s := start(t, options{api: trustLocalProxy})
	p := s.createTicket(t, nil, forwarded, "203.0.113.7")
	socket := p.dial(t, forwarded, "203.0.113.8")
	socket.expect(t, "pending", 1)
	s.phone("ann").mustDo(t, p, "confirm")
	socket.expect(t, "confirmed", 2)
	took := func(event, receiver, seq string) map[string]string {
		return map[string]string{"event": event, "ticket": p.id[:8], "client": "demo", "seq": seq, "who": "sandbox:ann",
			"browser": "203.0.113.7", "receiver": receiver, "outcome": "ok"}
	}
	hubtest.Eventually(t, stepTimeout, "the token's delivery is audited", func() bool { return len(auditLines(s)) == 3 })
	lines := auditLines(s)
	seen := 1 // the created ticket; the order of the other two is not fixed
	if lines[1]["event"] == "confirmed" {
		seen = 2
	}
	lines, seen = lines[seen:seen+1], 3
	for name, value := range took("delivered", "203.0.113.8", "2") {
		if lines[0][name] != value {
			t.Errorf("%s is %q, want %q", name, lines[0][name], value)
		}
	}
	for range 3 { // repeated polls write one line
		p.poll(t, "after=0&wait=0", forwarded, "198.51.100.9").ok(t, 200)
	}
	expectNewAudit(t, s, &seen, took("delivered", "198.51.100.9", "2"))
	socket.send(t, `{"ack":2}`)
	socket.expect(t, "consumed", 3)
	expectNewAudit(t, s, &seen, took("consumed", "203.0.113.8", "3"))

	q := s.createTicket(t, nil)
	s.phone("bob").mustDo(t, q, "confirm")
	if a := q.ack(t, 2, forwarded, "198.51.100.7"); a.status != 204 {
		t.Errorf("ack: %d %s", a.status, a.body)
	}
	seen += 2
	expectNewAudit(t, s, &seen, map[string]string{"event": "consumed", "receiver": "198.51.100.7"})
}

// fullAudit is an audit log that can be made full; otherwise it writes to the log.
type fullAudit struct {
	slog.Handler
	full atomic.Bool
}

func (a *fullAudit) Reserve() bool { return !a.full.Load() }
func (a *fullAudit) Release(bool)  {}
func (a *fullAudit) Stalled() bool { return false }

func (a *fullAudit) Write(line slog.Record, held bool) {
	if held || !a.full.Load() {
		_ = a.Handle(context.Background(), line)
	}
}

func TestAudit_RequiredAnswersOverloaded(t *testing.T) {
	audit, site := &fullAudit{}, demo()
	site.Secret = hashOf(rpSecret)
	o := options{clients: []*client.Client{site}, api: trustLocalProxy,
		hub: func(c *hub.Config) { audit.Handler, c.Audit, c.AuditRequired = c.Log.Handler(), audit, true }}
	runSynctest(t, o, func(t *testing.T, s *testServer) {
		p, q := s.createTicket(t, nil), s.createTicket(t, nil)
		s.phone("ann").mustDo(t, p, "scan")
		s.phone("eve").mustDo(t, q, "confirm")
		audit.full.Store(true)
		refusals := map[string]*answer{"make": s.ask(t, "POST", ticketsPath, nil), "ack": q.ack(t, 2), "cancel": q.cancel(t), "exchange": s.redeemCode(t, "demo", q.id+"."+q.secret)}
		for _, action := range []string{"scan", "confirm", "reject", "dispute"} {
			refusals[action] = s.phone("ann").do(t, p, action)
		}
		for what, a := range refusals {
			a.problem(t, 503, "overloaded")
			if a.header.Get("Retry-After") != "2" {
				t.Errorf("%s: Retry-After %q", what, a.header.Get("Retry-After"))
			}
		}
		p.requireState(t, "scanned", 2) // nothing has changed, and views are still served
		audit.full.Store(false)
		s.phone("ann").mustDo(t, p, "confirm")
		audit.full.Store(true)
		advance(time.Minute + time.Millisecond) // the end of the ticket must be audited
		s.ask(t, "POST", p.path("remember"), nil, p.bearer()...).problem(t, 503, "overloaded")
	})
}

func TestAudit_RequiredEndsWebsiteLogin(t *testing.T) {
	eachWebLogin(t, 2*time.Second, func(t *testing.T, v *webLogin) {
		p := v.page(t)
		state := v.startLogin(t, p)
		v.audit.full.Store(true)
		v.callback(t, state, "ann").requirePage(t, 503, "overloaded")
		var last *answer // when the ticket expires, its end must be audited
		hubtest.Eventually(t, stepTimeout, "a form is refused", func() bool {
			last = v.postForm(t, "ticket="+p.id+"&secret="+p.secret)
			return last.status == 503
		})
		last.problem(t, 503, "overloaded")
	})
}
