package hub_test

import (
	"context"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

// Redis can fall back: a master fails before its replica has the last change. Then
// seq counts on from before, and two versions have the same.

// fallBack gives back the state of Redis of now for a ticket's record.
func fallBack(t *testing.T, redis *hubtest.Redis, id ticket.ID) (restore func()) {
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

// onlyProofs keeps a node from hearing of tickets.
func onlyProofs(next func([]byte), m []byte) {
	if _, _, mail := ticket.ReadMail(m); !mail {
		next(m)
	}
}

// viewer reads the next view of a socket, which must be that one.
func viewer(t *testing.T, ctx context.Context, socket *hubtest.Socket) func(state string, seq int64) *hubtest.View {
	return func(state string, seq int64) *hubtest.View {
		t.Helper()
		v, err := socket.Next(ctx)
		if err != nil || v.State != state || v.Seq != seq {
			t.Fatalf("view %+v %v; wanted %s, %d", v, err, state, seq)
		}
		return v
	}
}

func TestAConfirmInPlaceOfALostScanReachesItsPage(t *testing.T) {
	t.Parallel()
	for _, heard := range []bool{true, false} {
		t.Run(map[bool]string{true: "by its message", false: "by a new subscription"}[heard], func(t *testing.T) {
			t.Parallel()
			redis := hubtest.StartRedis(t)
			s := start(t, options{url: redis.URL})
			s.serve(t)
			ctx, cancel := hubtest.Limit(soon)
			defer cancel()
			id := s.make(t)
			socket, err := s.dial(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			view := viewer(t, ctx, socket)
			view("pending", 1)
			restore := fallBack(t, redis, id)
			if _, err := s.Scan(ctx, s.call(id, "alice")); err != nil {
				t.Fatal(err)
			}
			view("scanned", 2)
			restore()

			polled := make(chan error, 1) // beside it, by one who has seen the scan
			go func() {
				v, _, err := s.Poll(ctx, id, 2, soon, anybody)
				polled <- confirmed(v, err)
			}()
			hubtest.Eventually(t, soon, "the poll waits", func() bool { return s.Waiting() == 2 })
			if !heard {
				s.ear.set(onlyProofs)
			}
			if _, err := s.Confirm(ctx, s.call(id, "alice")); err != nil {
				t.Fatal(err)
			}
			if !heard {
				redis.Client.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub")
			}
			if v := view("confirmed", 2); v.Token == "" {
				t.Error("no token")
			}
			if err := <-polled; err != nil {
				t.Errorf("long poll: %v", err)
			}
			if err := socket.Ack(ctx, 2); err != nil {
				t.Fatal(err)
			}
			view("consumed", 3)
		})
	}
}

// TestAScanInPlaceOfALostScanShowsWhoScanned: the page must not go on naming the
// one whose scan was lost.
func TestAScanInPlaceOfALostScanShowsWhoScanned(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	s := start(t, options{url: redis.URL})
	s.serve(t)
	ctx, cancel := hubtest.Limit(soon)
	defer cancel()
	id := s.make(t)
	socket, err := s.dial(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	view := viewer(t, ctx, socket)
	view("pending", 1)
	restore := fallBack(t, redis, id)
	for _, name := range []string{"alice", "bob"} {
		call := s.call(id, name)
		call.User.Nickname = name
		if _, err := s.Scan(ctx, call); err != nil {
			t.Fatal(err)
		}
		if v := view("scanned", 2); v.User == nil || v.User.Nickname != name {
			t.Errorf("%s scanned, and the page shows %+v", name, v.User)
		}
		restore()
	}
}

// TestATokenThatWasShownStays: what a Redis that fell back says of the same seq does
// not take it back.
func TestATokenThatWasShownStays(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	s := start(t, options{url: redis.URL})
	s.serve(t)
	ctx, cancel := hubtest.Limit(soon)
	defer cancel()
	id := s.make(t)
	socket, err := s.dial(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	view := viewer(t, ctx, socket)
	view("pending", 1)
	restore := fallBack(t, redis, id)
	if _, err := s.Confirm(ctx, s.call(id, "alice")); err != nil {
		t.Fatal(err)
	}
	first := view("confirmed", 2)
	restore()
	if _, err := s.Scan(ctx, s.call(id, "alice")); err != nil {
		t.Fatal(err)
	}
	// Who comes now is shown what this node was told first.
	late, err := s.dial(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if v := viewer(t, ctx, late)("confirmed", 2); v.Token != first.Token {
		t.Error("another token")
	}
	if v, _, err := s.Poll(ctx, id, 0, time.Second, anybody); confirmed(v, err) != nil || v.Token != first.Token {
		t.Errorf("long poll: %+v %v", v, err)
	}
}

// TestATicketThatEndedBehindItsTokenEndsForItsPage: Redis fell back behind a confirm
// and went on to an end of the same seq, which only a look at it tells for sure.
func TestATicketThatEndedBehindItsTokenEndsForItsPage(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	s := start(t, options{url: redis.URL})
	s.serve(t)
	ctx, cancel := hubtest.Limit(soon)
	defer cancel()
	id := s.make(t)
	socket, err := s.dial(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	view := viewer(t, ctx, socket)
	view("pending", 1)
	restore := fallBack(t, redis, id)
	if _, err := s.Confirm(ctx, s.call(id, "alice")); err != nil {
		t.Fatal(err)
	}
	view("confirmed", 2)
	restore()
	if _, err := s.Reject(ctx, s.call(id, "alice")); err != nil {
		t.Fatal(err)
	}
	redis.Client.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub")
	if _, err := socket.Until(ctx, "expired"); err != nil {
		t.Fatal(err)
	}
	if code := socket.Closed(ctx); code != 1000 {
		t.Errorf("closed with %d", code)
	}
}
