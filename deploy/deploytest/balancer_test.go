package deploytest_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// balancer is a load balancer with its shipped configuration.
type balancer struct {
	kind string
	path string // of the program; "" if it is installed
	// repeats means that a GET that a node refuses with 503 goes to another node.
	repeats bool
	// problems means that all its own errors are problems (RFC 9457).
	problems bool
	// http2 means that a socket can be a stream of HTTP/2 (RFC 8441).
	http2 bool
	// checks means that it leaves a stopping node only because of its health check, within a second.
	checks bool
	// limits are edits that lower its limits to two requests and one picture.
	limits []string
}

// balancers returns the tested ones: those of Debian, or the one that `task test:traefik` has built.
func balancers() []balancer {
	if path := os.Getenv("TRAEFIK"); path != "" {
		return []balancer{{kind: "traefik", path: path, checks: true, limits: []string{"amount: 2000", "amount: 2", "amount: 100", "amount: 1"}}}
	}
	return []balancer{
		{kind: "nginx", repeats: true, problems: true, limits: []string{"loginhub_address 2000;", "loginhub_address 2;", "loginhub_pictures 100;", "loginhub_pictures 1;"}},
		{kind: "haproxy", repeats: true, problems: true, http2: true, limits: []string{"sc0_conn_cur gt 2000", "sc0_conn_cur gt 2", "sc1_conn_cur gt 100", "sc1_conn_cur gt 1"}},
		{kind: "caddy", repeats: true, checks: true},
	}
}

// forEachBalancer runs the test with each balancer.
func forEachBalancer(t *testing.T, test func(t *testing.T, b balancer)) {
	t.Parallel()
	for _, b := range balancers() {
		t.Run(b.kind, func(t *testing.T) {
			t.Parallel()
			test(t, b)
		})
	}
}

// balanced is two nodes behind a balancer.
type balanced struct {
	url   string // of the balancer
	redis *hubtest.Redis
	nodes []*hubtest.Node
	calls atomic.Int64 // of logInDuring, that have ended
}

// start starts them. edits are pairs of old and new text in the balancer's configuration.
func (b balancer) start(t *testing.T, edits []string, settings ...string) *balanced {
	t.Helper()
	f := &balanced{}
	f.redis, f.nodes = hubtest.StartNodes(t, program, 2, append([]string{"TRUSTED_PROXIES=127.0.0.1"}, settings...)...)
	var hosts []string
	for _, n := range f.nodes {
		hosts = append(hosts, strings.TrimPrefix(n.URL, "http://"))
	}
	f.url = hubtest.StartBalancer(t, cmp.Or(b.path, b.kind), "..", hosts, strings.NewReplacer(edits...).Replace)
	return f
}

// checkOwn checks an error of the balancer itself. If that is no problem, only its status counts.
func (b balancer) checkOwn(a *hubtest.Response, err error, status int, code string) error {
	if err == nil && !b.problems && a.Code == "" && (a.Status == status || a.Status > 501 && status > 501) {
		return nil
	}
	err = hubtest.CheckRefusal(a, err, status, code)
	if err == nil && a.Header.Get("Retry-After") == "" {
		err = errors.New("no Retry-After")
	}
	return err
}

// proxyAnswered reports whether the balancer answered itself because no node was available.
func proxyAnswered(a *hubtest.Response) bool {
	return a.Status >= 500 && a.Code == "" || bytes.Contains(a.Body, []byte("No node answers"))
}

