package hub_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/hub/ticket"
)

// drop is a mailbox link that is up and delivers nothing.
func drop(func([]byte), []byte) {}

func TestASilentMailboxIsSubscribedAnewAfterTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		before := s.ear.subscriptions()
		s.ear.set(drop)
		time.Sleep(4 * time.Second) // the bubble's clock
		if got := s.ear.subscriptions(); got <= before {
			t.Errorf("subscribed %d times, before %d", got, before)
		}
		if err := s.Ready(); err != nil {
			t.Errorf("not ready after 4 s: %v", err)
		}
	})
}

func TestANewSubscriptionIsProvenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		before := s.ear.subscriptions()
		heard := make(chan struct{}, 100)
		s.ear.set(func(_ func([]byte), m []byte) { // all lost before the new subscription
			if _, _, ok := ticket.ReadProof(m); ok && s.ear.subscriptions() > before {
				heard <- struct{}{}
			}
		})
		for s.ear.subscriptions() == before {
			time.Sleep(time.Millisecond)
		}
		begun := time.Now()
		<-heard
		if took := time.Since(begun); took > 100*time.Millisecond {
			t.Errorf("the new subscription was proven after %v", took)
		}
	})
}

func TestANodeThatHearsNothingForFiveSecondsIsDeafAndLetsItsPagesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		id := s.make(t)
		s.ear.set(drop)
		heard := make(chan error, 1)
		begun := time.Now()
		go func() {
			_, _, err := s.Poll(context.Background(), id, 1, 55*time.Second, anybody)
			heard <- err
		}()
		if err := <-heard; !errors.Is(err, ticket.ErrStoreUnavailable) {
			t.Errorf("the waiting poll ended with %v", err)
		}
		if took := time.Since(begun); took < 4*time.Second || took > 9*time.Second {
			t.Errorf("let go after %v; wanted 5 s and up to 3 more", took)
		}
		if err := s.Ready(); !errors.Is(err, ticket.ErrStoreUnavailable) {
			t.Errorf("a deaf node is ready: %v", err)
		}
		if _, _, err := s.Poll(context.Background(), id, 1, time.Second, anybody); !errors.Is(err, ticket.ErrStoreUnavailable) {
			t.Errorf("a deaf node takes a new poll: %v", err)
		}
		s.ear.set(nil)
		time.Sleep(2 * time.Second)
		if err := s.Ready(); err != nil {
			t.Errorf("it hears again and is not ready: %v", err)
		}
	})
}

func TestWhatAMutedMailboxMissedIsFoundBySubscribingAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		id := s.make(t)
		s.ear.set(drop)
		begun := time.Now()
		got := make(chan ticket.View, 1)
		go func() {
			v, _, err := s.Poll(context.Background(), id, 1, 55*time.Second, anybody)
			if err != nil {
				t.Errorf("poll: %v", err)
			}
			got <- v
		}()
		synctest.Wait()
		if _, err := s.Confirm(context.Background(), s.call(id, "a")); err != nil {
			t.Fatal(err)
		}
		if v := <-got; v.State != ticket.Confirmed {
			t.Errorf("view %+v", v)
		}
		if took := time.Since(begun); took > 4*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestALostNoteIsFoundByTheSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		id := s.make(t)
		// Proofs come through, messages do not: the node knows of nothing.
		s.ear.set(func(next func([]byte), m []byte) {
			if _, _, ok := ticket.ReadProof(m); ok {
				next(m)
			}
		})
		begun := time.Now()
		got := make(chan ticket.View, 1)
		go func() {
			v, _, err := s.Poll(context.Background(), id, 1, 55*time.Second, anybody)
			if err != nil {
				t.Errorf("poll: %v", err)
			}
			got <- v
		}()
		synctest.Wait()
		if _, err := s.Confirm(context.Background(), s.call(id, "a")); err != nil {
			t.Fatal(err)
		}
		if v := <-got; v.State != ticket.Confirmed {
			t.Errorf("view %+v", v)
		}
		if took := time.Since(begun); took < 10*time.Second || took > 21*time.Second {
			t.Errorf("it took %v; wanted one sweep of 20 s", took)
		}
	})
}
