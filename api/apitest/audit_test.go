package apitest_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// auditLines returns the lines of the audit log, each as its fields.
func auditLines(s *testServer) (all []map[string]string) {
	field := regexp.MustCompile(`audit\.(\w+)=("(?:[^"\\]|\\.)*"|\S*)`)
	for _, line := range strings.Split(s.log.String(), "\n") {
		if !strings.Contains(line, "audit.event=") {
			continue
		}
		m := map[string]string{}
		for _, f := range field.FindAllStringSubmatch(line, -1) {
			m[f[1]] = strings.Trim(f[2], `"`)
		}
		all = append(all, m)
	}
	return all
}

func expectAudit(t *testing.T, s *testServer, want ...map[string]string) {
	t.Helper()
	seen := 0
	expectNewAudit(t, s, &seen, want...)
}

func TestAudit_OneLinePerCall(t *testing.T) {
	t.Parallel()
	s := start(t, options{clients: []*client.Client{matching()}, api: trustLocalProxy})
	p := s.createTicket(t, nil, forwarded, "203.0.113.7")
	call := func(name, action string, more ...any) *answer {
		return s.ask(t, "POST", p.path(action), s.phone(name).body(more...), forwarded, "198.51.100.9")
	}
	call("ann", "scan").ok(t, 200)
	call("ann", "scan").ok(t, 200) // no change, but one line
	call("bob", "confirm", "match", p.match).problem(t, 409, "already_scanned")
	s.ask(t, "POST", p.path("confirm"), `{"provider":"sandbox","code":"nonsense","match":"11"}`).problem(t, 422, "code_invalid")
	call("ann", "confirm", "match", p.match).ok(t, 200)
	p.ack(t, 3, forwarded, "203.0.113.8")
	p.ack(t, 3)
	q := s.createTicket(t, nil)
	s.phone("eve").mustDo(t, q, "scan")
	s.phone("eve").do(t, q, "confirm", "match", "00").problem(t, 403, "match_failed")
	gone := s.createTicket(t, nil, forwarded, "203.0.113.7")
	for range 2 { // the second changes nothing
		gone.cancel(t, forwarded, "203.0.113.8").ok(t, 200)
	}
	short := p.id[:8]
	phone, browser := "198.51.100.9", "203.0.113.7"
	expectAudit(t, s,
		map[string]string{"event": "made", "client": "demo", "ticket": short, "browser": browser, "outcome": "ok", "who": "", "phone": ""},
		map[string]string{"event": "scanned", "ticket": short, "who": "sandbox:ann", "phone": phone, "browser": browser, "outcome": "ok"},
		map[string]string{"event": "repeated", "action": "scan", "ticket": short, "who": "sandbox:ann", "phone": phone, "outcome": "ok", "seq": "2"},
		map[string]string{"event": "refused", "action": "confirm", "ticket": short, "who": "sandbox:bob", "phone": phone, "outcome": "already_scanned"},
		map[string]string{"event": "refused", "action": "confirm", "ticket": short, "who": "", "outcome": "code_invalid"},
		map[string]string{"event": "confirmed", "ticket": short, "who": "sandbox:ann", "phone": phone, "browser": browser, "outcome": "ok", "seq": "3"},
		map[string]string{"event": "consumed", "ticket": short, "who": "sandbox:ann", "browser": browser, "receiver": "203.0.113.8"},
		map[string]string{"event": "made", "ticket": q.id[:8]},
		map[string]string{"event": "scanned", "who": "sandbox:eve"},
		map[string]string{"event": "rejected", "who": "sandbox:eve", "outcome": "match_failed"},
		map[string]string{"event": "made", "ticket": gone.id[:8]},
		map[string]string{"event": "cancelled", "ticket": gone.id[:8], "browser": browser, "caller": "203.0.113.8", "receiver": "", "outcome": "ok"},
	)
	for _, id := range []string{p.id, q.id} {
		if strings.Contains(s.log.String(), id) {
			t.Error("a log line contains a whole ticket id")
		}
	}
}

func TestAudit_UserHash(t *testing.T) {
	t.Parallel()
	s := start(t, options{hub: func(c *hub.Config) {
		c.Reloadable.UserLabel = func(by provider.Identity) string { return by.Provider + ":hmac:x" }
	}})
	p := s.createTicket(t, nil)
	s.phone("annabella").mustDo(t, p, "scan")
	s.phone("barnabas").do(t, p, "confirm").problem(t, 409, "already_scanned")
	for _, name := range []string{"annabella", "barnabas"} {
		if strings.Contains(s.log.String(), name) {
			t.Errorf("the log names %s", name)
		}
	}
	expectAudit(t, s, map[string]string{"who": ""}, map[string]string{"who": "sandbox:hmac:x"}, map[string]string{"who": "sandbox:hmac:x"})
}

func TestAudit_NoInjection(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil, "User-Agent", "Chrome/1 audit.event=made\\n")
	s.ask(t, "POST", p.path("scan"), map[string]any{"provider": "sandbox", "code": "sandbox:x audit.event=confirmed\nlevel=INFO:1"})
	s.ask(t, "POST", p.path("scan"), map[string]any{"provider": "sandbox\nlevel=INFO audit.event=confirmed", "code": "c"})
	for _, line := range auditLines(s) {
		if line["event"] != "made" && line["event"] != "refused" {
			t.Errorf("a forged line: %v", line)
		}
	}
}

// lossyStore loses the answer to a change to confirmed. With retried, the client library
// repeats the call; otherwise the hub gets the error.
type lossyStore struct {
	hub.Store
	retried bool
}

func (l lossyStore) Change(ctx context.Context, all ...ticket.Change) ([]ticket.Outcome, error) {
	out, err := l.Store.Change(ctx, all...)
	switch {
	case err != nil || !all[0].WaitReplicas || !out[0].Done:
		return out, err
	case l.retried:
		return l.Store.Change(ctx, all...)
	}
	return nil, fmt.Errorf("connection reset: %w", ticket.ErrStoreUnavailable)
}

func TestAudit_LostAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		retried bool
		first   int
		events  []map[string]string
	}{
		"client library retries": {true, 200, []map[string]string{
			{"event": "confirmed", "who": "sandbox:ann", "outcome": "ok"}, {"event": "repeated", "who": "sandbox:ann", "action": "confirm"}}},
		"no retry": {false, 503, []map[string]string{
			{"event": "refused", "action": "confirm", "who": "sandbox:ann", "outcome": "store_unavailable"},
			{"event": "repeated", "action": "confirm", "who": "sandbox:ann", "outcome": "ok", "seq": "2"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, options{hub: func(h *hub.Config) { h.Store = lossyStore{h.Store, c.retried} }})
			p := s.createTicket(t, nil)
			if a := s.phone("ann").do(t, p, "confirm"); a.status != c.first {
				t.Errorf("the first confirm: %d %s", a.status, a.body)
			}
			s.phone("ann").mustDo(t, p, "confirm")
			expectAudit(t, s, append([]map[string]string{{"event": "made"}}, c.events...)...)
		})
	}
}
