package apitest_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"loginhub/api"
	"loginhub/hub/trace"
)

// TestRequestID_FromTraceparent: only a well-formed traceparent gives the id (W3C Trace
// Context, section 3.2), which is in the log, the header and, by problem, in the error.
func TestRequestID_FromTraceparent(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	const id, rest = "4bf92f3577b34da6a3ce929d0e0e4736", "-00f067aa0ba902b7-01"
	for _, c := range []struct {
		parents []string
		taken   bool
	}{
		{[]string{"00-" + id + rest}, true},
		{[]string{"cc-" + id + rest + "-later"}, true}, // of a later version
		{nil, false},
		{[]string{id}, false},
		{[]string{"00-" + id + rest + "-later"}, false},
		{[]string{"cc-" + id + rest + "later"}, false},
		{[]string{"ff-" + id + rest}, false},
		{[]string{"0x-" + id + rest}, false},
		{[]string{"00-" + strings.ToUpper(id) + rest}, false},
		{[]string{"00-" + strings.Repeat("0", 32) + rest}, false},
		{[]string{"00-" + id + "-0000000000000000-01"}, false},
		{[]string{"00-" + id + "-00f067aa0ba902b7-0g"}, false},
		{[]string{"00-" + id[:31] + "\"" + rest}, false},
		{[]string{"00-" + id + rest, "00-" + id + rest}, false},
	} {
		var headers []string
		for _, p := range c.parents {
			headers = append(headers, "Traceparent", p)
		}
		a := s.ask(t, "POST", ticketsPath, map[string]string{"client_id": "nobody"}, headers...)
		a.problem(t, 400, "invalid_request")
		if got := a.header.Get("X-Request-Id"); (got == id) != c.taken {
			t.Errorf("%q gives %q", c.parents, got)
		}
	}
	a := (&phone{s, "sandbox", "x"}).do(t, s.createTicket(t, nil), "scan")
	got := a.header.Get("X-Request-Id")
	if lines := strings.Count(s.log.String(), "request_id="+got); lines == 0 {
		t.Errorf("no line of the request %s:\n%s", got, s.log.String())
	}
}

// TestAccessLog_Lines: a line names the route, not what was in its place, and what a caller
// chooses is bounded.
func TestAccessLog_Lines(t *testing.T) {
	t.Parallel()
	lines := &logBuffer{}
	share := 1.0
	s := start(t, options{api: func(c *api.Config) {
		c.Access = api.AccessLog{Log: slog.New(trace.LogHandler(slog.NewTextHandler(lines, nil))), Share: share}
	}})
	p := s.createTicket(t, nil)
	s.ask(t, "GET", p.path("poll")+"?after=1&wait=0&secret=hush", nil, "Authorization", "Bearer "+p.secret, "User-Agent", "Kite\t/1\x80 "+strings.Repeat("x", 1000))
	s.ask(t, "INVENTED", "/hush", nil)
	s.ask(t, "GET", "/healthz", nil)
	got := lines.String()
	for _, want := range []string{
		"msg=access method=POST route=/api/login/tickets status=201 bytes=",
		" client=demo addr=127.0.0.1 ",
		"method=GET route=/api/login/tickets/:ticket/poll status=204 bytes=0 took=",
		"user_agent=\"Kite/1 xxx",
		"method=other route=other status=404",
		"code=not_found",
		" request_id=",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	for _, hidden := range []string{p.id, p.secret, "hush", "INVENTED", strings.Repeat("x", 257), "/healthz"} {
		if strings.Contains(got, hidden) {
			t.Errorf("%q in\n%s", hidden, got)
		}
	}
}

// TestAccessLog_FailuresAlways: a share leaves out answers below 500 only.
func TestAccessLog_FailuresAlways(t *testing.T) {
	t.Parallel()
	lines := &logBuffer{}
	s := start(t, options{unready: true, redis: "redis://127.0.0.1:1/0", api: func(c *api.Config) {
		c.Access = api.AccessLog{Log: slog.New(slog.NewTextHandler(lines, nil))}
	}})
	s.ask(t, "GET", "/", nil)
	s.ask(t, "POST", ticketsPath, nil).problem(t, http.StatusServiceUnavailable, "store_unavailable")
	if got := lines.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "status=503 ") || !strings.Contains(got, "code=store_unavailable") {
		t.Errorf("lines:\n%s", got)
	}
}
