package hub_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/hub/ticket"
)

// dropAll is a subscription that is up and delivers nothing.
func dropAll(func([]byte), []byte) {}

// Maximum times for a silent mailbox: 2 s without a probe, 250 ms until the next check,
// and 50 ms to collect tickets for one batch.
const (
	resubscribeWithin = 2250 * time.Millisecond
	foundWithin       = resubscribeWithin + 50*time.Millisecond
)

// muteAfter makes the mailbox deliver nothing, from offset after a probe on.
func (s *testNode) muteAfter(offset time.Duration) {
	probed := make(chan struct{}, 100)
	s.mailbox.set(func(next func([]byte), m []byte) {
		next(m)
		if _, _, ok := ticket.DecodeProbe(m); ok {
			probed <- struct{}{}
		}
	})
	<-probed
	time.Sleep(offset) // synctest's fake clock, as in the whole file
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
			t.Errorf("resubscribed %v after the last probe", took)
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
		done := make(chan struct{}, 100)
		s.mailbox.set(func(_ func([]byte), m []byte) { // all lost before the new subscription
			if _, _, ok := ticket.DecodeProbe(m); ok && s.mailbox.subscriptions() > before {
				done <- struct{}{}
			}
		})
		for s.mailbox.subscriptions() == before {
			time.Sleep(time.Millisecond)
		}
		begun := time.Now()
		<-done
		if took := time.Since(begun); took > 100*time.Millisecond {
			t.Errorf("the new subscription was probed after %v", took)
		}
	})
}

func TestMailbox_StalledReleasesWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		id := s.create(t)
		s.mailbox.set(dropAll)
		done := make(chan error, 1)
		begun := time.Now()
		go func() {
			_, _, err := s.Poll(context.Background(), id, 1, 55*time.Second, anyBrowser)
			done <- err
		}()
		if err := <-done; !errors.Is(err, ticket.ErrStoreUnavailable) {
			t.Errorf("the waiting poll ended with %v", err)
		}
		if took := time.Since(begun); took < 4*time.Second || took > 9*time.Second {
			t.Errorf("released after %v; wanted 5 s and up to 3 more", took)
		}
		if err := s.Ready(); !errors.Is(err, ticket.ErrStoreUnavailable) {
			t.Errorf("a stalled node is ready: %v", err)
		}
		if _, _, err := s.Poll(context.Background(), id, 1, time.Second, anyBrowser); !errors.Is(err, ticket.ErrStoreUnavailable) {
			t.Errorf("a stalled node accepts a new poll: %v", err)
		}
		s.mailbox.set(nil)
		time.Sleep(2 * time.Second)
		if err := s.Ready(); err != nil {
			t.Errorf("not ready after the recovery: %v", err)
		}
	})
}

func TestMailbox_ResyncAfterResubscribe(t *testing.T) {
	// The mailbox goes silent at any time between two probes; right after one is worst.
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
			confirmedAt := time.Now()
			if v := <-got; v.State != ticket.Confirmed {
				t.Errorf("view %+v", v)
			}
			// The node can notice it only when the next probe is missing.
			if took := time.Since(confirmedAt); took < time.Second || took > foundWithin {
				t.Errorf("muted %v after a probe: it took %v", offset, took)
			}
		})
	}
}

// TestResync_AfterLostProbe: the subscription did not break and was not silent for long
// enough to subscribe again.
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
			time.Sleep(time.Second) // one probe
			s.mailbox.set(nil)
			if !missed {
				time.Sleep(5 * time.Second)
				if len(got) > 0 {
					t.Error("found, although no probe was missing")
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
				t.Error("the node subscribed again")
			}
		})
	}
}

func TestResync_LostSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		id := s.create(t)
		// Probes arrive, updates do not: the node cannot notice the loss.
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
