package main_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// A stalled node closes its sockets after stalledAfter, spread over stalledDrain. stalledSlack is
// for a busy machine.
const (
	stalledAfter = 5 * time.Second
	stalledDrain = 3 * time.Second
	stalledSlack = 1500 * time.Millisecond
)

// closeCounter opens sockets on a node, and records when and with what code each was closed.
type closeCounter struct {
	pages []*waiter
	all   sync.WaitGroup

	mu    sync.Mutex
	codes map[int]int
	times []time.Time
}

func openMany(t *testing.T, ctx context.Context, n int, createURL, socketURL string) *closeCounter {
	t.Helper()
	c := &closeCounter{codes: map[int]int{}}
	for range n {
		p := mustOpenWaiter(t, ctx, createURL, socketURL)
		c.pages = append(c.pages, p)
		c.all.Go(func() {
			code := p.socket.Closed(ctx)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.codes[code]++
			c.times = append(c.times, time.Now())
		})
	}
	return c
}

// closedCount is the number of sockets closed so far.
func (c *closeCounter) closedCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.times)
}

// wait waits for all sockets and returns the first and the last moment.
func (c *closeCounter) wait(t *testing.T, code int) (first, last time.Time) {
	t.Helper()
	c.all.Wait()
	if c.codes[code] != len(c.pages) {
		t.Errorf("closed with %v, wanted all %d with %d", c.codes, len(c.pages), code)
	}
	slices.SortFunc(c.times, time.Time.Compare)
	return c.times[0], c.times[len(c.times)-1]
}

func TestStalled_RedisBlackHole(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	proxy := hubtest.StartProxy(t, redis)
	other, stalled := startMetered(t, "REDIS_URL="+redis.URL), startMetered(t, "REDIS_URL="+proxy.URL)
	both := []*hubtest.Node{other, stalled}
	before := hubtest.MeasureUsage(t, both)
	ctx := testContext(t, 40*time.Second)
	sockets := openMany(t, ctx, 30, other.URL, stalled.URL)
	polling, err := hubtest.CreateTicket(ctx, other.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	polled := make(chan error, 1)
	go func() {
		a, err := polling.PollResponse(ctx, stalled.URL, 1, 30)
		polled <- checkRefusal(a, err, 503, "store_unavailable")
	}()
	if err := waitSubscribed(ctx, redis, stalled, polling.ID); err != nil {
		t.Fatal(err)
	}

	proxy.Pause()
	lost := time.Now()
	phone := hubtest.NewPhone("elsewhere")
	for _, p := range sockets.pages[:10] { // confirmed while the node receives no messages
		mustCall(t, ctx, phone, other.URL, p.ID, "scan", "confirm")
	}
	hubtest.Eventually(t, stalledAfter+stalledSlack, "the stalled node is not ready", func() bool { return stalled.Get("/readyz") == 503 })
	if age := time.Since(lost); age < stalledAfter-time.Second-stalledSlack/2 {
		t.Errorf("stalled after only %v", age)
	}
	checkStalled(t, ctx, stalled, polling)
	first, last := sockets.wait(t, 1013)
	if from, to := first.Sub(lost), last.Sub(lost); from < 3*time.Second || to > stalledAfter+stalledDrain+stalledSlack {
		t.Errorf("the sockets were closed from %v to %v after Redis stopped", from, to)
	}
	if last.Sub(first) < stalledDrain/2 {
		t.Errorf("all sockets were closed within only %v", last.Sub(first))
	}
	if err := <-polled; err != nil {
		t.Errorf("the waiting poll: %v", err)
	}
	reconnectAll(t, ctx, sockets.pages, phone, other)

	proxy.Resume()
	hubtest.Eventually(t, 10*time.Second, "the node receives messages again", func() bool { return stalled.Get("/readyz") == 200 })
	if err := login(ctx, "again", stalled.URL); err != nil {
		t.Error(err)
	}
	if err := login(ctx, "again", other.URL, stalled.URL, other.URL); err != nil {
		t.Error(err)
	}
	hubtest.AssertNoLeak(t, both, before)
}

// checkStalled demands that a stalled node refuses every call that waits.
func checkStalled(t *testing.T, ctx context.Context, stalled *hubtest.Node, ticket *hubtest.Ticket) {
	t.Helper()
	for what, ask := range map[string]func() (*hubtest.Response, error){
		"readyz":              func() (*hubtest.Response, error) { return hubtest.Request(ctx, "GET", stalled.URL+"/readyz", nil) },
		"a new poll":          func() (*hubtest.Response, error) { return ticket.PollResponse(ctx, stalled.URL, 0, 20) },
		"a poll without wait": func() (*hubtest.Response, error) { return ticket.PollResponse(ctx, stalled.URL, 0, 0) },
		"a new socket":        func() (*hubtest.Response, error) { return dialRefused(ctx, ticket, stalled.URL) },
	} {
		a, err := ask()
		wantRefusal(t, what, a, err, 503, "store_unavailable")
		if err == nil && a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", what)
		}
	}
	if status := stalled.Get("/healthz"); status != 200 {
		t.Errorf("healthz of a stalled node: %d, but a restart would not help", status)
	}
}

