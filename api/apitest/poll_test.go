package apitest_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/hub"
	"loginhub/hub/hubtest"
)

// pollResult is the result of a poll in the background.
type pollResult struct {
	*answer
	err  error
	took time.Duration
}

// startPoll polls in the background.
func (p *browser) startPoll(t *testing.T, query string) chan pollResult {
	t.Helper()
	ctx := p.s.stepContext(t)
	done := make(chan pollResult, 1)
	go func() {
		begun := time.Now()
		a, err := p.s.send(ctx, "GET", p.path("poll")+"?"+query, nil, p.bearer()...)
		done <- pollResult{a, err, time.Since(begun)}
	}()
	return done
}

// awaitWaiters waits until the node has n waiters.
func (s *testServer) awaitWaiters(t *testing.T, n int) {
	t.Helper()
	hubtest.Eventually(t, stepTimeout, fmt.Sprint(n, " waiters"), func() bool { return s.hub.Waiting() == n })
}

func TestPoll_ImmediateUnlessCurrent(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for state, seq := range seqIn {
		final := state == "consumed" || state == "rejected"
		p := ticketIn(t, s, state)
		for _, query := range []string{"", "after=0", "after=" + fmt.Sprint(seq-1), "after=" + fmt.Sprint(seq+1),
			"after=9007199254740992", "wait=0", "wait=0&after=0", "after=0&wait=55", "more=1"} {
			v := p.poll(t, query).ok(t, http.StatusOK)
			p.forbidToken(v)
			if v["state"] != state || v["seq"] != seq || v["ticket"] != p.id {
				t.Errorf("%s, %s: view %v", state, query, v)
			}
		}
		known := fmt.Sprintf("wait=0&after=%v", seq)
		if a := p.poll(t, known); final {
			a.ok(t, http.StatusOK)
			p.poll(t, fmt.Sprintf("wait=55&after=%v", seq)).ok(t, http.StatusOK)
		} else {
			a.noContent(t)
		}
	}
}

func TestPoll_QueryBounds(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	for _, query := range []string{"wait=56", "wait=-1", "wait=", "wait=x", "wait=1.5", "wait=0x10", "wait=1e1", "wait=1_0",
		"wait=99999999999999999999", "wait=1&wait=2", "wait=+5", "wait=5s", "wait=%20", "wait=٣",
		"after=-1", "after=", "after=x", "after=1.0", "after=99999999999999999999", "after=1&after=1"} {
		t.Run(query, func(t *testing.T) {
			detail := p.poll(t, query).problem(t, 400, "invalid_request")
			if name, _, _ := strings.Cut(query[strings.LastIndex(query, "&")+1:], "="); !strings.Contains(detail, name) {
				t.Errorf("detail %q does not name %s", detail, name)
			}
		})
	}
	for _, query := range []string{"wait=0", "wait=55", "wait=00", "after=07"} {
		p.poll(t, query+"&more").ok(t, http.StatusOK)
	}
}

func TestPoll_Wait(t *testing.T) {
	for query, want := range map[string]time.Duration{
		"after=1":         25 * time.Second,
		"after=1&wait=1":  time.Second,
		"after=1&wait=55": 55 * time.Second,
		"after=1&wait=0":  0,
	} {
		t.Run(query, func(t *testing.T) {
			runSynctest(t, options{}, func(t *testing.T, s *testServer) {
				p := s.createTicket(t, nil)
				end := <-p.startPoll(t, query)
				must(t, end.err)
				end.noContent(t)
				if end.took < want || end.took > want+time.Second/2 {
					t.Errorf("204 after %v, want %v", end.took, want)
				}
				if n := s.hub.Waiting(); n != 0 {
					t.Errorf("%d still wait", n)
				}
			})
		})
	}
}

func TestPoll_Deadline(t *testing.T) {
	runSynctest(t, options{}, func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil)
		advance(100 * time.Second)
		end := <-p.startPoll(t, "after=1&wait=55")
		must(t, end.err)
		v := end.ok(t, http.StatusOK)
		fields(t, v, "ticket", "state", "seq")
		if v["state"] != "expired" || v["seq"] != 2.0 || end.took < 20*time.Second || end.took > 21*time.Second {
			t.Errorf("%v after %v", v, end.took)
		}
	})
}

