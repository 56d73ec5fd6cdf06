package apitest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestHardening_JSON(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	// Of duplicate keys the last one counts in all checks: the value that is checked is
	// the value that is used.
	code := s.phone("ann").code()
	s.ask(t, "POST", p.path("scan"), fmt.Sprintf(`{"provider":"nobody","provider":"sandbox","code":"","code":%q,"user":{"nickname":%q},"user":{"nickname":"ann"}}`,
		code, strings.Repeat("x", 65))).ok(t, 200)
	s.ask(t, "POST", p.path("confirm"), fmt.Sprintf(`{"provider":"sandbox","code":%q,"code":"x"}`, s.phone("ann").code())).problem(t, 422, "code_invalid")
	if v := p.requireState(t, "scanned", 2); v["user"].(map[string]any)["nickname"] != "ann" {
		t.Errorf("%v", v)
	}
}

func TestHardening_HeaderInjection(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	const mark = "X-Injected"
	lines := "%0d%0a" + mark + ":%201"
	for _, path := range []string{"/" + lines, "/s/" + lines, "/?client_id=" + lines, "/assets/" + lines, ticketsPath + "/" + lines + "/poll",
		p.path("qr.png") + "?size=" + lines, p.path("poll") + "?after=" + lines} {
		a := s.ask(t, "GET", path, nil, append(p.bearer(), "Origin", site+"%0d%0a"+mark+": 1")...)
		if a.header.Get(mark) != "" || a.status < 400 {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
	}
	// net/http refuses malformed HTTP and closes the connection.
	for name, request := range map[string]string{
		"a bare LF in a value":    "GET /healthz HTTP/1.1\r\nHost: x\r\nOrigin: a\nX-Injected: 1\r\rb\r\n\r\n",
		"NUL in a value":          "GET /healthz HTTP/1.1\r\nHost: x\r\nOrigin: a\x00b\r\n\r\n",
		"two lengths":             "POST " + ticketsPath + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"no host":                 "GET /healthz HTTP/1.1\r\n\r\n",
		"a space before a colon":  "GET /healthz HTTP/1.1\r\nHost: x\r\nOrigin : a\r\n\r\n",
		"a length that is signed": "POST " + ticketsPath + " HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\n{}",
	} {
		a := s.raw(t, request)
		if a.status != http.StatusBadRequest || a.header.Get(mark) != "" {
			t.Errorf("%s: %d %v", name, a.status, a.header)
		}
	}
	s.createTicket(t, nil)
}

func TestHardening_SlowBody(t *testing.T) {
	runSynctest(t, options{}, func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil)
		for name, head := range map[string]string{
			"read body":       "POST " + ticketsPath + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{",
			"read chunks":     "POST " + ticketsPath + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
			"unread body":     "POST " + p.path("scan") + "/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nx",
			"a body of a GET": "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nx",
		} {
			conn, err := s.dial(s.stepContext(t))
			must(t, err)
			began := time.Now()
			go conn.Write([]byte(head))
			var all [4096]byte
			for err == nil {
				_, err = conn.Read(all[:])
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("%s: held for %v", name, took)
			}
			conn.Close()
		}
	})
}
