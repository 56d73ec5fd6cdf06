package chaos_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

func TestNetwork_BrokenWebSockets(t *testing.T) {
	t.Parallel()
	for name, box := range map[string]*hubtest.Middlebox{
		"the upgrade is answered with 403":              {Refuse: 403},
		"the upgrade is answered with 502":              {Refuse: 502},
		"the upgrade is taken and never answered":       {Swallow: true},
		"a proxy cuts every socket after half a second": {CutAfter: 500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := hubtest.StartRedis(t)
			nodes := startNodes(t, 3, redis.URL)
			proxy := front(t, nodes...)
			box.Start(t, proxy)
			w := scenario{nodes: nodes, entry: func() string { return box.URL }, phone: proxy, thinkTime: 700 * time.Millisecond, polls: -1}
			s := w.run(t, logins(t, 200), 60, fault{})
			complete(t, s)
			if s.Errors > 0 {
				t.Errorf("phones saw %d errors", s.Errors)
			}
			if box.Upgrades.Load() < int64(s.Begun) {
				t.Errorf("only %d of %d pages tried a socket", box.Upgrades.Load(), s.Begun)
			}
		})
	}
}

func TestNetwork_IdleTimeout(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	node := startNode(t, redis.URL)
	before := hubtest.MeasureUsage(t, []*hubtest.Node{node})
	// The shortest idle time that is met in the wild is half a minute.
	box := (&hubtest.Middlebox{CutIdle: 25 * time.Second}).Start(t, func() string { return node.URL })
	ctx, cancel := hubtest.WithTimeout(90 * time.Second)
	defer cancel()
	var all sync.WaitGroup
	var mu sync.Mutex
	sum := &stats{}
	for range 20 {
		all.Go(func() {
			page := &hubtest.Page{Entry: func() string { return box.URL }}
			if err := page.CreateTicket(ctx); err != nil {
				t.Error(err)
				return
			}
			var held sync.WaitGroup
			held.Go(func() { page.Wait(ctx) })
			pause(ctx, 52*time.Second)
			if _, err := hubtest.NewPhone("slow").Retry(ctx, func() string { return node.URL }, page.Ticket.ID, "confirm"); err != nil {
				t.Error(err)
			}
			told := time.Now()
			held.Wait()
			if page.Token == "" || page.Sockets != 1 || page.Polls != 0 {
				t.Errorf("token %q after %d sockets and %d polls", page.Token, page.Sockets, page.Polls)
			}
			mu.Lock()
			defer mu.Unlock()
			sum.count(page, "sandbox:slow", told)
		})
	}
	all.Wait()
	sum.assert(t, scenario{})
	complete(t, sum)
	hubtest.AssertNoLeak(t, []*hubtest.Node{node}, before)
}

func TestNetwork_PacketLoss(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	nodes := startNodes(t, 2, redis.URL)
	lossy := hubtest.StartHTTPProxy(t, strings.TrimPrefix(front(t, nodes...)(), "http://"))
	lossy.Loss(0.3)
	s := scenario{nodes: nodes, entry: func() string { return lossy.URL }}.run(t, logins(t, 200), 70, fault{})
	complete(t, s)
	if s.waited(0.8) < 200*time.Millisecond {
		t.Errorf("four in five tokens came within %v: was anything lost?", s.waited(0.8))
	}
	// One packet in 1,400 is lost six times running, and comes after twelve seconds:
	// node or phone may have given the connection up by then.
	if s.Errors*100 > s.Begun {
		t.Errorf("phones saw %d errors in %d logins", s.Errors, s.Begun)
	}
}

func TestNetwork_SlowReaders(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	node := startNode(t, redis.URL)
	s := scenario{nodes: []*hubtest.Node{node}}.run(t, logins(t, 200), 40, fault{interval: 200 * time.Millisecond, minTimes: 2, inject: func(context.Context) {
		limit, cancel := hubtest.WithTimeout(60 * time.Second)
		defer cancel()
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if err := checkSlowReader(limit, node); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}})
	complete(t, s)
	if longest := s.waited(1); longest > 4*time.Second {
		t.Errorf("a page waited %v for its token", longest)
	}
}

// checkSlowReader opens a socket that asks for much and reads nothing, beside a second
// one on the same ticket. While the first is stuck, the second hears everything;
// the first is closed.
func checkSlowReader(ctx context.Context, node *hubtest.Node) error {
	ticket, err := hubtest.CreateTicket(ctx, node.URL, nil)
	if err != nil {
		return err
	}
	stuck, err := hubtest.DialStalled(ctx, node, ticket)
	if err != nil {
		return err
	}
	defer stuck.Close()
	reader, err := ticket.Dial(ctx, node.URL)
	if err != nil {
		return err
	}
	defer reader.Conn.CloseNow()
	closed, full := make(chan error, 1), make(chan struct{})
	go func() { closed <- stuck.Flood(ctx, full) }()
	select {
	case <-full:
	case err := <-closed:
		return err
	}
	phone := hubtest.NewPhone("reader")
	hears := func(action, state string) error {
		if a, err := phone.Do(ctx, node.URL, ticket.ID, action, nil); err != nil || a.Status != 200 {
			return fmt.Errorf("%s: %v %v", action, a, err)
		}
		soon, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		_, err := reader.Until(soon, state)
		return err
	}
	if err := hears("scan", "scanned"); err != nil {
		return fmt.Errorf("beside a page that never reads: %w", err)
	}
	if err := <-closed; err != nil {
		return err
	}
	return hears("confirm", "confirmed")
}

func TestNetwork_ReconnectLoop(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	node := startNode(t, redis.URL)
	const dials = 400
	s := scenario{nodes: []*hubtest.Node{node}}.run(t, logins(t, 200), 20, fault{interval: 200 * time.Millisecond, minTimes: 1, inject: func(ctx context.Context) {
		ticket, err := hubtest.CreateTicket(ctx, node.URL, nil)
		if err != nil {
			t.Error(err)
			return
		}
		replaced, open := make(chan int, dials), 0
		for range dials {
			socket, err := ticket.Dial(ctx, node.URL)
			if err != nil {
				t.Error(err)
				return
			}
			go func() { replaced <- socket.Closed(ctx) }()
		}
		for ; open < dials-4; open++ {
			if code := <-replaced; code != 4001 {
				t.Errorf("closed with %d", code)
			}
		}
		pause(ctx, 200*time.Millisecond)
		if len(replaced) > 0 {
			t.Errorf("%d of the last four sockets are gone too", len(replaced))
		}
		hubtest.NewPhone("looper").Do(ctx, node.URL, ticket.ID, "reject", nil)
		for range 4 {
			if code := <-replaced; code != 1000 {
				t.Errorf("a socket of a rejected ticket is closed with %d", code)
			}
		}
	}})
	complete(t, s)
}
