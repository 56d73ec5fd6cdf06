package hub_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/hub"
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

// resubscribed waits for the next subscription and returns how long that took.
func (s *testNode) resubscribed() time.Duration {
	before, begun := s.mailbox.subscriptions(), time.Now()
	for s.mailbox.subscriptions() == before && time.Since(begun) < 10*time.Second {
		time.Sleep(time.Millisecond)
	}
	return time.Since(begun)
}

func TestMailbox_ResubscribesAfterSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{probeDelay: time.Millisecond})
		s.muteAfter(0)
		before, probed := s.mailbox.subscriptions(), make(chan time.Time, 100)
		s.mailbox.set(func(func([]byte), []byte) { // all is lost, on the new subscription too
			if s.mailbox.subscriptions() > before {
				probed <- time.Now()
			}
		})
		if took := s.resubscribed(); took < 2*time.Second || took > resubscribeWithin {
			t.Errorf("resubscribed %v after the last probe", took)
		}
		subscribed := time.Now()
		if took := (<-probed).Sub(subscribed); took > 100*time.Millisecond {
			t.Errorf("the new subscription was probed after %v", took)
		}
		time.Sleep(2 * time.Second)
		if err := s.Ready(); err != nil {
			t.Errorf("not ready after 4 s: %v", err)
		}
	})
}

func TestMailbox_StalledReleasesWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		id := s.create(t)
		socket := s.open(t, t.Context(), id)
		s.mailbox.set(dropAll)
		begun := time.Now()
		waits := s.poll(id, 55*time.Second)
		if code, took := socket.Closed(t.Context()), time.Since(begun); code != 1013 || took < 4*time.Second || took > 9*time.Second {
			t.Errorf("the socket is closed with %d after %v; wanted 5 s and up to 3 more", code, took)
		}
		if a := <-waits; !errors.Is(a.err, ticket.ErrStoreUnavailable) || a.took < 4*time.Second || a.took > 9*time.Second {
			t.Errorf("the waiting poll ended with %+v", a)
		}
		if err := s.Ready(); !errors.Is(err, ticket.ErrStoreUnavailable) {
			t.Errorf("a stalled node is ready: %v", err)
		}
		if a := <-s.poll(id, time.Second); !errors.Is(a.err, ticket.ErrStoreUnavailable) {
			t.Errorf("a stalled node accepts a new poll: %v", a.err)
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
			waits := s.poll(id, 55*time.Second)
			s.muteAfter(offset)
			synctest.Wait()
			s.confirm(t, id)
			confirmedAt := time.Now()
			a := <-waits
			// The node can notice it only when the next probe is missing.
			if took := time.Since(confirmedAt); checkToken(a.view, a.err) != nil || took < time.Second || took > foundWithin {
				t.Errorf("muted %v after a probe: it took %v: %+v", offset, took, a)
			}
		})
	}
}

// TestResync_AfterLostProbe: the subscription did not break and was not silent for long
// enough to subscribe again. The next probe arrives before or after its call returns.
func TestResync_AfterLostProbe(t *testing.T) {
	for _, late := range []time.Duration{0, 10 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, options{probeDelay: time.Millisecond})
			id := s.create(t)
			waits := s.poll(id, 55*time.Second)
			s.muteAfter(100 * time.Millisecond)
			subscriptions, begun := s.mailbox.subscriptions(), time.Now()
			s.confirm(t, id)
			time.Sleep(time.Second) // one probe
			s.mailbox.set(func(next func([]byte), m []byte) {
				time.Sleep(late)
				next(m)
			})
			if a := <-waits; checkToken(a.view, a.err) != nil || time.Since(begun) > 2100*time.Millisecond {
				t.Errorf("%v late: found after %v: %+v", late, time.Since(begun), a)
			}
			if s.mailbox.subscriptions() != subscriptions {
				t.Error("the node subscribed again")
			}
		})
	}
}

// TestResync_LostSubscription: probes arrive and updates do not, so that the node cannot
// notice the loss before the sweep.
func TestResync_LostSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, options{})
		id := s.create(t)
		s.mailbox.set(onlyProbes)
		waits := s.poll(id, 55*time.Second)
		synctest.Wait()
		s.confirm(t, id)
		if a := <-waits; checkToken(a.view, a.err) != nil || a.took < 10*time.Second || a.took > 21*time.Second {
			t.Errorf("wanted one sweep of 20 s: %+v", a)
		}
	})
}

// lostReplies makes changes after a delay and loses their replies.
type lostReplies struct {
	hub.Store
	after time.Duration
}

func (l lostReplies) Change(ctx context.Context, changes ...ticket.Change) ([]ticket.Outcome, error) {
	time.AfterFunc(l.after, func() { l.Store.Change(context.WithoutCancel(ctx), changes...) })
	return nil, ticket.ErrStoreUnavailable
}

// TestResync_OwnChange: a node passes a change of its own to its waiters without a message:
// at once, or if it got no reply, soon after the change is made.
func TestResync_OwnChange(t *testing.T) {
	for _, lost := range []time.Duration{-1, time.Millisecond, 5 * time.Second} { // -1: none is lost
		synctest.Test(t, func(t *testing.T) {
			s := start(t, options{wrap: func(inner hub.Store) hub.Store {
				if lost > 0 {
					return lostReplies{inner, lost}
				}
				return inner
			}})
			id := s.create(t)
			s.mailbox.set(onlyProbes)
			waits := s.poll(id, 55*time.Second)
			synctest.Wait()
			if _, err := s.Confirm(t.Context(), s.phoneCall(id, "a")); (err != nil) != (lost > 0) {
				t.Errorf("the phone gets %v", err)
			}
			if a := <-waits; checkToken(a.view, a.err) != nil || a.took-lost > retrySweep+100*time.Millisecond || lost < 0 && a.took > 0 {
				t.Errorf("reply lost: %v: %+v", lost, a)
			}
		})
	}
}

// retrySweep is the longest time between two reads of a ticket whose change got no reply.
const retrySweep = 2 * time.Second
