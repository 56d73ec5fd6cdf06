package redisstore

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// maxInFlight is how many pipelines are under way at once. With two, one is
	// filled while the other is on its way; more make each of them smaller.
	maxInFlight = 2
	// batchLimit bounds one, so that Redis serves others in between.
	batchLimit = 128
)

// batcher sends calls that come at the same time as one pipeline: one system
// call each way in place of one per call. Nobody waits for company: who finds a
// lane free sends at once, with whoever waits; only where all lanes are busy a
// call waits, and goes with the next pipeline.
type batcher struct {
	send func(until time.Time, batch []*call)

	mu       sync.Mutex // guards what follows
	inFlight int        // lanes
	queue    []*call    // waiting, oldest first; empty while a lane is free
}

// what a waiting call is woken for.
type wakeReason int

const (
	done wakeReason = iota // it was sent with another's pipeline
	lead                   // a lane is its own: it sends the next pipeline
)

// do sends one call and returns when it is answered, or ctx ends while it still
// waits for a lane; at the latest after callLimit.
func (b *batcher) do(ctx context.Context, c *call) error {
	until := time.Now().Add(callTimeout)
	b.mu.Lock()
	if b.inFlight == maxInFlight {
		ctx, cancel := context.WithDeadline(ctx, until)
		defer cancel()
		c.wake = make(chan wakeReason, 1)
		b.queue = append(b.queue, c)
		b.mu.Unlock()
		t, err := b.wait(ctx, c)
		if err != nil || t == done {
			return err
		}
		b.mu.Lock() // the lane of who woke it is taken over
	} else {
		b.inFlight++
	}
	n := min(len(b.queue), batchLimit-1)
	batch := append(append(make([]*call, 0, n+1), c), b.queue[:n]...)
	b.queue = slices.Delete(b.queue, 0, n)
	b.mu.Unlock()

	b.send(until, batch) // the one that leads is the oldest: nobody waits longer

	b.mu.Lock()
	if len(b.queue) > 0 {
		b.queue[0].wake <- lead
		b.queue = slices.Delete(b.queue, 0, 1)
	} else {
		b.inFlight--
	}
	b.mu.Unlock()
	for _, other := range batch[1:] {
		other.wake <- done
	}
	return nil
}

// wait waits for a turn. A call that has left the queue is on its way, or leads
// others: it is seen through.
func (b *batcher) wait(ctx context.Context, c *call) (wakeReason, error) {
	select {
	case t := <-c.wake:
		return t, nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	at := slices.Index(b.queue, c)
	if at >= 0 {
		b.queue = slices.Delete(b.queue, at, at+1)
	}
	b.mu.Unlock()
	if at >= 0 {
		return done, ctx.Err()
	}
	return <-c.wake, nil
}
