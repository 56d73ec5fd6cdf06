package apitest_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"loginhub/api"
	"loginhub/hub/client"
	"loginhub/hub/hubtest"
	"loginhub/hub/provider"
)

// until429 sends until the first 429, which must come after exactly limit requests. It
// needs runSynctest: in real time the budget refills while a busy machine sends.
func until429(t *testing.T, limit int, send func(i int) *answer) {
	t.Helper()
	for i := range limit + 1 {
		a := send(i)
		if a.status != http.StatusTooManyRequests {
			continue
		}
		a.problem(t, 429, "rate_limited")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		if i != limit {
			t.Errorf("429 after %d requests, want %d", i, limit)
		}
		return
	}
	t.Fatalf("no 429 after %d requests", limit+1)
}

// untilRefused sends until the first 429. In real time some requests may pass first.
func untilRefused(t *testing.T, send func() *answer) *answer {
	t.Helper()
	for range 1000 {
		if a := send(); a.status == http.StatusTooManyRequests {
			a.problem(t, 429, "rate_limited")
			return a
		}
	}
	t.Fatal("never refused")
	return nil
}

// behindProxy makes a server of runSynctest trust X-Forwarded-For: connections through
// a pipe have no address, so they get that of the trusted proxy.
func behindProxy(o options) options {
	o.wrap = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.RemoteAddr = "127.0.0.1:1"
			next.ServeHTTP(w, r)
		})
	}
	return o
}

// fromAddress returns the header of a request through the trusted proxy, from the i-th
// address.
func fromAddress(i int) []string {
	return []string{forwarded, fmt.Sprintf("203.0.%d.%d", 113+i/250, 1+i%250)}
}

func (f *phone) via(t testing.TB, i int, p *browser, action string, more ...any) *answer {
	t.Helper()
	return f.s.ask(t, "POST", p.path(action), f.body(more...), fromAddress(i)...)
}

func TestLimits_AllRequestsPerAddress(t *testing.T) {
	o, refused := behindProxy(withRateLimit(1)), make(chan api.Refusal, 10)
	limited := o.api
	o.api = func(c *api.Config) {
		limited(c)
		c.Refused = func(r api.Refusal) { refused <- r }
	}
	runSynctest(t, o, func(t *testing.T, s *testServer) {
		until429(t, 600, func(int) *answer {
			return s.ask(t, "GET", "/.well-known/jwks.json", nil, fromAddress(0)...)
		})
		// The limit comes before routing. The page can read Retry-After.
		untilRefused(t, func() *answer { return s.ask(t, "GET", "/nowhere", nil, fromAddress(0)...) })
		a := untilRefused(t, func() *answer { return s.ask(t, "POST", ticketsPath, nil, append(fromAddress(0), "Origin", site)...) })
		if a.header.Get("Access-Control-Allow-Origin") != site || a.header.Get("Access-Control-Expose-Headers") != "Retry-After" {
			t.Errorf("the page cannot read Retry-After: %v", a.header)
		}
		s.ask(t, strings.Repeat("X", 9000), ticketsPath, nil, fromAddress(0)...).problem(t, 429, "rate_limited")
		r := <-refused
		for r.Method == "GET" || r.Method == "POST" {
			r = <-refused
		}
		if r.Method != "other" || r.Code != "rate_limited" {
			t.Errorf("the long method is reported as %.200s", r.Method)
		}
		// A health probe through the same proxy is not limited.
		for _, path := range []string{"/healthz", "/readyz"} {
			if a := s.ask(t, "GET", path, nil, fromAddress(0)...); a.status != http.StatusOK {
				t.Errorf("%s: %d", path, a.status)
			}
		}
		s.createTicket(t, nil, fromAddress(1)...) // another address is not limited
	})
}

