package apitest_test

import (
	"strings"
	"testing"
	"time"

	"loginhub/api"
	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/hubtest"
	"loginhub/hub/redisstore"
)

// expectNewAudit checks the audit lines written after the first *seen lines. It waits for
// them, because a line may be written after the answer.
func expectNewAudit(t *testing.T, s *testServer, seen *int, want ...map[string]string) {
	t.Helper()
	var got []map[string]string
	hubtest.Eventually(t, stepTimeout, "audit lines", func() bool {
		got = auditLines(s)[*seen:]
		return len(got) >= len(want)
	})
	*seen += len(got)
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d: %v", len(got), len(want), got)
	}
	for i, fields := range want {
		for name, value := range fields {
			if got[i][name] != value {
				t.Errorf("line %d: %s is %q, want %q (%v)", i, name, got[i][name], value, got[i])
			}
		}
	}
}

// refusedLine returns the audit line of a refused request of the browser at 203.0.113.7.
func refusedLine(action, outcome, client string, p *browser) map[string]string {
	fields := map[string]string{"event": "refused", "action": action, "outcome": outcome, "client": client, "ticket": "", "browser": "203.0.113.7", "who": "", "phone": ""}
	if p != nil {
		fields["ticket"] = p.id[:8]
	}
	return fields
}

func TestAudit_CreateRefused(t *testing.T) {
	o := behindProxy(withRateLimit(1))
	o.hub = func(c *hub.Config) {
		c.KillSwitches, c.Reloadable.Clients = c.Store.(*limitedStore).Store.(*redisstore.Store), []string{"demo"}
	}
	runSynctest(t, o, func(t *testing.T, s *testServer) {
		hubtest.Eventually(t, stepTimeout, "the switches are read", func() bool { return s.hub.CheckEnabled("demo") == nil })
		seen, here := 0, []string{forwarded, "203.0.113.7"}
		s.ask(t, "POST", ticketsPath, nil, append(here, "Origin", "https://evil.example")...).problem(t, 403, "origin_not_allowed")
		expectNewAudit(t, s, &seen, refusedLine("make", "origin_not_allowed", "demo", nil))
		untilRefused(t, func() *answer { return s.ask(t, "POST", ticketsPath, nil, here...) })
		lines := auditLines(s)[seen:]
		seen += len(lines)
		if len(lines) != 2 || lines[0]["event"] != "made" {
			t.Errorf("lines %v", lines)
		}
		for name, value := range refusedLine("make", "rate_limited", "demo", nil) {
			if got := lines[len(lines)-1][name]; got != value {
				t.Errorf("%s is %q, want %q", name, got, value)
			}
		}
		must(t, s.hub.SetEnabled(s.stepContext(t), "demo", false, operator))
		expectNewAudit(t, s, &seen, map[string]string{"event": "switched", "client": "demo", "enabled": "false", "operator": "192.0.2.77", "outcome": "ok"})
		s.ask(t, "POST", ticketsPath, nil, here...).problem(t, 403, "login_disabled")
		expectNewAudit(t, s, &seen, refusedLine("make", "login_disabled", "demo", nil))
		must(t, s.hub.SetEnabled(s.stepContext(t), "demo", true, operator))
		expectNewAudit(t, s, &seen, map[string]string{"event": "switched", "client": "demo", "enabled": "true", "operator": "192.0.2.77", "outcome": "ok"})
		// A flood from one address writes few lines and does not suppress those of another.
		untilRefused(t, func() *answer {
			return s.ask(t, "POST", ticketsPath, nil, append(here, "Origin", "https://evil.example")...)
		})
		if lines := len(auditLines(s)) - seen; lines < 30 || lines > 90 {
			t.Errorf("%d lines for a flood", lines)
		}
		seen = len(auditLines(s))
		s.ask(t, "POST", ticketsPath, nil, forwarded, "198.51.100.1", "Origin", "https://evil.example").problem(t, 403, "origin_not_allowed")
		expectNewAudit(t, s, &seen, map[string]string{"event": "refused", "browser": "198.51.100.1"})
	})
}

