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
		id := s.create(t)
		begun := time.Now()
		v, news, err := s.Poll(context.Background(), id, 1, 3*time.Minute, anyBrowser)
		if err != nil || !news || v.State != ticket.Expired || v.Seq != 2 {
			t.Fatalf("view %+v %v %v", v, news, err)
		}
		if took := time.Since(begun); took < 2*time.Minute || took > 2*time.Minute+time.Second {
			t.Errorf("it took %v; wanted 2 min", took)
		}
	})
}

func TestWaiters_FifthReplacesOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		id := s.create(t)
		ended := make(chan int, 5)
		for i := range 5 {
			go func() {
				if _, news, err := s.Poll(context.Background(), id, 1, time.Minute, anyBrowser); err != nil || news {
					t.Errorf("poll %d: %v %v", i, news, err)
				}
				ended <- i
			}()
			synctest.Wait()
		}
		if first := <-ended; first != 0 {
			t.Errorf("poll %d was released, not the oldest", first)
		}
		if n := s.Waiting(); n != 4 {
			t.Errorf("%d wait", n)
		}
		for range 4 {
			<-ended
		}
		if n := s.Waiting(); n != 0 {
			t.Errorf("%d wait after all were released", n)
		}
	})
}

func TestHub_MaxWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{tweak: func(c *hub.Config) { c.MaxWaiters = 1 }})
		first, second := s.create(t), s.create(t)
		got := make(chan ticket.View, 1)
		go func() {
			v, _, err := s.Poll(context.Background(), first, 1, time.Minute, anyBrowser)
			if err != nil {
				t.Errorf("the first: %v", err)
			}
			got <- v
		}()
		synctest.Wait()
		if _, _, err := s.Poll(context.Background(), second, 1, time.Minute, anyBrowser); !errors.Is(err, ticket.ErrOverloaded) {
			t.Errorf("one too many: %v", err)
		}
		if _, _, err := s.Poll(context.Background(), second, 0, 0, anyBrowser); err != nil {
			t.Errorf("a poll that does not wait must not count: %v", err)
		}
		if _, err := s.Confirm(context.Background(), s.phoneCall(first, "a")); err != nil {
			t.Fatal(err)
		}
		if v := <-got; v.State != ticket.Confirmed {
			t.Errorf("the first got %+v", v)
		}
	})
}

func TestWait_RecordEvicted(t *testing.T) {
	redis := hubtest.StartRedis(t)
	s := start(t, options{url: redis.URL})
	s.serve(t)
	id := s.create(t)
	ctx, cancel := hubtest.WithTimeout(soon)
	defer cancel()
	socket, err := s.dial(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := socket.Next(ctx); err != nil || v.State != "pending" {
		t.Fatalf("first view %+v %v", v, err)
	}
	redis.Client.FlushAll(ctx)
	// A new subscription reads every waiting ticket.
	redis.Client.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub")
	if v, err := socket.Next(ctx); err != nil || v.State != "expired" || v.Seq != 2 {
		t.Fatalf("view %+v %v", v, err)
	}
	if code := socket.Closed(ctx); code != 1000 {
		t.Errorf("closed with %d", code)
	}
}

func TestSocket_HeartbeatInterval(t *testing.T) {
	// With a ResultTTL below 40 s tickets are swept more often than the heartbeat.
	for _, life := range []time.Duration{3 * time.Second, time.Minute} {
		t.Run(life.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, options{tweak: func(c *hub.Config) { c.ResultTTL = life }})
				s.serve(t)
				ctx := t.Context()
				socket, err := s.dial(ctx, s.create(t))
				if err != nil {
					t.Fatal(err)
				}
				defer socket.Conn.CloseNow()
				last := time.Now()
				for i := range 4 {
					v, err := socket.Next(ctx)
					if err != nil || v.State != "pending" || v.Seq != 1 {
						t.Fatalf("view %d: %+v %v", i, v, err)
					}
					if gap := time.Since(last); i > 0 && (gap < 17*time.Second || gap > 21*time.Second) {
						t.Errorf("view %d came after %v", i, gap)
					}
					last = time.Now()
				}
			})
		})
	}
}