// reconnectAll reconnects the browsers to another node. The first ten are confirmed already.
func reconnectAll(t *testing.T, ctx context.Context, pages []*waiter, phone *hubtest.Phone, n *hubtest.Node) {
	t.Helper()
	parallel(t, len(pages), 10, func(i int) error {
		p := pages[i]
		state := "pending"
		if i < 10 {
			state = "confirmed"
		}
		if err := p.attach(ctx, n.URL, state); err != nil {
			return err
		}
		defer p.socket.Conn.CloseNow()
		if state == "pending" {
			if err := callOK(ctx, phone, n.URL, p.ID, "confirm"); err != nil {
				return err
			}
			if _, err := p.nextState(ctx, "confirmed"); err != nil {
				return err
			}
		}
		if err := checkToken(ctx, n.URL, p.seen.Token, "sandbox:"+phone.Name); err != nil {
			return err
		}
		return p.ackAndClose(ctx, p.seen.Seq)
	})
}

func TestStalled_RedisRefusesWrites(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	nodes := []*hubtest.Node{startMetered(t, "REDIS_URL="+redis.URL), startMetered(t, "REDIS_URL="+redis.URL)}
	before := hubtest.MeasureUsage(t, nodes)
	ctx := testContext(t, 40*time.Second)
	phone := hubtest.NewPhone("readonly")
	sockets := openMany(t, ctx, 6, nodes[0].URL, nodes[1].URL)
	mustCall(t, ctx, phone, nodes[0].URL, sockets.pages[0].ID, "confirm")
	if err := redis.Client.ConfigSet(ctx, "min-replicas-to-write", "1").Err(); err != nil {
		t.Fatal(err)
	}
	a, err := hubtest.Request(ctx, "POST", nodes[0].URL+"/api/login/tickets", nil)
	wantRefusal(t, "a new ticket", a, err, 503, "store_unavailable")
	for _, n := range nodes {
		hubtest.Eventually(t, stalledAfter+stalledSlack, "the node is not ready", func() bool { return n.Get("/readyz") == 503 })
		checkStalled(t, ctx, n, sockets.pages[1].Ticket)
	}
	a, err = phone.Do(ctx, nodes[0].URL, sockets.pages[1].ID, "confirm", nil)
	wantRefusal(t, "a confirm that cannot be written", a, err, 503, "store_unavailable")
	sockets.wait(t, 1013)
	if err := redis.Client.ConfigSet(ctx, "min-replicas-to-write", "0").Err(); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		hubtest.Eventually(t, 10*time.Second, "the node is ready again", func() bool { return n.Get("/readyz") == 200 })
	}
	first := sockets.pages[0]
	if err := first.attach(ctx, nodes[0].URL, "confirmed"); err != nil {
		t.Fatal(err)
	}
	if err := first.ackAndClose(ctx, 2); err != nil {
		t.Error(err)
	}
	for i, p := range sockets.pages[1:] {
		if err := p.attach(ctx, nodes[i%2].URL, "pending"); err != nil {
			t.Fatal(err)
		}
		mustCall(t, ctx, phone, nodes[(i+1)%2].URL, p.ID, "confirm")
		v, err := p.waitToken(ctx, nodes[0].URL, "sandbox:readonly")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.ackAndClose(ctx, v.Seq); err != nil {
			t.Error(err)
		}
	}
	hubtest.AssertNoLeak(t, nodes, before)
}
