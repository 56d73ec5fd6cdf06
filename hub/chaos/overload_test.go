package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

func TestOverload_TooManySockets(t *testing.T) {
	t.Parallel()
	const room, beyond = 200, 200
	redis := hubtest.StartRedis(t)
	node := startNode(t, redis.URL, fmt.Sprint("MAX_SOCKETS=", room))
	nodes := []*hubtest.Node{node}
	before := hubtest.MeasureUsage(t, nodes)
	ctx, cancel := hubtest.WithTimeout(90 * time.Second)
	defer cancel()
	inside := make([]*hubtest.Page, room)
	var held sync.WaitGroup
	for i := range inside {
		inside[i] = &hubtest.Page{Entry: func() string { return node.URL }}
		if err := inside[i].CreateTicket(ctx); err != nil {
			t.Fatal(err)
		}
		held.Go(func() { inside[i].Wait(ctx) })
	}
	hubtest.Eventually(t, 20*time.Second, "all have a place", func() bool {
		n, err := node.Stacks("loginhub/hub.(*socket).read")
		return err == nil && n == room
	})
	for i := range beyond {
		if err := checkRejected(ctx, node, i%2 == 0); err != nil {
			t.Fatal(err)
		}
	}
	// Connected pages are served as before.
	for i, page := range inside {
		if _, err := hubtest.NewPhone(fmt.Sprint("inside-", i)).Retry(ctx, page.Entry, page.Ticket.ID, "confirm"); err != nil {
			t.Error(err)
		}
	}
	confirmedAt := time.Now()
	held.Wait()
	sum := &stats{}
	for i, page := range inside {
		sum.count(page, fmt.Sprint("sandbox:inside-", i), confirmedAt)
		if page.Token == "" || page.Sockets != 1 || subjectOf(page.Token) != fmt.Sprint("sandbox:inside-", i) {
			t.Errorf("page %d: token %q, %d sockets", i, page.Token, page.Sockets)
		}
	}
	sum.assert(t, scenario{})
	complete(t, sum)
	complete(t, scenario{nodes: nodes}.run(t, logins(t, 200), 40, fault{}))
	hubtest.AssertNoLeak(t, nodes, before)
}

// checkRejected checks that a full node refuses a page before any upgrade, with
// Retry-After.
func checkRejected(ctx context.Context, node *hubtest.Node, bySocket bool) error {
	ticket, err := hubtest.CreateTicket(ctx, node.URL, nil)
	if err != nil {
		return err
	}
	var a *hubtest.Response
	if bySocket {
		socket, _ := ticket.Dial(ctx, node.URL)
		a, err = socket.Rejection()
	} else {
		a, err = ticket.PollResponse(ctx, node.URL, 1, 5)
	}
	if err != nil || a == nil || a.Status != http.StatusServiceUnavailable || a.Code != "overloaded" || a.Header.Get("Retry-After") == "" {
		return fmt.Errorf("a full node answers %+v, %w", a, err)
	}
	return nil
}

func TestOverload_TicketFlood(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	node := startNode(t, redis.URL, "TICKET_TTL=5s", "CONFIRM_TTL=5s")
	w := scenario{nodes: []*hubtest.Node{node}}
	complete(t, w.run(t, 50, 10, fault{})) // warm-up
	before := hubtest.MeasureUsage(t, w.nodes)
	total := 10_000
	if os.Getenv("CHAOS_LOGINS") != "" {
		total = 50_000
	}
	s := w.run(t, logins(t, 200), 20, fault{interval: 200 * time.Millisecond, minTimes: 1, maxTimes: 1, inject: func(context.Context) {
		ctx, cancel := hubtest.WithTimeout(5 * time.Minute)
		defer cancel()
		var all sync.WaitGroup
		for worker := range 16 {
			all.Go(func() {
				for i := worker; i < total && !t.Failed(); i += 16 {
					if _, err := hubtest.CreateTicket(ctx, node.URL, nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
	}})
	complete(t, s)
	if s.Errors > 0 {
		t.Errorf("phones saw %d errors", s.Errors)
	}
	after := hubtest.MeasureUsage(t, w.nodes)
	if grown := after[0].Resident - before[0].Resident; grown > 64<<20 {
		t.Errorf("%d MiB more than before are resident", grown>>20)
	}
}

func TestOverload_OneAddress(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	node := startNode(t, redis.URL, "RATE_LIMIT=60", "TRUSTED_PROXIES=127.0.0.1")
	w := scenario{nodes: []*hubtest.Node{node}, from: func() string { return fmt.Sprintf("198.51.100.%d", rand.IntN(256)) }}
	s := w.run(t, logins(t, 200), 20, fault{interval: 200 * time.Millisecond, minTimes: 2, inject: func(ctx context.Context) {
		refused := 0
		for range 500 {
			a, err := hubtest.Request(ctx, "POST", node.URL+"/api/login/tickets", nil, "X-Forwarded-For", "203.0.113.7")
			if err != nil {
				t.Error(err)
				return
			}
			if a.Status != http.StatusTooManyRequests {
				continue
			}
			if refused++; a.Header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
		}
		if refused < 400 {
			t.Errorf("only %d of 500 were refused", refused)
		}
	}})
	complete(t, s)
	if s.Errors > 0 {
		t.Errorf("phones saw %d errors", s.Errors)
	}
}

// acceptsConnection reports whether the node answers on a new connection.
func acceptsConnection(node *hubtest.Node) bool {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(node.URL + "/healthz")
	if err == nil {
		r.Body.Close()
	}
	return err == nil
}

func TestOverload_FileDescriptors(t *testing.T) {
	t.Parallel()
	const files = 128
	redis := hubtest.StartRedis(t)
	node := hubtest.StartNode(t, wrapProgram(t, fmt.Sprint("ulimit -n ", files), program), "REDIS_URL="+redis.URL, "ADMIN_LISTEN=127.0.0.1:"+hubtest.FreePort(t), "TICKET_TTL=10m")
	w := scenario{nodes: []*hubtest.Node{node}}
	complete(t, w.run(t, logins(t, 200), 20, fault{}))
	before := hubtest.MeasureUsage(t, w.nodes)
	ctx, cancel := hubtest.WithTimeout(10 * time.Minute)
	defer cancel()
	there := &hubtest.Page{Entry: func() string { return node.URL }}
	if err := there.CreateTicket(ctx); err != nil {
		t.Fatal(err)
	}
	var held sync.WaitGroup
	held.Go(func() { there.Wait(ctx) })
	s := w.run(t, logins(t, 200), 20, fault{interval: time.Second, minTimes: 3, inject: func(context.Context) {
		var greedy []net.Conn
		for range 2 * files {
			if conn, err := net.Dial("tcp", strings.TrimPrefix(node.URL, "http://")); err == nil {
				greedy = append(greedy, conn)
			}
		}
		for range 10 {
			hubtest.Eventually(t, 8*time.Second, "the node answers a new connection beside the idle ones", func() bool { return acceptsConnection(node) })
		}
		for _, conn := range greedy {
			conn.Close()
		}
	}})
	complete(t, s)
	if _, err := hubtest.NewPhone("there").Retry(ctx, there.Entry, there.Ticket.ID, "confirm"); err != nil {
		t.Error(err)
	}
	held.Wait()
	if there.Token == "" || there.Sockets != 1 {
		t.Errorf("the page that was connected all the time: token %q, %d sockets", there.Token, there.Sockets)
	}
	hubtest.AssertNoLeak(t, w.nodes, before)
}
