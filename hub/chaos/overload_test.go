package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// TestOverload_TooManySockets: there are more pages than the nodes accept. Pages that a
// full node refuses come in at another one; connected pages stay.
func TestOverload_TooManySockets(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	nodes := startNodes(t, 3, redis.URL, "MAX_SOCKETS=5")
	s := scenario{nodes: nodes, entry: oneOf(nodes...)}.run(t, logins(t), fault{})
	complete(t, s)
	if s.Closed > 0 || s.Errors > 0 || s.Overloaded == 0 {
		t.Errorf("%d sockets were closed, phones saw %d errors, %d pages were refused", s.Closed, s.Errors, s.Overloaded)
	}
}

func TestOverload_TicketFlood(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	node := startNode(t, redis.URL, "TICKET_TTL=5s", "CONFIRM_TTL=5s")
	w := scenario{nodes: []*hubtest.Node{node}}
	complete(t, w.run(t, 50, fault{})) // warm-up
	before := hubtest.MeasureUsage(t, w.nodes)
	w.leaksLater = true
	total := 5_000 // fewer would not show in the node's heap
	if long() {
		total = 50_000
	}
	s := w.run(t, logins(t), fault{interval: 200 * time.Millisecond, minTimes: 1, maxTimes: 1, inject: func(t *testing.T, _ context.Context) {
		ctx, cancel := hubtest.WithTimeout(5 * time.Minute)
		defer cancel()
		var all sync.WaitGroup
		for worker := range 16 {
			all.Go(func() {
				for i := worker; i < total && !t.Failed(); i += 16 {
					_, err := hubtest.CreateTicket(ctx, node.URL, nil)
					check(t, err)
				}
			})
		}
		all.Wait()
	}})
	complete(t, s)
	if s.Errors > 0 {
		t.Errorf("phones saw %d errors", s.Errors)
	}
	hubtest.AssertNoLeak(t, w.nodes, before)
	hubtest.Eventually(t, 20*time.Second, "the node keeps less than 600 bytes for each ticket, and 64 MiB in all", func() bool {
		now, err := node.Usage()
		return err == nil && now.Heap < before[0].Heap+600*total && now.Resident < before[0].Resident+64<<20
	})
}

func TestOverload_OneAddress(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	node := startNode(t, redis.URL, "RATE_LIMIT=60", "TRUSTED_PROXIES=127.0.0.1")
	w := scenario{nodes: []*hubtest.Node{node}, from: func() string { return fmt.Sprintf("198.51.100.%d", rand.IntN(256)) }}
	s := w.run(t, logins(t), fault{interval: 200 * time.Millisecond, minTimes: 1, inject: func(t *testing.T, ctx context.Context) {
		refused := 0
		for range 500 {
			a, err := hubtest.Request(ctx, "POST", node.URL+"/api/login/tickets", nil, "X-Forwarded-For", "203.0.113.7")
			if err != nil {
				t.Error(err)
				return
			}
			if a.Status == http.StatusTooManyRequests {
				refused++
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

func TestOverload_FileDescriptors(t *testing.T) {
	t.Parallel()
	const files = 128
	redis := hubtest.StartRedis(t)
	node := hubtest.StartNode(t, wrapProgram(t, fmt.Sprint("ulimit -n ", files), program), "REDIS_URL="+redis.URL, "ADMIN_LISTEN=127.0.0.1:"+hubtest.FreePort(t), "TICKET_TTL=10m")
	w := scenario{nodes: []*hubtest.Node{node}}
	complete(t, w.run(t, 50, fault{})) // warm-up
	before := hubtest.MeasureUsage(t, w.nodes)
	w.leaksLater = true
	ctx, cancel := hubtest.WithTimeout(10 * time.Minute)
	defer cancel()
	there := &hubtest.Page{Entry: func() string { return node.URL }}
	if err := there.CreateTicket(ctx); err != nil {
		t.Fatal(err)
	}
	var held sync.WaitGroup
	held.Go(func() { there.Wait(ctx) })
	s := w.run(t, logins(t), fault{interval: time.Second, minTimes: 2, inject: func(t *testing.T, _ context.Context) {
		var greedy []net.Conn
		for range 2 * files {
			if conn, err := net.Dial("tcp", strings.TrimPrefix(node.URL, "http://")); err == nil {
				defer conn.Close()
				greedy = append(greedy, conn)
			}
		}
		for range 10 {
			hubtest.Eventually(t, 8*time.Second, fmt.Sprint("the node answers a new connection beside ", len(greedy), " idle ones"),
				func() bool { return acceptsConnection(node) })
		}
	}})
	complete(t, s)
	_, err := hubtest.NewPhone("there").Retry(ctx, there.Entry, there.Ticket.ID, "confirm")
	check(t, err)
	held.Wait()
	if there.Token == "" || there.Sockets != 1 {
		t.Errorf("the page that was connected all the time: token %q, %d sockets", there.Token, there.Sockets)
	}
	hubtest.AssertNoLeak(t, w.nodes, before)
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
