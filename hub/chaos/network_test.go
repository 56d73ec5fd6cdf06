package chaos_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// TestNetwork_Faults covers what is between browsers and nodes: middleboxes that break
// WebSockets, lost packets, and pages that misbehave.
func TestNetwork_Faults(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	cases := []faultCase{
		{name: "idle connections cut", parallel: true,
			ways: func(w *scenario) {
				// The shortest idle timeout known from practice is half a minute.
				box := (&hubtest.Middlebox{CutIdle: 25 * time.Second}).Start(t, f.front)
				w.entry, w.phone, w.patience, w.polls, w.rivals = func() string { return box.URL }, f.front, 30*time.Second, -1, -1
			},
			check: keptSockets},
		{name: "30 % of the packets lost", parallel: true, phoneErrors: true,
			ways: func(w *scenario) {
				lossy := hubtest.StartHTTPProxy(t, strings.TrimPrefix(f.front(), "http://"))
				lossy.Loss(0.3)
				w.entry = func() string { return lossy.URL }
			},
			check: func(t *testing.T, s *stats) {
				if s.waited(0.8) < 200*time.Millisecond {
					t.Errorf("four in five tokens came within %v: was anything lost?", s.waited(0.8))
				}
				// One packet in 1,400 is lost six times running, and comes after twelve
				// seconds: node or phone may have given the connection up by then.
				if s.Errors*100 > max(s.Begun, 100) {
					t.Errorf("phones saw %d errors in %d logins", s.Errors, s.Begun)
				}
			}},
		{name: "pages that never read", parallel: true,
			fault: fault{interval: 200 * time.Millisecond, minTimes: 1, inject: func(t *testing.T, _ context.Context) {
				limit, cancel := hubtest.WithTimeout(2 * time.Minute)
				defer cancel()
				var all sync.WaitGroup
				for range 3 {
					all.Go(func() { check(t, checkSlowReader(limit, f.nodes[0])) })
				}
				all.Wait()
			}}},
		{name: "a page that reconnects in a loop", parallel: true,
			fault: fault{interval: 200 * time.Millisecond, minTimes: 1, inject: func(t *testing.T, ctx context.Context) {
				check(t, reconnectInLoop(ctx, f.nodes[0]))
			}}},
	}
	for name, box := range map[string]*hubtest.Middlebox{
		"upgrade answered with 403": {Refuse: 403},
		"upgrade answered with 502": {Refuse: 502},
		"upgrade never answered":    {Swallow: true},
		"sockets cut after 0.5 s":   {CutAfter: 500 * time.Millisecond},
	} {
		box.Start(t, f.front)
		cases = append(cases, faultCase{name: name, parallel: true,
			ways: func(w *scenario) {
				w.entry, w.phone, w.thinkTime, w.polls = func() string { return box.URL }, f.front, 700*time.Millisecond, -1
			},
			check: func(t *testing.T, s *stats) {
				if box.Upgrades.Load() < int64(s.Begun) {
					t.Errorf("only %d of %d pages tried a socket", box.Upgrades.Load(), s.Begun)
				}
			}})
	}
	f.run(t, cases)
}

// viewWithin is how soon another page has its view while a slow reader is stuck. The
// node closes the slow reader only after ten seconds.
const viewWithin = 4 * time.Second

// checkSlowReader opens a socket that sends pings and reads nothing, and a second socket
// on the same ticket. The second must get its views in time, and the node must close the
// first.
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
	closed := make(chan error, 1)
	go func() { closed <- stuck.Flood(ctx) }()
	pause(ctx, time.Second) // until the node's answers fill the buffers
	for _, call := range [][2]string{{"scan", "scanned"}, {"confirm", "confirmed"}} {
		soon, cancel := context.WithTimeout(ctx, viewWithin)
		defer cancel()
		if a, err := hubtest.NewPhone("reader").Do(soon, node.URL, ticket.ID, call[0], nil); err != nil || a.Status != 200 {
			return fmt.Errorf("%s: %v %w", call[0], a, err)
		}
		if _, err := reader.Until(soon, call[1]); err != nil {
			return err
		}
	}
	return <-closed
}

// reconnectInLoop opens sockets of one ticket without closing any. Only the last four
// stay.
func reconnectInLoop(ctx context.Context, node *hubtest.Node) error {
	const dials = 150
	ticket, err := hubtest.CreateTicket(ctx, node.URL, nil)
	if err != nil {
		return err
	}
	closed := make(chan int, dials)
	for range dials {
		socket, err := ticket.Dial(ctx, node.URL)
		for err != nil && socket.HTTP != nil && socket.HTTP.StatusCode == http.StatusServiceUnavailable { // Redis is late on a busy machine
			pause(ctx, 200*time.Millisecond)
			socket, err = ticket.Dial(ctx, node.URL)
		}
		if err != nil {
			return err
		}
		go func() { closed <- socket.Closed(ctx) }()
	}
	for i := range dials {
		if i == dials-4 {
			if a, err := hubtest.NewPhone("looper").Do(ctx, node.URL, ticket.ID, "reject", nil); err != nil || a.Status != 200 {
				return fmt.Errorf("reject: %v %w", a, err)
			}
		}
		want := 4001
		if i >= dials-4 {
			want = 1000
		}
		if code := <-closed; code != want {
			return fmt.Errorf("socket %d of %d is closed with %d, not %d", i, dials, code, want)
		}
	}
	return nil
}
