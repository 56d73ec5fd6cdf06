package main_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

func TestDrain_ServesWhileStopping(t *testing.T) {
	t.Parallel()
	const drain = 2 * time.Second
	redis := hubtest.StartRedis(t)
	stays := hubtest.StartNode(t, program, "REDIS_URL="+redis.URL)
	stops := hubtest.StartNode(t, program, "REDIS_URL="+redis.URL, "DRAIN=2s")
	ctx := testContext(t, 40*time.Second)
	sockets := openMany(t, ctx, 40, stays.URL, stops.URL)
	polled := make(chan error, 5)
	for range cap(polled) {
		ticket, err := hubtest.CreateTicket(ctx, stops.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			a, err := ticket.PollResponse(ctx, stops.URL, 1, 30)
			if err == nil && !a.Close {
				err = errors.New("no Connection: close, so the browser would return to this node")
			}
			polled <- checkRefusal(a, err, 204, "")
		}()
		if err := waitSubscribed(ctx, redis, stops, ticket.ID); err != nil {
			t.Fatal(err)
		}
	}
	waiting := mustMake(t, ctx, stops.URL)

	if err := stops.Terminate(); err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	for range cap(polled) {
		if err := <-polled; err != nil {
			t.Errorf("a waiting poll: %v", err)
		}
	}
	if took := time.Since(asked); took > drain/2 {
		t.Errorf("the polls were released after %v", took)
	}
	hubtest.Eventually(t, drain/2, "the node is not ready first", func() bool { return stops.Get("/readyz") == 503 })
	if left := len(sockets.pages) - sockets.closedCount(); left < len(sockets.pages)/3 {
		t.Errorf("only %d sockets left after %v", left, time.Since(asked))
	}
	checkDraining(t, ctx, stops, waiting)
	served := make(chan int, 1)
	go func() { served <- loginUntil(t, ctx, stops, asked.Add(drain-300*time.Millisecond)) }()

	first, last := sockets.wait(t, 1012)
	if n := <-served; n < 3 {
		t.Errorf("only %d logins were served while draining", n)
	}
	if last.Sub(first) < drain/2 || last.Sub(asked) > drain+stalledSlack {
		t.Errorf("the sockets were released from %v to %v", first.Sub(asked), last.Sub(asked))
	}
	halfway := 0
	for _, at := range sockets.times {
		if at.Sub(asked) < drain/2 {
			halfway++
		}
	}
	if n := len(sockets.times); halfway < n/5 || halfway > n*4/5 {
		t.Errorf("%d of %d sockets were released in the first half of the time", halfway, n)
	}
	if code, err := stops.Wait(drain + 10*time.Second); code != 0 || err != nil {
		t.Errorf("the node ended with %d %v:\n%s", code, err, stops.Log())
	}
	phone := hubtest.NewPhone("drained")
	for _, p := range sockets.pages[:10] {
		mustCall(t, ctx, phone, stays.URL, p.ID, "confirm")
	}
	reconnectAll(t, ctx, sockets.pages, phone, stays)
}

// checkDraining demands that a stopping node refuses new waiters.
func checkDraining(t *testing.T, ctx context.Context, n *hubtest.Node, ticket *hubtest.Ticket) {
	t.Helper()
	for what, ask := range map[string]func() (*hubtest.Response, error){
		"readyz":              func() (*hubtest.Response, error) { return hubtest.Request(ctx, "GET", n.URL+"/readyz", nil) },
		"a new poll":          func() (*hubtest.Response, error) { return ticket.PollResponse(ctx, n.URL, 0, 20) },
		"a poll without wait": func() (*hubtest.Response, error) { return ticket.PollResponse(ctx, n.URL, 0, 0) },
		"a new socket":        func() (*hubtest.Response, error) { return dialRefused(ctx, ticket, n.URL) },
	} {
		a, err := ask()
		wantRefusal(t, what, a, err, 503, "overloaded")
		if err == nil && !a.Close {
			t.Errorf("%s: no Connection: close", what)
		}
		if err == nil && a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", what)
		}
	}
}

