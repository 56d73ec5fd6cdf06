package redisstore

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// maxInFlight is how many pipelines may be in flight at once. With two, one collects
	// calls while the other is on its way. More of them would only make each one
	// smaller.
	maxInFlight = 2
	// maxSlow is how many may be in flight if none has come back for slowAfter: on a machine
	// without free CPU, or far from Redis, two make calls wait in the queue. Eight always
	// would cost 7 % of the hub's CPU and 15 % of Redis's.
	maxSlow   = 8
	slowAfter = 3 * time.Millisecond
	// batchLimit is the most calls in one pipeline, so that Redis serves other clients
	// in between.
	batchLimit = 128
)

// batcher sends concurrent calls as one pipeline: one system call each way, not one per
// call. A call is sent immediately, together with those that wait, unless maxInFlight
// pipelines are in flight (maxSlow if they are slow). Then it waits and goes with the next
// pipeline.
type batcher struct {
	// send does not use the context of one call: if that page leaves, the other calls must
	// still be sent.
	send func(ctx context.Context, batch []*call)

	mu       sync.Mutex // guards the fields below
	inFlight int        // pipelines
	progress time.Time  // when one was last sent or came back
	queue    []*call    // waiting calls, oldest first; empty while inFlight < maxInFlight

	limit context.Context // of the calls that begin before renew
	end   context.CancelFunc
	renew time.Time
}

// limitLife is how long calls that begin share one context, whose timer each would start and
// stop otherwise.
const limitLife = callTimeout / 30

// limitFrom returns the context of a call that begins now. It ends after callTimeout, or up to
// limitLife before. Called with mu held.
func (b *batcher) limitFrom(now time.Time) context.Context {
	if !now.Before(b.renew) {
		b.limit, b.end = context.WithDeadline(context.Background(), now.Add(callTimeout)) // earlier calls have the earlier one
		b.renew = now.Add(limitLife)
	}
	return b.limit
}

// wakeReason says why a waiting call is woken.
type wakeReason int

const (
	done wakeReason = iota // another call's pipeline has sent it
	lead                   // it sends the next pipeline
)

// do sends one call and returns when it is answered, or when ctx ends while it is still
// in the queue; at the latest after callTimeout. The queue needs no timer of its own: what
// is sent before ends within the callTimeout of an older call.
func (b *batcher) do(ctx context.Context, c *call) error {
	now := time.Now()
	b.mu.Lock()
	limit := b.limitFrom(now)
	if b.inFlight >= maxSlow || b.inFlight >= maxInFlight && now.Sub(b.progress) < slowAfter {
		c.wake = make(chan wakeReason, 1)
		b.queue = append(b.queue, c)
		b.mu.Unlock()
		t, err := b.wait(ctx, c)
		if err != nil || t == done {
			return err
		}
		b.mu.Lock() // this call takes over the pipeline slot of the call that woke it
	} else {
		b.inFlight++
		b.progress = now
	}
	n := min(len(b.queue), batchLimit-1)
	batch := append(c.alone(), b.queue[:n]...)
	b.queue = slices.Delete(b.queue, 0, n)
	b.mu.Unlock()

	b.send(limit, batch) // this call is the oldest, so no other call has waited longer

	b.mu.Lock()
	b.progress = time.Now()
	if len(b.queue) > 0 && b.inFlight <= maxInFlight {
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

// wait waits until the call is woken. If ctx ends after the call has left the queue,
// wait still waits: the call is being sent, or must send others.
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
