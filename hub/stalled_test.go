package hub_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/hub/ticket"
)

// dropAll is a mailbox link that is up and delivers nothing.
func dropAll(func([]byte), []byte) {}

// What a silent mailbox may take: 2 s without a proof, a quarter of a second until
// that is looked at, and 50 ms in which tickets are gathered for one batch.
const (
	resubscribeWithin = 2250 * time.Millisecond
	foundWithin       = resubscribeWithin + 50*time.Millisecond
)

// muteAfter makes the mailbox deliver nothing from so long after a proof on.
func (s *testNode) muteAfter(offset time.Duration) {
	proven := make(chan struct{}, 100)
	s.mailbox.set(func(next func([]byte), m []byte) {
		next(m)
		if _, _, ok := ticket.DecodeProbe(m); ok {
			proven <- struct{}{}
		}
	})
	<-proven
	time.Sleep(offset) // the bubble's clock, as everywhere here
	s.mailbox.set(dropAll)
}

func TestMailbox_ResubscribesAfterSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{probeDelay: time.Millisecond})
		s.muteAfter(0)
		before := s.mailbox.subscriptions()
		begun := time.Now()
		for s.mailbox.subscriptions() == before && time.Since(begun) < 10*time.Second {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(begun); took < 2*time.Second || took > resubscribeWithin {
			t.Errorf("subscribed anew %v after the last proof", took)
		}
		time.Sleep(2 * time.Second)
		if err := s.Ready(); err != nil {
			t.Errorf("not ready after 4 s: %v", err)
		}
	})
}

func TestMailbox_ProbesNewSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		before := s.mailbox.subscriptions()
		heard := make(chan struct{}, 100)
		s.mailbox.set(func(_ func([]byte), m []byte) { // all lost before the new subscription
			if _, _, ok := ticket.DecodeProbe(m); ok && s.mailbox.subscriptions() > before {
				heard <- struct{}{}
			}
		})
		for s.mailbox.subscriptions() == before {
			time.Sleep(time.Millisecond)
		}
		begun := time.Now()
		<-heard
		if took := time.Since(begun); took > 100*time.Millisecond {
			t.Errorf("the new subscription was proven after %v", took)
		}
	})
}

func TestMailbox_StalledReleasesWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		id := s.create(t)
		s.mailbox.set(dropAll)
		heard := make(chan error, 1)
		begun := time.Now()
		go func() {
			_, _, err := s.Poll(context.Background(), id, 1, 55*time.Second, anyBrowser)
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
		if _, _, err := s.Poll(context.Background(), id, 1, time.Second, anyBrowser); !errors.Is(err, ticket.ErrStoreUnavailable) {
			t.Errorf("a deaf node takes a new poll: %v", err)
		}
		s.mailbox.set(nil)
		time.Sleep(2 * time.Second)
		if err := s.Ready(); err != nil {
			t.Errorf("it hears again and is not ready: %v", err)
		}
	})
}

func TestMailbox_ResyncAfterResubscribe(t *testing.T) {
	// The mailbox falls silent anywhere between two proofs; right after one is worst.
	for offset := time.Duration(0); offset < time.Second; offset += 50 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, options{probeDelay: time.Millisecond})
			id := s.create(t)
			got := make(chan ticket.View, 1)
			go func() {
				v, _, err := s.Poll(context.Background(), id, 1, 55*time.Second, anyBrowser)
				if err != nil {
					t.Errorf("poll: %v", err)
				}
				got <- v
			}()
			s.muteAfter(offset)
			synctest.Wait()
			if _, err := s.Confirm(context.Background(), s.phoneCall(id, "a")); err != nil {
				t.Fatal(err)
			}
			told := time.Now()
			if v := <-got; v.State != ticket.Confirmed {
				t.Errorf("view %+v", v)
			}
			// Nobody can know before the next proof is missed.
			if took := time.Since(told); took < time.Second || took > foundWithin {
				t.Errorf("muted %v after a proof: it took %v", offset, took)
			}
		})
	}
}

// TestResync_AfterLostProbe: the link never broke, and was not
// silent for long enough to be given up.
func TestResync_AfterLostProbe(t *testing.T) {
	for _, missed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, options{probeDelay: time.Millisecond})
			id := s.create(t)
			got := make(chan error, 1)
			go func() {
				v, _, err := s.Poll(context.Background(), id, 1, 55*time.Second, anyBrowser)
				got <- checkToken(v, err)
			}()
			s.muteAfter(100 * time.Millisecond)
			if !missed {
				s.mailbox.set(onlyProbes)
			}
			subscriptions, begun := s.mailbox.subscriptions(), time.Now()
			if _, err := s.Confirm(context.Background(), s.phoneCall(id, "a")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second) // one proof
			s.mailbox.set(nil)
			if !missed {
				time.Sleep(5 * time.Second)
				if len(got) > 0 {
					t.Error("found, though no proof was missed")
				}
				return
			}
			if err := <-got; err != nil {
				t.Error(err)
			}
			if took := time.Since(begun); took > 2100*time.Millisecond {
				t.Errorf("found after %v", took)
			}
			if s.mailbox.subscriptions() != subscriptions {
				t.Error("the link was given up")
			}
		})
	}
}

func TestResync_LostSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		id := s.create(t)
		// Proofs come through, messages do not: the node knows of nothing.
		s.mailbox.set(func(next func([]byte), m []byte) {
			if _, _, ok := ticket.DecodeProbe(m); ok {
				next(m)
			}
		})
		begun := time.Now()
		got := make(chan ticket.View, 1)
		go func() {
			v, _, err := s.Poll(context.Background(), id, 1, 55*time.Second, anyBrowser)
			if err != nil {
				t.Errorf("poll: %v", err)
			}
			got <- v
		}()
		synctest.Wait()
		if _, err := s.Confirm(context.Background(), s.phoneCall(id, "a")); err != nil {
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