func TestSocket_RepeatsConfirmedView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		s.serve(t)
		ctx := t.Context()
		id := s.create(t)
		socket, err := s.dial(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Conn.CloseNow()
		if _, err := s.Confirm(ctx, s.phoneCall(id, "a")); err != nil {
			t.Fatal(err)
		}
		first, err := socket.Until(ctx, "confirmed")
		if err != nil {
			t.Fatal(err)
		}
		again, err := socket.Next(ctx)
		if err != nil || again.Token == "" || again.Token != first.Token {
			t.Fatalf("repeated view %+v %v", again, err)
		}
		if err := socket.Ack(ctx, again.Seq); err != nil {
			t.Fatal(err)
		}
		if v, err := socket.Next(ctx); err != nil || v.State != "consumed" || v.Token != "" {
			t.Fatalf("after the ack %+v %v", v, err)
		}
		if code := socket.Closed(ctx); code != 1000 {
			t.Errorf("closed with %d", code)
		}
	})
}

// TestSocket_UnknownKeyCloses: the close code is 1013, after which a browser reconnects,
// and not 1011. A poll gets the error that the API answers with 503.
func TestSocket_UnknownKeyCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		others := nodeKeysOf(t, hubtest.OtherKey)
		s := start(t, options{tweak: func(c *hub.Config) { c.Reloadable.Signer = others.signer }})
		s.serve(t)
		ctx := t.Context()
		id := s.create(t)
		socket, err := s.dial(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Conn.CloseNow()
		if v, err := socket.Next(ctx); err != nil || v.State != "pending" {
			t.Fatalf("view %+v %v", v, err)
		}
		if _, err := s.Confirm(ctx, s.phoneCall(id, "alice")); err != nil {
			t.Fatal(err)
		}
		if code := socket.Closed(ctx); code != 1013 {
			t.Errorf("closed with %d", code)
		}
		if v, news, err := s.Poll(ctx, id, 1, 0, anyBrowser); !errors.Is(err, ticket.ErrUnknownKey) || news {
			t.Errorf("the poll returns %+v %v %v", v, news, err)
		}
	})
}

func TestSocket_SlowReaderClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		s.serve(t)
		ctx := t.Context()
		id := s.create(t)
		// A pipe has no buffer: even the first view cannot be written.
		if _, err := s.dial(ctx, id); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		v, _, err := s.Poll(ctx, id, 0, time.Second, anyBrowser)
		if err != nil || v.State != ticket.Pending || time.Since(begun) > time.Second {
			t.Errorf("the other waiter: %+v %v after %v", v, err, time.Since(begun))
		}
		time.Sleep(11 * time.Second)
		if n := s.Waiting(); n != 0 {
			t.Errorf("%d still wait", n)
		}
	})
}

func TestDrain_SpreadsSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		s.serve(t)
		ctx := t.Context()
		const sockets = 20
		left := make(chan time.Time, sockets)
		for range sockets {
			socket, err := s.dial(ctx, s.create(t))
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				if code := socket.Closed(ctx); code != 1012 {
					t.Errorf("closed with %d", code)
				}
				left <- time.Now()
			}()
		}
		synctest.Wait()
		begun := time.Now()
		s.Drain(ctx, 10*time.Second)
		var early, late int
		for range sockets {
			switch at := (<-left).Sub(begun); {
			case at < 5*time.Second:
				early++
			default:
				late++
			}
		}
		if early < 5 || late < 5 {
			t.Errorf("%d left in the first half, %d in the second", early, late)
		}
	})
}

func TestDrain_EndsPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		id := s.create(t)
		ended := make(chan time.Time, 1)
		go func() {
			if _, news, err := s.Poll(context.Background(), id, 1, 50*time.Second, anyBrowser); err != nil || news {
				t.Errorf("poll: %v %v", news, err)
			}
			ended <- time.Now()
		}()
		synctest.Wait()
		begun := time.Now()
		go s.Drain(context.Background(), 10*time.Second)
		if took := (<-ended).Sub(begun); took > 0 {
			t.Errorf("the poll ended after %v", took)
		}
		if err := s.Ready(); !errors.Is(err, ticket.ErrOverloaded) {
			t.Errorf("a draining node is ready: %v", err)
		}
		if _, _, err := s.Poll(context.Background(), id, 1, time.Second, anyBrowser); !errors.Is(err, ticket.ErrOverloaded) {
			t.Errorf("a draining node accepts a poll: %v", err)
		}
		if _, err := s.Confirm(context.Background(), s.phoneCall(id, "a")); err != nil {
			t.Errorf("a draining node refuses a confirm: %v", err)
		}
		time.Sleep(10 * time.Second)
	})
}