// logInDuring makes users log in through the balancer, atOnce at a time, until fault returns. Each
// call must succeed. With pages, each has a page that must get its token. It returns what the
// pages saw of refused sockets and polls.
func (f *balanced) logInDuring(t *testing.T, ctx context.Context, atOnce int, pages bool, fault func()) (refused []string) {
	t.Helper()
	var done atomic.Bool
	var users sync.WaitGroup
	var mu sync.Mutex
	for i := range atOnce {
		users.Go(func() {
			phone := hubtest.NewPhone(fmt.Sprint("user-", i))
			for !done.Load() && ctx.Err() == nil {
				page := &hubtest.Page{Entry: func() string { return f.url }, Blocked: i%2 == 1, Patient: true}
				if err := f.logIn(ctx, phone, page, pages); err != nil {
					t.Errorf("%v\n%v", err, page.Trace)
				}
				f.calls.Add(3)
				for _, line := range page.Trace {
					if strings.Contains(line, "no socket") || strings.Contains(line, "poll: 50") || strings.Contains(line, "no poll") {
						mu.Lock()
						refused = append(refused, line)
						mu.Unlock()
					}
				}
			}
		})
	}
	fault()
	done.Store(true)
	users.Wait()
	return refused
}

// logIn makes a ticket of the page and logs the phone's user in. With waits the page waits meanwhile.
func (f *balanced) logIn(ctx context.Context, phone *hubtest.Phone, page *hubtest.Page, waits bool) (err error) {
	if page.Ticket, err = hubtest.CreateTicket(ctx, f.url, nil); err != nil {
		return fmt.Errorf("make: %w", err)
	}
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	waited := make(chan error, 1)
	if waits {
		go func() { waited <- page.Wait(ctx) }()
	} else {
		waited <- nil
	}
	for _, action := range []string{"scan", "confirm"} {
		if err := hubtest.CallOK(ctx, phone, f.url, page.Ticket.ID, action); err != nil {
			leave()
			return errors.Join(err, <-waited)
		}
	}
	err = <-waited
	if err == nil && waits && (page.End != "consumed" || page.Token == "" || page.Conflict != "") {
		err = fmt.Errorf("the page ends with %q after %d deliveries", page.End, page.Deliveries)
	}
	return err
}

func TestBalancer_QRFlood(t *testing.T) {
	forEachBalancer(t, func(t *testing.T, b balancer) {
		f := b.start(t, nil)
		ctx := hubtest.Context(t, 60*time.Second)
		ticket := hubtest.MustCreateTicket(t, ctx, f.url)
		var drawn, refusals atomic.Int64
		draw := func(int) error {
			a, err := hubtest.Request(ctx, "GET", ticket.URL(f.url, "qr.png")+"?size=256", nil)
			switch {
			case err != nil:
				return err
			case a.Status == http.StatusOK:
				drawn.Add(1)
			case a.Code == "overloaded" || b.checkOwn(a, nil, http.StatusTooManyRequests, "rate_limited") == nil:
				refusals.Add(1)
			default:
				return fmt.Errorf("QR picture: %d %s", a.Status, a.Body)
			}
			return nil
		}
		f.logInDuring(t, ctx, 4, false, func() {
			for f.calls.Load() < 30 && !t.Failed() {
				hubtest.Parallel(t, 240, 120, draw) // more than may wait at a node, and each is cheap: health checks must be answered
			}
		})
		if drawn.Load() == 0 || refusals.Load() == 0 {
			t.Errorf("%d QR pictures, %d refused", drawn.Load(), refusals.Load())
		}
	})
}

func TestBalancer_FullNodes(t *testing.T) {
	forEachBalancer(t, func(t *testing.T, b balancer) {
		f := b.start(t, nil, "MAX_SOCKETS=4")
		ctx := hubtest.Context(t, 60*time.Second)
		var held atomic.Int64
		open := func(int) error {
			ticket, err := hubtest.CreateTicket(ctx, f.url, nil)
			if err != nil {
				return err
			}
			socket, err := ticket.Dial(ctx, f.url)
			if err == nil {
				held.Add(1)
				t.Cleanup(func() { socket.Conn.CloseNow() })
				return nil
			}
			a, refused := socket.Rejection()
			if a == nil {
				return errors.Join(err, refused)
			}
			return hubtest.CheckRefusal(a, refused, http.StatusServiceUnavailable, "overloaded")
		}
		f.logInDuring(t, ctx, 4, false, func() {
			for f.calls.Load() < 30 && !t.Failed() {
				hubtest.Parallel(t, 60, 10, open)
			}
		})
		if held.Load() != 8 {
			t.Errorf("%d sockets are open", held.Load())
		}
	})
}

