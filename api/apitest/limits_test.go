package apitest_test

import (
	"net/netip"
	"strconv"
	"testing"
	"time"

	"loginhub/api"
)

func withRateLimit(rate int) options {
	return options{api: func(c *api.Config) {
		c.RateLimit = rate
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}}
}

func TestTicketLimit_RetryAfter(t *testing.T) {
	runSynctest(t, withRateLimit(3), func(t *testing.T, s *testServer) {
		for range 3 {
			s.createTicket(t, nil)
		}
		a := s.ask(t, "POST", ticketsPath, nil, "Origin", site)
		a.problem(t, 429, "rate_limited")
		if a.header.Get("Access-Control-Allow-Origin") != site || a.header.Get("Access-Control-Expose-Headers") != "Retry-After" {
			t.Error("the page cannot read Retry-After")
		}
		wait, err := strconv.Atoi(a.header.Get("Retry-After"))
		if err != nil || wait < 1 || wait > 20 {
			t.Fatalf("Retry-After %q, want up to 20 s", a.header.Get("Retry-After"))
		}
		advance(time.Duration(wait) * time.Second)
		s.createTicket(t, nil)
		s.ask(t, "POST", ticketsPath, nil).problem(t, 429, "rate_limited")
		advance(time.Minute)
		for range 3 {
			s.createTicket(t, nil)
		}
	})
}

func TestTicketLimit_OnlyCreate(t *testing.T) {
	t.Parallel()
	s := start(t, withRateLimit(1))
	p := s.createTicket(t, nil)
	for range 20 {
		p.requireState(t, "pending", 1)
		s.ask(t, "GET", p.path("qr.svg"), nil)
	}
	for range 5 {
		s.phone("ann").mustDo(t, p, "scan")
	}
	p.dial(t).expect(t, "scanned", 2)
}

func TestTicketLimit_RefusedNotCounted(t *testing.T) {
	t.Parallel()
	s := start(t, withRateLimit(1))
	for range 5 {
		s.ask(t, "POST", ticketsPath, "{").problem(t, 400, "invalid_request")
		s.ask(t, "POST", ticketsPath, nil, "Origin", evil).problem(t, 403, "origin_not_allowed")
	}
	s.createTicket(t, nil)
}
