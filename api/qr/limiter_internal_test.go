package qr

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"loginhub/api/ratelimit"
)

// testAddress returns the i-th address.
func testAddress(i int) netip.Prefix {
	return ratelimit.Key(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}))
}

func TestRenderLimiter_Bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewRenderLimiter(8)
		refusals := 0
		e.OnReject = func() { refusals++ }
		var done, drawing, most atomic.Int64
		finish := make(chan struct{})
		ask := func(i int) {
			go func() {
				err := e.Run(t.Context(), testAddress(i), func() error {
					most.Store(max(most.Load(), drawing.Add(1)))
					<-finish
					drawing.Add(-1)
					return nil
				})
				if err != nil {
					t.Errorf("address %d: %v", i, err)
				}
				done.Add(1)
			}()
			synctest.Wait() // each request comes after the one before it
		}
		all := cap(e.slots) + maxRenderQueue
		for i := range all {
			ask(i / 8) // each address stays within its share
		}
		if len(e.queue) != maxRenderQueue || int(drawing.Load()) != cap(e.slots) {
			t.Fatalf("%d running, %d queued", drawing.Load(), len(e.queue))
		}
		err := e.Run(t.Context(), testAddress(200), func() error { t.Error("drawn"); return nil })
		if !errors.Is(err, ErrBusy) || refusals != 1 {
			t.Errorf("with a full queue: %v, %d rejections counted", err, refusals)
		}
		for range all {
			finish <- struct{}{}
			synctest.Wait()
		}
		if int(done.Load()) != all || int(most.Load()) != cap(e.slots) || len(e.slots)+len(e.queue)+e.perAddr.Waiting() > 0 {
			t.Errorf("%d of %d are drawn, %d at once; left: %d, %d, %d", done.Load(), all, most.Load(), len(e.slots), len(e.queue), e.perAddr.Waiting())
		}
	})
}

func TestRenderLimiter_HalfOfCores(t *testing.T) {
	for cores, want := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 64: 32} {
		if got := cap(NewRenderLimiter(cores).slots); got != want {
			t.Errorf("%d cores: %d slots, want %d", cores, got, want)
		}
	}
}

func TestRenderLimiter_PanicReleasesSlot(t *testing.T) {
	e := NewRenderLimiter(1)
	broken := errors.New("broken")
	if err := e.Run(t.Context(), testAddress(1), func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		e.Run(t.Context(), testAddress(1), func() error { panic("a bug") })
	}()
	if len(e.slots) != 0 {
		t.Errorf("%d slots are taken", len(e.slots))
	}
}

// A client that hangs up leaves the queue and frees its address's share.
func TestRenderLimiter_CancelInQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewRenderLimiter(1)
		release, err := e.Acquire(t.Context(), testAddress(0))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 * maxRenderQueuePerAddr {
			ctx, hangUp := context.WithCancel(t.Context())
			refused := make(chan error)
			go func() { _, err := e.Acquire(ctx, testAddress(1)); refused <- err }()
			if synctest.Wait(); len(e.queue) != 1 {
				t.Fatalf("%d queued", len(e.queue))
			}
			hangUp()
			if err := <-refused; !errors.Is(err, context.Canceled) || len(e.queue)+e.perAddr.Waiting() != 0 {
				t.Fatalf("%v, %d queued", err, len(e.queue))
			}
		}
		if release(); len(e.slots) != 0 {
			t.Errorf("%d slots are taken", len(e.slots))
		}
	})
}
