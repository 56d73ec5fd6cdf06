package main_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// TestDrain_ServesWhileStopping: after SIGTERM the node refuses what waits, and serves what does not
// until its sockets are released. Package hub checks how the releases are spread.
func TestDrain_ServesWhileStopping(t *testing.T) {
	t.Parallel()
	const drain = 6 * time.Second
	redis, nodes := cluster(t, 2, "DRAIN=6s")
	stays, stops := nodes[0], nodes[1]
	ctx := hubtest.Context(t, 40*time.Second)
	closed := make(chan int, 20)
	for range cap(closed) {
		p := mustOpenWaiter(t, ctx, stays.URL, stops.URL)
		go func() { closed <- p.socket.Closed(ctx) }()
	}
	polled := make(chan error, 1)
	polling, waiting := hubtest.MustCreateTicket(t, ctx, stops.URL), hubtest.MustCreateTicket(t, ctx, stops.URL)
	go func() {
		a, err := polling.PollResponse(ctx, stops.URL, 1, 30)
		if err == nil && !a.Close {
			err = errors.New("no Connection: close, so the browser would return to this node")
		}
		polled <- hubtest.CheckRefusal(a, err, 204, "")
	}()
	if err := waitSubscribed(t, ctx, redis, stops, polling.ID); err != nil {
		t.Fatal(err)
	}
	if err := stops.Terminate(); err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	if err := <-polled; err != nil || time.Since(asked) > drain/2 {
		t.Errorf("the waiting poll after %v: %v", time.Since(asked), err)
	}
	hubtest.Eventually(t, drain/2, "the node is not ready first", func() bool { return stops.Get("/readyz") == 503 })
	checkDraining(t, ctx, stops, waiting)
	for i := range cap(closed) {
		if i%3 == 0 && i < cap(closed)/2 {
			loginOnDraining(t, ctx, stops)
		}
		if code := <-closed; code != 1012 {
			t.Errorf("a socket was closed with %d", code)
		}
	}
	if took := time.Since(asked); took < drain/2 {
		t.Errorf("the last socket was released after %v", took)
	}
	if code, err := stops.Wait(time.Minute); code != 0 || err != nil {
		t.Errorf("the node ended with %d %v:\n%s", code, err, stops.Log())
	}
	phone, p := hubtest.NewPhone("drained"), &waiter{Ticket: waiting}
	mustCall(t, ctx, phone, stays.URL, p.ID, "confirm")
	if err := p.attach(ctx, stays.URL, "confirmed"); err != nil {
		t.Error(err)
	}
}

// checkDraining demands that a stopping node refuses new waiters.
func checkDraining(t *testing.T, ctx context.Context, n *hubtest.Node, ticket *hubtest.Ticket) {
	t.Helper()
	for what, ask := range map[string]func() (*hubtest.Response, error){
		"readyz":              func() (*hubtest.Response, error) { return hubtest.Request(ctx, "GET", n.URL+"/readyz", nil) },
		"a new poll":          func() (*hubtest.Response, error) { return ticket.PollResponse(ctx, n.URL, 0, 20) },
		"a poll without wait": func() (*hubtest.Response, error) { return ticket.PollResponse(ctx, n.URL, 0, 0) },
		"a new socket":        func() (*hubtest.Response, error) { return hubtest.DialRefused(ctx, ticket, n.URL) },
	} {
		a, err := ask()
		hubtest.AssertRefusal(t, what, a, err, 503, "overloaded")
		if err == nil && (!a.Close || a.Header.Get("Retry-After") == "") {
			t.Errorf("%s: no Connection: close or no Retry-After: %v", what, a.Header)
		}
	}
}

// loginOnDraining makes every call that does not wait.
func loginOnDraining(t *testing.T, ctx context.Context, n *hubtest.Node) {
	t.Helper()
	phone, ticket, other := hubtest.NewPhone("load"), hubtest.MustCreateTicket(t, ctx, n.URL), hubtest.MustCreateTicket(t, ctx, n.URL)
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
}

func TestDrain_SecondSignal(t *testing.T) {
	t.Parallel()
	n := hubtest.StartNode(t, program, "DRAIN=30s")
	ctx := hubtest.Context(t, 20*time.Second)
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
