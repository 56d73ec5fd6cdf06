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
	h := open(t)
	v, seen := h.verifier(), h.memory()
	text := h.token(t, nil)
	if _, err := try(t, v, text, seen); err != nil {
		t.Fatal(err)
	}
	h.pass(359 * time.Second) // over, but within the leeway
	for i := range 3 {        // others come, and what is over is swept out
		if _, err := try(t, v, h.token(t, map[string]any{"jti": fmt.Sprint(i)}), seen); err != nil {
			t.Fatal(err)
		}
	}
	refuses(t, v, text, seen, verify.ErrReplayed)
	h.pass(time.Second)
	refuses(t, v, text, seen, verify.ErrExpired)
}

func TestMemoryStore_Bounded(t *testing.T) {
	t.Parallel()
	h := open(t)
	seen := &verify.MemoryStore{Max: 10, Now: h.now}
	ctx := context.Background()
	end := h.now().Add(5 * time.Minute)
	for i := range 10 {
		if first, err := seen.MarkUsed(ctx, fmt.Sprint(i), end); !first || err != nil {
			t.Fatalf("%d: %v %v", i, first, err)
		}
	}
	v := h.verifier()
	refuses(t, v, h.token(t, nil), seen, verify.ErrReplayStore)
	refuses(t, v, h.token(t, nil), seen, verify.ErrFull)
	if first, err := seen.MarkUsed(ctx, "3", end); first || err != nil {
		t.Errorf("full, and a used one: %v %v", first, err)
	}
	h.pass(5 * time.Minute)
	if _, err := try(t, v, h.token(t, nil), seen); err != nil {
		t.Errorf("all of them are over: %v", err)
	}
	for i := range 9 {
		if first, err := seen.MarkUsed(ctx, fmt.Sprint("more", i), end.Add(time.Hour)); !first || err != nil {
			t.Fatalf("there is room for ten: %v %v", first, err)
		}
	}
}

// broken is a store that is down.
type broken struct{}

var errDown = errors.New("connection refused")

func (broken) MarkUsed(context.Context, string, time.Time) (bool, error) { return true, errDown }

func TestReplayStore_Unavailable(t *testing.T) {
	t.Parallel()
	h := open(t)
	v := h.verifier()
	refuses(t, v, h.token(t, nil), broken{}, verify.ErrReplayStore)
	refuses(t, v, h.token(t, nil), broken{}, errDown)
}
