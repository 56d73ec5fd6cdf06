package redisstore

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slow imitates a Redis that answers a pipeline after a millisecond.
type slow struct {
	mu       sync.Mutex
	now, max int // pipelines in flight
	sent     map[*call]int
	batches  []int // their sizes
}

func (s *slow) send(_ context.Context, calls []*call) {
	s.mu.Lock()
	s.now++
	s.max = max(s.max, s.now)
	s.batches = append(s.batches, len(calls))
	for _, c := range calls {
		s.sent[c]++
	}
	s.mu.Unlock()
	time.Sleep(time.Millisecond) // in a synctest bubble: no real time passes
	s.mu.Lock()
	s.now--
	s.mu.Unlock()
}

func TestBatcher_Pipelines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		redis := &slow{sent: map[*call]int{}}
		b := &batcher{send: redis.send}
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				if err := b.do(t.Context(), &call{}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, times := range redis.sent {
			if times != 1 {
				t.Errorf("a call was sent %d times", times)
			}
		}
		if len(redis.sent) != n || redis.max != maxInFlight || len(redis.batches) > maxInFlight+n/batchLimit+maxInFlight {
			t.Errorf("%d calls in %v, %d at once", len(redis.sent), redis.batches, redis.max)
		}
		if b.inFlight != 0 || len(b.queue) != 0 {
			t.Errorf("%d lanes are still busy, %d calls wait", b.inFlight, len(b.queue))
		}
	})
}

func TestBatcher_SingleCallNotDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		redis := &slow{sent: map[*call]int{}}
		b := &batcher{send: redis.send}
		start := time.Now()
		if err := b.do(t.Context(), &call{}); err != nil || time.Since(start) != time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// TestBatcher_Limit: a call whose pipeline hangs ends after callTimeout, at most limitLife
// earlier.
func TestBatcher_Limit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &batcher{send: func(ctx context.Context, _ []*call) { <-ctx.Done() }}
		var all sync.WaitGroup // the second shares the limit of the first
		for _, want := range []time.Duration{callTimeout, callTimeout - limitLife/2, callTimeout} {
			start := time.Now()
			all.Go(func() {
				if _ = b.do(t.Context(), &call{}); time.Since(start) != want {
					t.Error("ended after", time.Since(start))
				}
			})
			time.Sleep(limitLife / 2)
		}
		all.Wait()
	})
}

// TestBatcher_SlowPipelines: if no pipeline comes back for slowAfter, the next call is sent
// together with those that wait, until maxSlow are in flight.
func TestBatcher_SlowPipelines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var sizes []int
		b := &batcher{send: func(_ context.Context, calls []*call) {
			mu.Lock()
			sizes = append(sizes, len(calls))
			mu.Unlock()
			time.Sleep(time.Second)
		}}
		var all sync.WaitGroup
		for range 2 * maxSlow {
			for range 2 { // the first of them opens a pipeline, the second waits
				all.Go(func() { b.do(t.Context(), &call{}) })
				synctest.Wait()
			}
			time.Sleep(slowAfter)
		}
		mu.Lock()
		if len(sizes) != maxSlow || sizes[2] != 1 || sizes[3] != 2 {
			t.Errorf("pipelines of %v calls", sizes)
		}
		mu.Unlock()
		all.Wait()
		if b.inFlight != 0 || len(b.queue) != 0 {
			t.Errorf("%d lanes are still busy, %d calls wait", b.inFlight, len(b.queue))
		}
	})
}

func TestBatcher_CancelledInQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		redis := &slow{sent: map[*call]int{}}
		b := &batcher{send: redis.send}
		var all sync.WaitGroup
		for range maxInFlight {
			all.Go(func() { b.do(t.Context(), &call{}) })
		}
		synctest.Wait()
		impatient := &call{}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Microsecond)
		defer cancel()
		if err := b.do(ctx, impatient); !errors.Is(err, context.DeadlineExceeded) || redis.sent[impatient] != 0 {
			t.Errorf("%v, sent %d times", err, redis.sent[impatient])
		}
		all.Wait()
		if b.inFlight != 0 || len(b.queue) != 0 {
			t.Errorf("%d lanes are still busy, %d calls wait", b.inFlight, len(b.queue))
		}
	})
}