func TestBalancer_RedisDown(t *testing.T) {
	forEachBalancer(t, func(t *testing.T, b balancer) {
		f := b.start(t, nil)
		ctx := hubtest.Context(t, 60*time.Second)
		ticket := hubtest.MustCreateTicket(t, ctx, f.url)
		f.redis.Kill()
		for range 5 {
			a, err := hubtest.Request(ctx, "POST", f.url+"/api/login/tickets", nil)
			hubtest.AssertRefusal(t, "a ticket", a, err, http.StatusServiceUnavailable, "store_unavailable")
			poll, err := ticket.PollResponse(ctx, f.url, 0, 0)
			hubtest.AssertRefusal(t, "a poll", poll, err, http.StatusServiceUnavailable, "store_unavailable")
			if err == nil && !b.checks && (proxyAnswered(a) || proxyAnswered(poll)) {
				t.Errorf("the balancer answered instead of the hub: %s %s", a.Body, poll.Body)
			}
			for _, path := range []string{"/", "/api/login/tickets/" + ticket.ID + "/qr.svg"} {
				if a, err := hubtest.Request(ctx, "GET", f.url+path, nil); err != nil || a.Status != http.StatusOK {
					t.Errorf("%s without Redis: %+v %v", path, a, err)
				}
			}
		}
		f.redis.Start(t)
		for _, n := range f.nodes {
			hubtest.Eventually(t, 20*time.Second, "the nodes are ready", func() bool { return n.Get("/readyz") == http.StatusOK })
		}
		hubtest.Eventually(t, 2*time.Second, "the balancer has checked the nodes", func() bool {
			_, err := hubtest.CreateTicket(ctx, f.url, nil)
			return err == nil || !b.checks
		})
		for range 5 { // at once, without a time-out of the balancer
			if _, err := hubtest.CreateTicket(ctx, f.url, nil); err != nil {
				t.Errorf("after Redis is back: %v", err)
			}
		}
	})
}

// TestBalancer_RollingRestart runs the runbook's rolling restart: one node after the other,
// without a pause.
func TestBalancer_RollingRestart(t *testing.T) {
	forEachBalancer(t, func(t *testing.T, b balancer) {
		f := b.start(t, nil, map[bool]string{false: "DRAIN=200ms", true: "DRAIN=2s"}[b.checks])
		ctx := hubtest.Context(t, 120*time.Second)
		began := time.Now()
		refused := f.logInDuring(t, ctx, 8, true, func() {
			for range 3 {
				for _, n := range f.nodes {
					if err := n.Terminate(); err != nil {
						t.Error(err)
					}
					if code, err := n.Wait(time.Minute); code != 0 || err != nil {
						t.Errorf("a node ends with %d, %v:\n%s", code, err, n.Log())
					}
					n.Restart(t)
					if b.checks {
						<-time.After(time.Second) // the documented pause
					}
				}
			}
		})
		if !b.checks && len(refused) > 0 {
			t.Errorf("pages saw %v", refused)
		}
		for _, line := range refused { // a draining node's own answer brings a page back at once
			if !strings.HasSuffix(line, "503 overloaded") && !strings.HasSuffix(line, "got 503") && !strings.HasSuffix(line, "canceled") {
				t.Errorf("a page saw %s", line)
			}
		}
		t.Logf("6 restarts under %.0f calls a second; pages were refused %d times", float64(f.calls.Load())/time.Since(began).Seconds(), len(refused))
	})
}

