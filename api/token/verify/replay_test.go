//go:build go1.25

package verify_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"loginhub/api/token/verify"
)

func TestMemoryStore_UntilExpiry(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	v, seen := h.verifier(), h.memoryStore()
	text := h.token(t, nil)
	if _, err := verifyToken(t, v, text, seen); err != nil {
		t.Fatal(err)
	}
	h.advance(359 * time.Second) // expired, but within the leeway
	for i := range 3 {           // other tokens arrive, and expired ones are removed
		if _, err := verifyToken(t, v, h.token(t, map[string]any{"jti": fmt.Sprint(i)}), seen); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, v, text, seen, verify.ErrReplayed)
	h.advance(time.Second)
	wantError(t, v, text, seen, verify.ErrExpired)
}

func TestMemoryStore_Bounded(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	seen := &verify.MemoryStore{Max: 10, Now: h.now}
	ctx := context.Background()
	end := h.now().Add(5 * time.Minute)
	for i := range 10 {
		if first, err := seen.MarkUsed(ctx, fmt.Sprint(i), end); !first || err != nil {
			t.Fatalf("%d: %v %v", i, first, err)
		}
	}
	v := h.verifier()
	wantError(t, v, h.token(t, nil), seen, verify.ErrReplayStore)
	wantError(t, v, h.token(t, nil), seen, verify.ErrFull)
	if first, err := seen.MarkUsed(ctx, "3", end); first || err != nil {
		t.Errorf("full store, used token: %v %v", first, err)
	}
	h.advance(5 * time.Minute)
	if _, err := verifyToken(t, v, h.token(t, nil), seen); err != nil {
		t.Errorf("all stored tokens have expired: %v", err)
	}
	for i := range 9 {
		if first, err := seen.MarkUsed(ctx, fmt.Sprint("more", i), end.Add(time.Hour)); !first || err != nil {
			t.Fatalf("the store has room for ten: %v %v", first, err)
		}
	}
}

// failingStore is a replay store whose server is down.
type failingStore struct{}

var errDown = errors.New("connection refused")

func (failingStore) MarkUsed(context.Context, string, time.Time) (bool, error) { return true, errDown }

func TestReplayStore_Unavailable(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	v := h.verifier()
	wantError(t, v, h.token(t, nil), failingStore{}, verify.ErrReplayStore)
	wantError(t, v, h.token(t, nil), failingStore{}, errDown)
}
