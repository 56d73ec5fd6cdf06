package hub_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/hub"
	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

func TestWait_ExpiresAtDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		a := <-s.poll(s.create(t), 3*time.Minute)
		if a.err != nil || !a.news || a.view.State != ticket.Expired || a.view.Seq != 2 {
			t.Fatalf("the poll returns %+v", a)
		}
		if a.took < 2*time.Minute || a.took > 2*time.Minute+time.Second {
			t.Errorf("it took %v; wanted 2 min", a.took)
		}
	})
}

// TestWaiters_FifthReplacesOldest: of more than four waiters the oldest is released, a
// socket with 4001 and a poll without a view.
func TestWaiters_FifthReplacesOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		id := s.create(t)
		oldest := s.open(t, t.Context(), id)
		var polls []<-chan polled
		for range 5 {
			polls = append(polls, s.poll(id, time.Minute))
			synctest.Wait()
		}
		if code := oldest.Closed(t.Context()); code != 4001 {
			t.Errorf("the oldest is closed with %d", code)
		}
		for i, want := range []time.Duration{0, time.Minute, time.Minute, time.Minute, time.Minute} {
			if a := <-polls[i]; a.err != nil || a.news || a.took != want {
				t.Errorf("poll %d: %+v; wanted %v", i, a, want)
			}
			if n := s.Waiting(); i == 0 && n != 4 {
				t.Errorf("%d wait", n)
			}
		}
	})
}

func TestHub_MaxWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{tweak: func(c *hub.Config) { c.MaxWaiters = 1 }})
		first, second := s.create(t), s.create(t)
		waits := s.poll(first, time.Minute)
		synctest.Wait()
		if a := <-s.poll(second, time.Minute); !errors.Is(a.err, ticket.ErrOverloaded) {
			t.Errorf("one too many: %v", a.err)
		}
		if a := <-s.poll(second, 0); a.err != nil {
			t.Errorf("a poll that does not wait must not count: %v", a.err)
		}
		s.confirm(t, first)
		if a := <-waits; checkToken(a.view, a.err) != nil {
			t.Errorf("the first got %+v", a)
		}
	})
}

// TestWait_OwnChange: a node tells its own waiters what its browsers change. Redis sends
// it no message about that.
func TestWait_OwnChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		id := s.create(t)
		waits := s.poll(id, time.Minute)
		synctest.Wait()
		if _, err := s.Cancel(t.Context(), id, anyBrowser); err != nil {
			t.Fatal(err)
		}
		if a := <-waits; a.err != nil || a.view.State != ticket.Rejected || a.took > 0 {
			t.Errorf("the poll returns %+v", a)
		}
	})
}

func TestWait_RecordEvicted(t *testing.T) {
	s, ctx := startWaiting(t)
	s.redis.Client.FlushAll(ctx)
	// A new subscription reads every waiting ticket.
	s.redis.Client.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub")
	s.nextView("expired", 2)
	if code := s.socket.Closed(ctx); code != 1000 {
		t.Errorf("closed with %d", code)
	}
}

func TestSocket_HeartbeatInterval(t *testing.T) {
	// With a ResultTTL below 40 s tickets are swept more often than the heartbeat.
	for _, life := range []time.Duration{3 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, options{tweak: func(c *hub.Config) { c.ResultTTL = life }})
			socket, last := s.open(t, t.Context(), s.create(t)), time.Now()
			for i := range 3 {
				v, err := socket.Next(t.Context())
				if gap := time.Since(last); err != nil || v.State != "pending" || v.Seq != 1 || gap < 17*time.Second || gap > 21*time.Second {
					t.Errorf("view %d: %+v %v after %v", i, v, err, gap)
				}
				last = time.Now()
			}
		})
	}
}

func TestSocket_RepeatsConfirmedView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		id := s.create(t)
		socket := s.open(t, t.Context(), id)
		s.confirm(t, id)
		next := viewReader(t, t.Context(), socket)
		first, again := next("confirmed", 2), next("confirmed", 2)
		if again.Token == "" || again.Token != first.Token {
			t.Errorf("the repeated view is %+v", again)
		}
		if err := socket.Ack(t.Context(), again.Seq); err != nil {
			t.Fatal(err)
		}
		if v := next("consumed", 3); v.Token != "" {
			t.Errorf("a consumed view has a token: %+v", v)
		}
		if code := socket.Closed(t.Context()); code != 1000 {
			t.Errorf("closed with %d", code)
		}
	})
}

// TestSocket_UnknownKeyCloses: the close code is 1013, after which a browser reconnects,
// and not 1011. A poll gets the error that the API answers with 503.
func TestSocket_UnknownKeyCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{tweak: func(c *hub.Config) { c.Reloadable.Signer = nodeKeysOf(t, hubtest.OtherKey).signer }})
		id := s.create(t)
		socket := s.open(t, t.Context(), id)
		s.confirm(t, id)
		if code := socket.Closed(t.Context()); code != 1013 {
			t.Errorf("closed with %d", code)
		}
		if a := <-s.poll(id, 0); !errors.Is(a.err, ticket.ErrUnknownKey) || a.news {
			t.Errorf("the poll returns %+v", a)
		}
	})
}

func TestSocket_SlowReaderClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		id := s.create(t)
		// A pipe has no buffer: even the first view cannot be written.
		if _, err := s.dial(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		other := s.poll(id, time.Minute)
		synctest.Wait()
		s.confirm(t, id)
		if a := <-other; checkToken(a.view, a.err) != nil || a.took > 0 {
			t.Errorf("the other waiter: %+v", a)
		}
		time.Sleep(11 * time.Second) // fake clock
		if n := s.Waiting(); n != 0 {
			t.Errorf("%d still wait", n)
		}
	})
}

func TestDrain_SpreadsSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		const sockets = 20
		left := make(chan time.Time, sockets)
		for range sockets {
			socket := s.open(t, t.Context(), s.create(t))
			go func() {
				if code := socket.Closed(t.Context()); code != 1012 {
					t.Errorf("closed with %d", code)
				}
				left <- time.Now()
			}()
		}
		begun := time.Now()
		s.Drain(t.Context(), 10*time.Second)
		early := 0
		for range sockets {
			if (<-left).Sub(begun) < 5*time.Second {
				early++
			}
		}
		if early < 5 || early > sockets-5 {
			t.Errorf("%d of %d left in the first half", early, sockets)
		}
	})
}

func TestDrain_EndsPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		id := s.create(t)
		waits := s.poll(id, 50*time.Second)
		synctest.Wait()
		go s.Drain(context.Background(), 10*time.Second)
		if a := <-waits; a.err != nil || a.news || a.took > 0 {
			t.Errorf("the poll ends with %+v", a)
		}
		if err := s.Ready(); !errors.Is(err, ticket.ErrOverloaded) {
			t.Errorf("a draining node is ready: %v", err)
		}
		if a := <-s.poll(id, time.Second); !errors.Is(a.err, ticket.ErrOverloaded) {
			t.Errorf("a draining node accepts a poll: %v", a.err)
		}
		s.confirm(t, id)             // and still takes confirms
		time.Sleep(10 * time.Second) // fake clock
	})
}
