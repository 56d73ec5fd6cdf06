package hub_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"loginhub/hub"
	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

// Redis can lose the last change: a master fails before its replica has it. Then seq
// continues from the older version, and two versions have the same seq.

// soon is far below the first sweep of a slot after 18 seconds: what arrives before did
// not need the sweep.
const soon = 10 * time.Second

// saveRecord returns a function that sets a ticket's record in Redis back to its present
// value.
func saveRecord(t *testing.T, redis *hubtest.Redis, id ticket.ID) (restore func()) {
	t.Helper()
	ctx, key := context.Background(), "loginhub:{"+string(id)+"}"
	record, err := redis.Client.HGet(ctx, key, "rec").Result()
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := redis.Client.HSet(ctx, key, "rec", record).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// onlyProbes drops the updates of tickets.
func onlyProbes(next func([]byte), m []byte) {
	if _, _, update := ticket.DecodeUpdate(m); !update {
		next(m)
	}
}

// waitingBrowser is a browser that waits on a node and has received the first view.
type waitingBrowser struct {
	*testNode
	redis    *hubtest.Redis
	id       ticket.ID
	socket   *hubtest.Socket
	attaches *attachCounter
	nextView func(state string, seq int64) *hubtest.View // reads the next view, which must match
}

func startWaiting(t *testing.T) (p waitingBrowser, ctx context.Context) {
	t.Helper()
	redis := hubtest.StartRedis(t)
	p = waitingBrowser{redis: redis, attaches: &attachCounter{}}
	p.testNode = start(t, options{url: redis.URL, wrap: func(s hub.Store) hub.Store {
		p.attaches.Store = s
		return p.attaches
	}})
	ctx, cancel := hubtest.WithTimeout(soon)
	t.Cleanup(cancel)
	p.id = p.create(t)
	p.socket = p.open(t, ctx, p.id)
	p.nextView = viewReader(t, ctx, p.socket)
	return p, ctx
}

// attachCounter counts the finished attaches.
type attachCounter struct {
	hub.Store
	done atomic.Int64
}

func (a *attachCounter) Attach(ctx context.Context, node string, ids ...ticket.ID) ([]ticket.Stored, error) {
	defer a.done.Add(1)
	return a.Store.Attach(ctx, node, ids...)
}

// viewReader returns a function that reads the next view of a socket, which must match.
func viewReader(t *testing.T, ctx context.Context, socket *hubtest.Socket) func(state string, seq int64) *hubtest.View {
	return func(state string, seq int64) *hubtest.View {
		t.Helper()
		v, err := socket.Next(ctx)
		if err != nil || v.State != state || v.Seq != seq {
			t.Fatalf("view %+v %v; wanted %s, %d", v, err, state, seq)
		}
		return v
	}
}

func TestFailover_ConfirmReplacesLostScan(t *testing.T) {
	t.Parallel()
	for _, delivered := range []bool{true, false} {
		t.Run(map[bool]string{true: "by message", false: "by resync"}[delivered], func(t *testing.T) {
			t.Parallel()
			s, ctx := startWaiting(t)
			restore := saveRecord(t, s.redis, s.id)
			if _, err := s.Scan(ctx, s.phoneCall(s.id, "a")); err != nil {
				t.Fatal(err)
			}
			s.nextView("scanned", 2)
			restore()

			polled := make(chan error, 1) // a second waiter, which has received the scan
			before := s.attaches.done.Load()
			go func() {
				v, _, err := s.Poll(ctx, s.id, 2, soon, anyBrowser)
				polled <- checkToken(v, err)
			}()
			hubtest.Eventually(t, soon, "the poll waits", func() bool { return s.attaches.done.Load() > before })
			if !delivered {
				s.mailbox.set(onlyProbes)
			}
			s.confirm(t, s.id)
			if !delivered {
				s.redis.Client.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub")
			}
			if v := s.nextView("confirmed", 2); v.Token == "" {
				t.Error("no token")
			}
			if err := <-polled; err != nil {
				t.Errorf("long poll: %v", err)
			}
			if err := s.socket.Ack(ctx, 2); err != nil {
				t.Fatal(err)
			}
			s.nextView("consumed", 3)
		})
	}
}

// TestFailover_ScanReplacesLostScan: the browser must not show the user whose scan was
// lost any longer.
func TestFailover_ScanReplacesLostScan(t *testing.T) {
	t.Parallel()
	s, ctx := startWaiting(t)
	restore := saveRecord(t, s.redis, s.id)
	for _, name := range []string{"alice", "bob"} {
		call := s.phoneCall(s.id, name)
		call.User.Nickname = name
		if _, err := s.Scan(ctx, call); err != nil {
			t.Fatal(err)
		}
		if v := s.nextView("scanned", 2); v.User == nil || v.User.Nickname != name {
			t.Errorf("%s scanned, and the view shows %+v", name, v.User)
		}
		restore()
	}
}

// TestFailover_TokenNotReplaced: after Redis lost the confirm, another version with the
// same seq does not replace the token.
func TestFailover_TokenNotReplaced(t *testing.T) {
	t.Parallel()
	s, ctx := startWaiting(t)
	restore := saveRecord(t, s.redis, s.id)
	s.confirm(t, s.id)
	first := s.nextView("confirmed", 2)
	restore()
	if _, err := s.Scan(ctx, s.phoneCall(s.id, "a")); err != nil {
		t.Fatal(err)
	}
	// A new waiter on this node also gets the confirmed version.
	late, err := s.dial(ctx, s.id)
	if err != nil {
		t.Fatal(err)
	}
	if v := viewReader(t, ctx, late)("confirmed", 2); v.Token != first.Token {
		t.Error("another token")
	}
	if a := <-s.poll(s.id, time.Second); checkToken(a.view, a.err) != nil || a.view.Token != first.Token {
		t.Errorf("long poll: %+v", a)
	}
}

// TestFailover_EndedBehindToken: Redis lost a confirm, and the ticket then ended with the
// same seq. Only a read from Redis shows that.
func TestFailover_EndedBehindToken(t *testing.T) {
	t.Parallel()
	s, ctx := startWaiting(t)
	restore := saveRecord(t, s.redis, s.id)
	s.confirm(t, s.id)
	s.nextView("confirmed", 2)
	restore()
	if _, err := s.Reject(ctx, s.phoneCall(s.id, "alice")); err != nil {
		t.Fatal(err)
	}
	s.redis.Client.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub")
	if _, err := s.socket.Until(ctx, "expired"); err != nil {
		t.Fatal(err)
	}
	if code := s.socket.Closed(ctx); code != 1000 {
		t.Errorf("closed with %d", code)
	}
}