func TestLimits_PhoneCallsPerAddress(t *testing.T) {
	o := &fakeProvider{users: map[string]provider.Identity{}}
	for i := range 100 {
		o.users[fmt.Sprint("u", i)] = provider.Identity{Provider: "p", Subject: fmt.Sprint("u", i)}
	}
	to := options{providers: map[string]provider.Exchanger{"p": o}, api: withRateLimit(1).api}
	runSynctest(t, behindProxy(to), func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil, fromAddress(0)...)
		until429(t, 60, func(i int) *answer {
			return (&phone{s, "p", fmt.Sprintf("u%d", i)}).via(t, 0, p, "scan")
		})
		if o.calls() != 60 {
			t.Errorf("the provider was called %d times for 60 calls", o.calls())
		}
		// The limit counts the address, not the ticket.
		(&phone{s, "p", "ann"}).via(t, 1, p, "scan").problem(t, 422, "code_invalid")
	})
}

func TestLimits_PhoneCallsPerUser(t *testing.T) {
	runSynctest(t, behindProxy(withRateLimit(1)), func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil, fromAddress(0)...)
		until429(t, 20, func(i int) *answer { return s.phone("ann").via(t, i, p, "scan") })
		p.requireState(t, "scanned", 2)
		s.phone("bob").via(t, 0, p, "scan").problem(t, 409, "already_scanned")
	})
}

func TestLimits_RefusedCallsPerUser(t *testing.T) {
	runSynctest(t, behindProxy(withRateLimit(1)), func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil, fromAddress(0)...)
		s.phone("ann").via(t, 0, p, "scan").ok(t, 200)
		// The limit of all calls of a user, 20, is larger.
		until429(t, 10, func(i int) *answer {
			a := s.phone("bob").via(t, i, p, "confirm")
			if a.status != 429 {
				a.problem(t, 409, "already_scanned")
			}
			return a
		})
		// Accepted calls do not count.
		q := s.createTicket(t, nil, fromAddress(1)...)
		for i := range 15 {
			s.phone("eve").via(t, i, q, "scan").ok(t, 200)
		}
		s.phone("eve").via(t, 0, p, "confirm").problem(t, 409, "already_scanned")
	})
}

func matching() *client.Client {
	c := demo()
	c.NumberMatching = true
	return c
}

func TestLimits_WrongNumbers(t *testing.T) {
	for _, rate := range []int{1, 0} { // 0 turns off the other limits, not this one
		t.Run(fmt.Sprint("rate ", rate), func(t *testing.T) {
			to := options{clients: []*client.Client{matching()}, api: withRateLimit(rate).api}
			runSynctest(t, behindProxy(to), func(t *testing.T, s *testServer) {
				wrong := 0
				until429(t, 6, func(i int) *answer {
					p := s.createTicket(t, nil, fromAddress(i)...)
					if a := s.phone("mallory").via(t, i, p, "scan"); a.status != 200 {
						return a
					}
					a := s.phone("mallory").via(t, i, p, "confirm", "match", "00") // never one of the numbers
					if a.status != 429 {
						a.problem(t, 403, "match_failed")
						wrong++
					}
					return a
				})
				if wrong != 6 {
					t.Errorf("%d wrong numbers, want 6", wrong)
				}
				// A user who chooses the right number is not limited.
				for i := range 8 {
					p := s.createTicket(t, nil, fromAddress(100+i)...)
					s.phone("ann").via(t, i, p, "scan").ok(t, 200)
					s.phone("ann").via(t, i, p, "confirm", "match", p.match).ok(t, 200)
				}
			})
		})
	}
}

func TestLimits_ConcurrentGuesses(t *testing.T) {
	to := options{clients: []*client.Client{matching()}, api: withRateLimit(1).api}
	runSynctest(t, behindProxy(to), func(t *testing.T, s *testServer) {
		const many = 30
		var pages [many]*browser
		for i := range many {
			pages[i] = s.createTicket(t, nil, fromAddress(i)...)
		}
		for i, p := range pages[:9] {
			s.phone("mallory").via(t, i, p, "scan").ok(t, 200)
		}
		var tried atomic.Int32
		var all sync.WaitGroup
		for i, p := range pages[:9] {
			all.Go(func() {
				body := s.phone("mallory").body("match", "00")
				a, err := s.send(s.stepContext(t), "POST", p.path("confirm"), body, fromAddress(i)...)
				if err == nil && a.status == 403 {
					tried.Add(1)
				}
			})
		}
		all.Wait()
		if n := tried.Load(); n != 6 {
			t.Errorf("%d concurrent guesses were accepted, want 6", n)
		}
	})
}

