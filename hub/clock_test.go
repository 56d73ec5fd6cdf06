package hub_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"loginhub/hub"
)

// slowClock is a store whose clock the node reads as too early.
type slowClock struct {
	hub.Store
	behind atomic.Int64
}

func (s *slowClock) Now() time.Time { return s.Store.Now().Add(-time.Duration(s.behind.Load())) }

func TestView_ExpiresInBounded(t *testing.T) {
	var clock *slowClock
	// The scan moves the deadline: two minutes to scan, three more to confirm.
	s := start(t, options{tweak: func(c *hub.Config) { c.ConfirmTTL = 3 * time.Minute }, wrap: func(s hub.Store) hub.Store {
		clock = &slowClock{Store: s}
		return clock
	}})
	id := s.create(t)
	clock.behind.Store(int64(10 * time.Second))
	expect := func(state string, most int64) {
		t.Helper()
		v, _, err := s.Poll(context.Background(), id, 0, 0, anyBrowser)
		if err != nil || string(v.State) != state || v.ExpiresIn > most || v.ExpiresIn < most-60 || v.TokenExpiresIn > 300 {
			t.Errorf("%s, %d s left, the token's %d (%v); wanted %s with at most %d s", v.State, v.ExpiresIn, v.TokenExpiresIn, err, state, most)
		}
	}
	expect("pending", 120)
	if _, err := s.Scan(context.Background(), s.phoneCall(id, "ann")); err != nil {
		t.Fatal(err)
	}
	expect("scanned", 180)
	if _, err := s.Confirm(context.Background(), s.phoneCall(id, "ann")); err != nil {
		t.Fatal(err)
	}
	expect("confirmed", 60)
}
