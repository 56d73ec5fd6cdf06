package apitest_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"loginhub/hub/provider"
)

// guarded returns options with a rate limit and a provider whose only user is ann.
func guarded(rate int) (options, *fakeProvider) {
	o := &fakeProvider{users: map[string]provider.Identity{"ann": {Provider: "p", Subject: "ann"}}}
	return options{providers: map[string]provider.Exchanger{"p": o}, api: withRateLimit(rate).api}, o
}

// sendInvented sends invented codes from 20 goroutines and returns how many were
// answered with 422.
func sendInvented(t *testing.T, s *testServer, many int, to func(i int) *browser, from ...string) (asked int) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	for worker := range 20 {
		all.Go(func() {
			for i := worker; i < many; i += 20 {
				a, err := s.send(s.stepContext(t), "POST", to(i).path("scan"), map[string]any{"provider": "p", "code": fmt.Sprintf("p:x:%s:%d", from, i)}, from...)
				if err != nil || a.status != 422 && a.status != 429 {
					t.Errorf("%+v %v", a, err)
				} else if a.status == 422 {
					mu.Lock()
					asked++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return asked
}

func TestCodeGuard_InventedCodes(t *testing.T) {
	to, o := guarded(600)
	runSynctest(t, behindProxy(to), func(t *testing.T, s *testServer) { // without refill: the clock does not advance
		p, q := s.createTicket(t, nil, fromAddress(0)...), s.createTicket(t, nil, fromAddress(0)...)
		if asked := sendInvented(t, s, 60, func(int) *browser { return p }, fromAddress(1)...); asked != 10 || o.calls() != asked {
			t.Errorf("%d provider calls and %d answers 422, want 10 for 60 codes on one ticket", o.calls(), asked)
		}
		ann := &phone{s, "p", "ann"}
		ann.via(t, 1, q, "scan").ok(t, 200) // another ticket from the same address
		ann.via(t, 2, p, "scan").ok(t, 200) // the same ticket from another address
		ann.via(t, 2, p, "confirm").ok(t, 200)

		before, pages := o.calls(), make([]*browser, 40)
		for i := range pages {
			pages[i] = s.createTicket(t, nil, fromAddress(0)...)
		}
		sendInvented(t, s, 120, func(i int) *browser { return pages[i%40] }, fromAddress(3)...)
		if asked := o.calls() - before; asked != 60 {
			t.Errorf("%d provider calls for 120 codes on 40 tickets, want 60", asked)
		}
		ann.via(t, 4, pages[0], "scan").ok(t, 200)

		before = o.calls()
		for i := range 30 { // a /48 has eight times the limit of a /64
			sendInvented(t, s, 20, func(j int) *browser { return pages[j%40] }, forwarded, fmt.Sprintf("2001:db8:1:%x::1", i))
		}
		if asked := o.calls() - before; asked != 480 {
			t.Errorf("%d provider calls for one /48, want 480", asked)
		}
	})
}

func TestCodeGuard_GoodCodesCostNothing(t *testing.T) {
	runSynctest(t, withRateLimit(600), func(t *testing.T, s *testServer) {
		for range 80 { // more codes than an address may guess
			p := s.createTicket(t, nil)
			s.phone("ann").mustDo(t, p, "scan")
			s.phone("ann").mustDo(t, p, "confirm")
		}
	})
}

func TestCodeGuard_BudgetComesBack(t *testing.T) {
	runSynctest(t, withRateLimit(600), func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil)
		for i := range 10 {
			s.ask(t, "POST", p.path("scan"), map[string]any{"provider": "sandbox", "code": fmt.Sprint("no", i)}).problem(t, 422, "code_invalid")
		}
		a := s.ask(t, "POST", p.path("scan"), s.phone("ann").body())
		wait, err := strconv.Atoi(a.header.Get("Retry-After"))
		if err != nil || wait < 1 || wait > 6 {
			t.Errorf("Retry-After %q: %s", a.header.Get("Retry-After"), a.body)
		}
		advance(time.Duration(wait) * time.Second)
		s.phone("ann").mustDo(t, p, "scan")
	})
}

func TestCodeGuard_DeadCodes(t *testing.T) {
	t.Parallel()
	for _, rate := range []int{0, 600} {
		to, o := guarded(rate)
		s := start(t, to)
		p, q := s.createTicket(t, nil, fromAddress(0)...), s.createTicket(t, nil, fromAddress(0)...)
		dead := map[string]any{"provider": "p", "code": "p:x:dead"}
		for i := range 5 {
			s.ask(t, "POST", p.path("scan"), dead, fromAddress(i)...).problem(t, 422, "code_invalid")
			s.ask(t, "POST", q.path("confirm"), dead, fromAddress(i)...).problem(t, 422, "code_invalid")
		}
		if o.calls() != 1 {
			t.Errorf("with %d: the provider was called %d times for one dead code", rate, o.calls())
		}
		// Only a refused code is remembered. After other errors the provider is called
		// again.
		o.exchange = func(ctx context.Context, name string) (provider.Identity, error) {
			return provider.Identity{}, provider.ErrProviderUnavailable
		}
		busy := map[string]any{"provider": "p", "code": "p:x:busy"}
		for range 2 {
			s.ask(t, "POST", p.path("scan"), busy, fromAddress(0)...).problem(t, 503, "provider_unavailable")
		}
		if o.calls() != 3 {
			t.Errorf("with %d: an unavailable provider is not called again", rate)
		}
	}
}