func TestBalancer_HangingNode(t *testing.T) {
	forEachBalancer(t, func(t *testing.T, b balancer) {
		const callLimit, slack = 11 * time.Second, 3 * time.Second // the time-out of calls
		f := b.start(t, nil)
		ctx := hubtest.Context(t, 60*time.Second)
		if err := f.nodes[0].Stall(); err != nil {
			t.Fatal(err)
		}
		var served, late atomic.Int64
		call := func(int) error {
			began := time.Now()
			a, err := hubtest.Request(ctx, "POST", f.url+"/api/login/tickets", nil)
			if took := time.Since(began); took > callLimit+slack {
				return fmt.Errorf("a call took %v", took)
			}
			if err == nil && a.Status == http.StatusCreated {
				served.Add(1)
				return nil
			}
			late.Add(1)
			return b.checkOwn(a, err, http.StatusServiceUnavailable, "store_unavailable")
		}
		hubtest.Parallel(t, 20, 20, call)
		if served.Load() == 0 || late.Load() == 0 {
			t.Errorf("%d calls were served, %d were not: the node does not hang", served.Load(), late.Load())
		}
		// The balancer has marked the node as failed; nginx tries it once in two seconds at most.
		late.Store(0)
		hubtest.Parallel(t, 40, 20, call)
		if late.Load() > 2 {
			t.Errorf("%d of 40 calls still went to the hanging node", late.Load())
		}
		hubtest.Parallel(t, 4, 4, func(int) error { // the other node serves pages
			if a, err := hubtest.Request(ctx, "GET", f.url+"/", nil); err != nil || a.Status != http.StatusOK {
				return fmt.Errorf("the login page: %+v %w", a, err)
			}
			return nil
		})
	})
}

func TestBalancer_OwnErrors(t *testing.T) {
	forEachBalancer(t, func(t *testing.T, b balancer) {
		f := b.start(t, b.limits)
		ctx := hubtest.Context(t, 60*time.Second)
		ticket := hubtest.MustCreateTicket(t, ctx, f.url)
		a, err := hubtest.Request(ctx, "POST", f.url+"/api/login/tickets", strings.Repeat(" ", 100<<10), "Expect", "100-continue")
		hubtest.AssertRefusal(t, "a large body", a, err, http.StatusRequestEntityTooLarge, "too_large")
		if b.limits != nil {
			b.checkLimits(t, ctx, f, ticket)
		}
		for _, n := range f.nodes {
			n.Kill()
		}
		hubtest.Eventually(t, 10*time.Second, "the limit is free again", func() bool {
			a, err = ticket.PollResponse(ctx, f.url, 0, 0)
			return err == nil && a.Status != http.StatusTooManyRequests
		})
		if err := b.checkOwn(a, err, http.StatusServiceUnavailable, "store_unavailable"); err != nil {
			t.Errorf("a poll without nodes: %v", err)
		}
		a, err = hubtest.Request(ctx, "POST", f.url+"/api/login/tickets", nil)
		if err := b.checkOwn(a, err, http.StatusServiceUnavailable, "store_unavailable"); err != nil {
			t.Errorf("a call without nodes: %v", err)
		}
	})
}

// checkLimits opens two sockets, so that the balancer refuses a third one.
func (b balancer) checkLimits(t *testing.T, ctx context.Context, f *balanced, ticket *hubtest.Ticket) {
	t.Helper()
	for range 2 {
		socket, err := ticket.Dial(ctx, f.url)
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Conn.CloseNow()
	}
	a, err := hubtest.DialRefused(ctx, ticket, f.url)
	if err := b.checkOwn(a, err, http.StatusTooManyRequests, "rate_limited"); err != nil {
		t.Errorf("a third socket: %v", err)
	}
	if a, err := hubtest.Request(ctx, "GET", ticket.URL(f.url, "qr.svg"), nil); err != nil || a.Status != http.StatusOK {
		t.Errorf("a QR picture, which has its own limit: %+v %v", a, err)
	}
}