func TestWaiterLimiter_PerAddress(t *testing.T) {
	t.Parallel()
	s := start(t, options{api: func(c *api.Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		c.MaxWaitersPerAddr = 3
	}})
	polled := make(chan *answer, 1)
	p := s.createTicket(t, nil)
	go func() {
		a, err := s.send(s.stepContext(t), "GET", p.path("poll")+"?after=1&wait=50", nil, append(p.bearer(), fromAddress(0)...)...)
		if err != nil {
			t.Error(err)
		}
		polled <- a
	}()
	hubtest.Eventually(t, stepTimeout, "the poll waits", func() bool { return s.hub.Waiting() == 1 })
	lines := []*wsConn{p.dial(t, fromAddress(0)...), s.createTicket(t, nil).dial(t, fromAddress(0)...)}

	q := s.createTicket(t, nil)
	full := func() bool {
		a := s.ask(t, "GET", q.path("ws"), nil, append(handshake("Sec-WebSocket-Protocol", "loginhub.v1, loginhub.secret."+q.secret), fromAddress(0)...)...)
		if a.status != http.StatusSwitchingProtocols {
			a.problem(t, 429, "rate_limited")
		}
		return a.status == 429
	}
	if !full() {
		t.Fatal("a fourth waiter is admitted")
	}
	q.poll(t, "after=1&wait=50", fromAddress(0)...).problem(t, 429, "rate_limited")
	// A request that does not wait needs no place. Another address has places of its
	// own.
	if a := q.poll(t, "wait=0", fromAddress(0)...); a.status != http.StatusOK {
		t.Errorf("poll without wait: %d", a.status)
	}
	q.dial(t, fromAddress(1)...).expect(t, "pending", 1)
	// A wrong secret takes no place, and a waiter that leaves frees its place.
	for range 10 {
		s.ask(t, "GET", p.path("poll")+"?after=1&wait=5", nil, append(fromAddress(2), "Authorization", "Bearer "+q.secret)...).problem(t, 401, "invalid_secret")
	}
	s.phone("ann").mustDo(t, p, "confirm")
	if a := <-polled; a == nil || a.status != http.StatusOK {
		t.Errorf("the waiting poll: %+v", a)
	}
	for _, l := range lines {
		l.conn.CloseNow()
	}
	hubtest.Eventually(t, stepTimeout, "all places are free", func() bool { return s.hub.Waiting() == 1 })
	for range 20 { // a place is freed once only
		a := q.dial(t, fromAddress(0)...)
		a.expect(t, "pending", 1)
		a.conn.CloseNow()
		hubtest.Eventually(t, stepTimeout, "it has left", func() bool { return s.hub.Waiting() == 1 })
	}
}

func TestLimits_NotKeyedByTicket(t *testing.T) {
	t.Parallel()
	s := start(t, withRateLimit(1))
	p := s.createTicket(t, nil, fromAddress(0)...)
	for i := range 100 { // as many attackers, each from an address of its own
		switch i % 4 {
		case 0:
			s.ask(t, "GET", p.path("poll"), nil, append(fromAddress(1+i), "Authorization", "Bearer "+p.secret[:42]+"A")...)
		case 1:
			s.ask(t, "POST", p.path("scan"), `{"provider":"sandbox","code":"x"}`, fromAddress(1+i)...).problem(t, 422, "code_invalid")
		case 2:
			s.ask(t, "POST", p.path("ack"), `{"seq":1}`, fromAddress(1+i)...).problem(t, 401, "invalid_secret")
		case 3:
			s.ask(t, "GET", p.path("qr.svg"), nil, fromAddress(1+i)...)
		}
	}
	l := p.dial(t, fromAddress(0)...)
	l.expect(t, "pending", 1)
	s.phone("ann").via(t, 200, p, "scan").ok(t, 200)
	s.phone("ann").via(t, 200, p, "confirm").ok(t, 200)
	l.expect(t, "scanned", 2)
	l.expect(t, "confirmed", 3)
}