func TestAudit_WebLoginRefused(t *testing.T) {
	t.Parallel()
	v := startWebLogin(t, 2*time.Minute, nil)
	p := v.page(t)
	seen, here := len(auditLines(v.testServer)), []string{forwarded, "203.0.113.7"}
	form := "ticket=" + p.id + "&secret=" + p.secret
	for _, c := range []struct {
		form, code, client string
		status             int
		headers            []string
	}{
		{form, "origin_not_allowed", "demo", 403, []string{"Origin", "https://evil.example"}},
		{"ticket=" + p.id + "&secret=" + strings.Repeat("A", 43), "invalid_secret", "", 401, nil},
	} {
		v.postForm(t, c.form, append(here, c.headers...)...).problem(t, c.status, c.code)
		expectNewAudit(t, v.testServer, &seen, refusedLine("qrconnect", c.code, c.client, p))
	}
	v.postForm(t, "ticket=x&secret=x", here...).problem(t, 404, "ticket_not_found") // the ticket is malformed, so there is no line
	expectNewAudit(t, v.testServer, &seen)

	v.callback(t, "short", "ann").requirePage(t, 403, "state_invalid")
	v.callback(t, strings.Repeat("A", 43), "ann").requirePage(t, 403, "state_invalid")
	expectNewAudit(t, v.testServer, &seen, refusedLine("callback", "state_invalid", "", nil), refusedLine("callback", "state_invalid", "", nil))
	// An attacker's link in another user's browser: the line names the ticket of the
	// link and the address of that browser.
	state := v.startLogin(t, p)
	v.callback(t, state, "ann", "Cookie", "", forwarded, "198.51.100.9").requirePage(t, 403, "state_foreign")
	foreign := refusedLine("callback", "state_foreign", "demo", p)
	foreign["browser"] = "198.51.100.9"
	expectNewAudit(t, v.testServer, &seen, foreign)
	cookie, _, _ := strings.Cut(v.cookie, "=")
	v.callback(t, state, "ann", "Cookie", cookie+"=forged").requirePage(t, 403, "state_foreign")
	expectNewAudit(t, v.testServer, &seen, refusedLine("callback", "state_foreign", "demo", p))
	// A request that reaches the hub writes one line, that of the hub.
	v.callback(t, v.startLogin(t, p), "code").requirePage(t, 422, "code_invalid")
	expectNewAudit(t, v.testServer, &seen, map[string]string{"event": "refused", "action": "confirm", "outcome": "code_invalid", "ticket": p.id[:8]})
	v.callback(t, v.startLogin(t, p), "ann")
	expectNewAudit(t, v.testServer, &seen, map[string]string{"event": "confirmed", "who": "wechat:wx1:o-ann"})
	must(t, v.hub.SetEnabled(v.stepContext(t), "demo", false, operator))
	seen++
	v.postForm(t, form, here...).problem(t, 403, "login_disabled")
	expectNewAudit(t, v.testServer, &seen, refusedLine("qrconnect", "login_disabled", "demo", p))
}

func TestAudit_WebLoginLimited(t *testing.T) {
	t.Parallel()
	v := startWebLogin(t, 2*time.Minute, func(c *api.Config) { c.RateLimit = 1 })
	p := v.page(t)
	form, here := "ticket="+p.id+"&secret="+p.secret, []string{forwarded, "203.0.113.7"}
	untilRefused(t, func() *answer { return v.postForm(t, form, here...) })
	seen := 1 // the created ticket
	expectNewAudit(t, v.testServer, &seen, refusedLine("qrconnect", "rate_limited", "demo", p))
}

func TestAudit_LimitAndKillSwitch(t *testing.T) {
	t.Parallel()
	c := demo()
	c.AddressMismatch = client.MismatchRefuse
	s := start(t, options{clients: []*client.Client{c},
		hub: func(c *hub.Config) {
			c.KillSwitches, c.Reloadable.Clients = c.Store.(*redisstore.Store), []string{"demo"}
		},
		api: func(a *api.Config) {
			trustLocalProxy(a)
			a.RateLimit = 1
		}})
	hubtest.Eventually(t, stepTimeout, "the switches are read", func() bool { return s.hub.CheckEnabled("demo") == nil })
	p, seen := s.createTicket(t, nil, forwarded, "203.0.113.7"), 1
	short := p.id[:8]
	scan := func(body map[string]any, from string) *answer {
		return s.ask(t, "POST", p.path("scan"), body, forwarded, from)
	}
	ann := func() map[string]any { return s.phone("ann").body() }
	scan(ann(), "198.51.100.9").problem(t, 403, "address_mismatch")
	id, _ := unknownTicket()
	s.ask(t, "POST", ticketsPath+"/"+id+"/scan", ann()).problem(t, 404, "ticket_not_found")
	expectNewAudit(t, s, &seen,
		map[string]string{"event": "refused", "outcome": "address_mismatch", "phone": "198.51.100.9", "browser": "203.0.113.7", "client": "demo"},
		map[string]string{"event": "refused", "outcome": "ticket_not_found", "ticket": id[:8], "client": ""},
	)
	last := func(want map[string]string) {
		t.Helper()
		seen = len(auditLines(s)) - 1
		expectNewAudit(t, s, &seen, want)
	}
	// The limit of an address: the user is not known yet.
	untilRefused(t, func() *answer {
		return scan(map[string]any{"provider": "sandbox", "code": "nonsense"}, "198.51.100.20")
	})
	last(map[string]string{"event": "refused", "action": "scan", "outcome": "rate_limited", "phone": "198.51.100.20", "who": "", "ticket": short})
	// The limit of a user, from the browser's address: the user is known.
	untilRefused(t, func() *answer { return scan(ann(), "203.0.113.7") })
	last(map[string]string{"event": "refused", "action": "scan", "outcome": "rate_limited", "phone": "203.0.113.7", "who": "sandbox:ann", "ticket": short})
	// The kill switch.
	must(t, s.hub.SetEnabled(s.stepContext(t), "demo", false, operator))
	seen = len(auditLines(s))
	s.ask(t, "POST", p.path("scan"), s.phone("bob").body(), forwarded, "203.0.113.8").problem(t, 403, "login_disabled")
	expectNewAudit(t, s, &seen, map[string]string{"event": "refused", "action": "scan", "outcome": "login_disabled", "phone": "203.0.113.8", "who": "", "ticket": short, "client": "demo"})
}
