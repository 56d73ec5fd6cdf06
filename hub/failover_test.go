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

// Redis can fall back: a master fails before its replica has the last change. Then
// seq counts on from before, and two versions have the same.

// saveRecord gives back the state of Redis of now for a ticket's record.
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

// onlyProbes keeps a node from hearing of tickets.
func onlyProbes(next func([]byte), m []byte) {
	if _, _, mail := ticket.DecodeUpdate(m); !mail {
		next(m)
	}
}

// waitingBrowser is a page that waits at a node, and has been shown its ticket.
type waitingBrowser struct {
	*testNode
	redis    *hubtest.Redis
	id       ticket.ID
	socket   *hubtest.Socket
	attaches *attachCounter
	nextView func(state string, seq int64) *hubtest.View // the next one, which must be that
}

func startWaiting(t *testing.T) (p waitingBrowser, ctx context.Context) {
	t.Helper()
	redis := hubtest.StartRedis(t)
	p = waitingBrowser{redis: redis, attaches: &attachCounter{}}
	p.testNode = start(t, options{url: redis.URL, wrap: func(s hub.Store) hub.Store {
		p.attaches.Store = s
		return p.attaches
	}})
	p.serve(t)
	ctx, cancel := hubtest.WithTimeout(soon)
	t.Cleanup(cancel)
	p.id = p.create(t)
	socket, err := p.dial(ctx, p.id)
	if err != nil {
		t.Fatal(err)
	}
	p.socket, p.nextView = socket, viewReader(t, ctx, socket)
	p.nextView("pending", 1)
	return p, ctx
}

// attachCounter counts the looks at tickets that were answered.
type attachCounter struct {
	hub.Store
	done atomic.Int64
}

func (a *attachCounter) Attach(ctx context.Context, node string, ids ...ticket.ID) ([]ticket.Stored, error) {
	defer a.done.Add(1)
	return a.Store.Attach(ctx, node, ids...)
}

// viewReader reads the next view of a socket, which must be that one.
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
	for _, heard := range []bool{true, false} {
		t.Run(map[bool]string{true: "by its message", false: "by a new subscription"}[heard], func(t *testing.T) {
			t.Parallel()
			s, ctx := startWaiting(t)
			restore := saveRecord(t, s.redis, s.id)
			if _, err := s.Scan(ctx, s.phoneCall(s.id, "alice")); err != nil {
				t.Fatal(err)
			}
			s.nextView("scanned", 2)
			restore()

			polled := make(chan error, 1) // beside it, by one who has seen the scan
			looks := s.attaches.done.Load()
			go func() {
				v, _, err := s.Poll(ctx, s.id, 2, soon, anyBrowser)
				polled <- checkToken(v, err)
			}()
			hubtest.Eventually(t, soon, "the poll waits", func() bool { return s.attaches.done.Load() > looks })
			if !heard {
				s.mailbox.set(onlyProbes)
			}
			if _, err := s.Confirm(ctx, s.phoneCall(s.id, "alice")); err != nil {
				t.Fatal(err)
			}
			if !heard {
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

// TestFailover_ScanReplacesLostScan: the page must not go on naming the
// one whose scan was lost.
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
			t.Errorf("%s scanned, and the page shows %+v", name, v.User)
		}
		restore()
	}
}

// TestFailover_TokenNotReplaced: what a Redis that fell back says of the same seq does
// not take it back.
func TestFailover_TokenNotReplaced(t *testing.T) {
	t.Parallel()
	s, ctx := startWaiting(t)
	restore := saveRecord(t, s.redis, s.id)
	if _, err := s.Confirm(ctx, s.phoneCall(s.id, "alice")); err != nil {
		t.Fatal(err)
	}
	first := s.nextView("confirmed", 2)
	restore()
	if _, err := s.Scan(ctx, s.phoneCall(s.id, "alice")); err != nil {
		t.Fatal(err)
	}
	// Who comes now is shown what this node was told first.
	late, err := s.dial(ctx, s.id)
	if err != nil {
		t.Fatal(err)
	}
	if v := viewReader(t, ctx, late)("confirmed", 2); v.Token != first.Token {
		t.Error("another token")
	}
	if v, _, err := s.Poll(ctx, s.id, 0, time.Second, anyBrowser); checkToken(v, err) != nil || v.Token != first.Token {
		t.Errorf("long poll: %+v %v", v, err)
	}
}

// TestFailover_EndedBehindToken: Redis fell back behind a confirm
// and went on to an end of the same seq, which only a look at it tells for sure.
func TestFailover_EndedBehindToken(t *testing.T) {
	t.Parallel()
	s, ctx := startWaiting(t)
	restore := saveRecord(t, s.redis, s.id)
	if _, err := s.Confirm(ctx, s.phoneCall(s.id, "alice")); err != nil {
		t.Fatal(err)
	}
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
