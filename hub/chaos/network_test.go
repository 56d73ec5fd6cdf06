package chaos_test

import (
	"context"
	"errors"
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
	// The shortest idle timeout known from practice is half a minute.
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
			confirmedAt := time.Now()
			held.Wait()
			if page.Token == "" || page.Sockets != 1 || page.Polls != 0 {
				t.Errorf("token %q after %d sockets and %d polls", page.Token, page.Sockets, page.Polls)
			}
			mu.Lock()
			defer mu.Unlock()
			sum.count(page, "sandbox:slow", confirmedAt)
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
		limit, cancel := hubtest.WithTimeout(2 * time.Minute)
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
}

// errClosedFirst means that the slow reader was closed before the other page had its view.
var errClosedFirst = errors.New("the view came only after the slow reader was closed")

// checkSlowReader checks that a slow reader does not delay another page of its ticket. On
// a busy machine the node may close the slow reader first, so it tries five times.
func checkSlowReader(ctx context.Context, node *hubtest.Node) error {
	err := errClosedFirst
	for i := 0; i < 5 && errors.Is(err, errClosedFirst); i++ {
		err = trySlowReader(ctx, node)
	}
	return err
}

// trySlowReader opens a socket that sends pings and reads nothing, and a second socket on
// the same ticket. While the first is stuck, the second must get its view. The node must
// close the first.
func trySlowReader(ctx context.Context, node *hubtest.Node) error {
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
	select {
	case err := <-closed:
		return err // the limit of pings has ended it before it was stuck
	default:
	}
	received := make(chan error, 1)
	go func() { received <- receive(ctx, node, ticket, reader, "scan", "scanned") }()
	select {
	case err = <-received:
	case err = <-closed:
		return errors.Join(errClosedFirst, err)
	}
	if err == nil {
		err = <-closed
	}
	if err != nil {
		return err
	}
	return receive(ctx, node, ticket, reader, "confirm", "confirmed")
}

// receive makes a phone call and waits for its view on the socket.
func receive(ctx context.Context, node *hubtest.Node, ticket *hubtest.Ticket, reader *hubtest.Socket, action, state string) error {
	phone := hubtest.NewPhone("reader")
	if a, err := phone.Do(ctx, node.URL, ticket.ID, action, nil); err != nil || a.Status != 200 {
		return fmt.Errorf("%s: %v %w", action, a, err)
	}
	_, err := reader.Until(ctx, state)
	return err
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