// loginUntil logs in on the stopping node until the moment, with calls that do not wait. It returns
// the number of logins.
func loginUntil(t *testing.T, ctx context.Context, n *hubtest.Node, until time.Time) (served int) {
	for time.Now().Before(until) {
		phone := hubtest.NewPhone("load")
		ticket, err := hubtest.CreateTicket(ctx, n.URL, nil)
		if err != nil {
			t.Errorf("make while draining: %v", err)
			return served
		}
		other, err := hubtest.CreateTicket(ctx, n.URL, nil)
		if err != nil {
			t.Errorf("make while draining: %v", err)
			return served
		}
		for _, step := range []struct {
			what   string
			status int
			ask    func() (*hubtest.Response, error)
		}{
			{"scan", 200, func() (*hubtest.Response, error) { return phone.Do(ctx, n.URL, ticket.ID, "scan", nil) }},
			{"confirm", 200, func() (*hubtest.Response, error) { return phone.Do(ctx, n.URL, ticket.ID, "confirm", nil) }},
			{"ack", 204, func() (*hubtest.Response, error) { return ticket.Ack(ctx, n.URL, 3) }},
			{"reject", 200, func() (*hubtest.Response, error) { return phone.Do(ctx, n.URL, other.ID, "reject", nil) }},
		} {
			a, err := step.ask()
			if err != nil || a.Status != step.status || !a.Close {
				t.Errorf("%s while draining: %+v %v", step.what, a, err)
			}
		}
		served++
	}
	return served
}

func mustMake(t testing.TB, ctx context.Context, url string) *hubtest.Ticket {
	t.Helper()
	ticket, err := hubtest.CreateTicket(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

func TestDrain_RollingRestart(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	one := func() *hubtest.Node { return startMetered(t, "REDIS_URL="+redis.URL, "DRAIN=500ms") }
	nodes := []*hubtest.Node{one(), one()}
	before := hubtest.MeasureUsage(t, nodes)
	ctx := testContext(t, 40*time.Second)
	var pages []*waiter // they wait during the whole restart
	for i := range 12 {
		pages = append(pages, mustOpenWaiter(t, ctx, nodes[i%2].URL, nodes[(i+1)%2].URL))
	}
	phone := hubtest.NewPhone("rolling")
	for i := range nodes {
		next := one()
		if err := nodes[i].Terminate(); err != nil {
			t.Fatal(err)
		}
		for _, p := range pages[i*4 : i*4+4] { // confirmed while the nodes drain
			mustCall(t, ctx, phone, next.URL, p.ID, "scan", "confirm")
		}
		// A released waiter reconnects to the next node.
		parallel(t, len(pages), len(pages), func(j int) error {
			if (j+1)%2 != i {
				return nil // it is on the other node
			}
			return pages[j].reconnect(ctx, next.URL)
		})
		if code, err := nodes[i].Wait(10 * time.Second); code != 0 || err != nil {
			t.Errorf("node %d ended with %d %v", i, code, err)
		}
		nodes[i] = next
	}
	parallel(t, len(pages), 4, func(i int) error {
		p := pages[i]
		if p.seen.State != "confirmed" {
			if err := callOK(ctx, phone, nodes[i%2].URL, p.ID, "confirm"); err != nil {
				return err
			}
			if _, err := p.waitToken(ctx, nodes[0].URL, "sandbox:rolling"); err != nil {
				return err
			}
		}
		if err := checkToken(ctx, nodes[i%2].URL, p.seen.Token, "sandbox:rolling"); err != nil {
			return err
		}
		return p.ackAndClose(ctx, p.seen.Seq)
	})
	hubtest.AssertNoLeak(t, nodes, before) // the new nodes hold as many resources as the old ones did
}

// reconnect waits until the waiter's node releases it and connects to the other node, whose view
// must not be older.
func (p *waiter) reconnect(ctx context.Context, other string) error {
	before := p.seen
	if code := p.socket.Closed(ctx); code != 1012 {
		return fmt.Errorf("closed with %d", code)
	}
	v, err := p.Poll(ctx, other, 0, 0)
	if err != nil {
		return err
	}
	if err := p.attach(ctx, other, v.State); err != nil {
		return err
	}
	if p.seen.Seq < before.Seq {
		return fmt.Errorf("%+v is followed by %+v", before, p.seen)
	}
	return nil
}

func TestDrain_SecondSignal(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	n := hubtest.StartNode(t, program, "REDIS_URL="+redis.URL, "DRAIN=30s")
	ctx := testContext(t, 20*time.Second)
	p := mustOpenWaiter(t, ctx, n.URL, n.URL)
	if err := n.Terminate(); err != nil {
		t.Fatal(err)
	}
	hubtest.Eventually(t, 5*time.Second, "the node drains", func() bool { return n.Get("/readyz") == 503 })
	// The signal is repeated, because one that arrives with the first is merged with it.
	var code int
	hubtest.Eventually(t, 3*time.Second, "the node ends at once", func() (ended bool) {
		n.Terminate()
		var err error
		code, err = n.Wait(10 * time.Millisecond)
		return err == nil
	})
	if code == 0 {
		t.Error("ended with 0, although waiters were left")
	}
	if code := p.socket.Closed(ctx); code != -1 {
		t.Errorf("closed with %d", code)
	}
}