func TestPoll_ExpiresIn(t *testing.T) {
	runSynctest(t, options{}, func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil)
		for _, left := range []float64{120, 110, 100} {
			requireRange(t, "expires_in", p.view(t)["expires_in"], left, left)
			advance(10 * time.Second)
		}
		s.phone("ann").mustDo(t, p, "confirm")
		first := p.requireState(t, "confirmed", 2)
		advance(29*time.Second + 500*time.Millisecond)
		v := p.requireState(t, "confirmed", 2)
		requireRange(t, "expires_in", v["expires_in"], 31, 31) // 30.5 s, rounded up
		requireRange(t, "token_expires_in", first["token_expires_in"], 300, 300)
		// The token has whole seconds, so up to one second is rounded off.
		requireRange(t, "token_expires_in", v["token_expires_in"], 270, 271)
	})
}

func TestPoll_Disconnect(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	conn, err := s.dial(s.stepContext(t))
	must(t, err)
	fmt.Fprintf(conn, "GET %s?after=1&wait=55 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", p.path("poll"), p.secret)
	s.awaitWaiters(t, 1)
	conn.Close()
	s.awaitWaiters(t, 0)
}

func TestPoll_Draining(t *testing.T) {
	runSynctest(t, options{}, func(t *testing.T, s *testServer) {
		p, q := s.createTicket(t, nil), s.createTicket(t, nil)
		if p.poll(t, "").header.Get("Connection") == "close" {
			t.Error("connections are closed before the drain")
		}
		l := q.dial(t)
		l.expect(t, "pending", 1)
		waiting := p.startPoll(t, "after=1&wait=55")
		synctest.Wait()
		gone := make(chan struct{})
		begun := time.Now()
		go func() {
			s.hub.Drain(s.stepContext(t), 4*time.Second)
			close(gone)
		}()
		end := <-waiting
		must(t, end.err)
		end.noContent(t)
		if end.took > time.Second/2 {
			t.Errorf("the poll was released after %v", end.took)
		}
		for _, ask := range []*answer{p.poll(t, "after=1"), p.tryHandshake(t)} {
			ask.problem(t, 503, "overloaded")
			retryAfter(t, ask, "1")
		}
		s.ask(t, "GET", "/readyz", nil).problem(t, 503, "overloaded")
		s.ask(t, "GET", "/healthz", nil).ok(t, http.StatusOK)
		l.requireClose(t, 1012)
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("the socket was released after %v", took)
		}
		<-gone
		// Other requests are served until the listener closes.
		r := s.createTicket(t, nil)
		s.phone("ann").mustDo(t, r, "scan")
		s.phone("ann").mustDo(t, r, "confirm")
		r.ack(t, 3).noContent(t)
		s.phone("ann").mustDo(t, s.createTicket(t, nil), "reject")
	})
}

// silentMailbox is a mailbox that receives nothing after the node's first two seconds.
type silentMailbox struct {
	hub.Mailbox
	begun time.Time
}

func (m *silentMailbox) Listen(ctx context.Context, node string, subscribed func(), mail func([]byte)) error {
	return m.Mailbox.Listen(ctx, node, subscribed, func(text []byte) {
		if time.Since(m.begun) < 2*time.Second {
			mail(text)
		}
	})
}

func TestPoll_StalledNode(t *testing.T) {
	o := options{hub: func(c *hub.Config) { c.Mailbox = &silentMailbox{c.Mailbox, time.Now()} }}
	runSynctest(t, o, func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil)
		l := p.dial(t)
		l.expect(t, "pending", 1)
		waiting := s.createTicket(t, nil).startPoll(t, "after=1&wait=55")
		end := <-waiting
		must(t, end.err)
		end.problem(t, 503, "store_unavailable")
		for _, a := range []*answer{end.answer, p.poll(t, "after=1"), p.tryHandshake(t), s.ask(t, "GET", "/readyz", nil)} {
			a.problem(t, 503, "store_unavailable")
			retryAfter(t, a, "1")
		}
		l.requireCloseLater(t, 1013)
		s.phone("ann").mustDo(t, p, "confirm") // Redis is available
	})
}
