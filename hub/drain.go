package hub

import (
	"context"
	"math/rand/v2"
	"time"
)

// Draining reports whether the node is stopping, so that its readiness answers can say
// so to the load balancer.
func (h *Hub) Draining() bool { return h.admission.draining.Load() }

// Drain refuses new waiters, ends the polls at once and closes the sockets spread over
// the given time, so that they do not all reconnect to the other nodes at one moment.
// It returns when that time is over or ctx ends. All other calls still work.
func (h *Hub) Drain(ctx context.Context, over time.Duration) {
	h.admission.draining.Store(true)
	h.waiters.releasePolls()
	h.waiters.releaseGradually(ctx, draining, over, h.admission.draining.Load)
	h.waiters.releaseAll(draining)
}

// releaseGradually releases all waiters in random order, spread evenly over the given
// time. It stops early if stillNeeded returns false.
func (r *registry) releaseGradually(ctx context.Context, why reason, over time.Duration, stillNeeded func() bool) {
	const pause = 50 * time.Millisecond
	ids := r.ids()
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	start := time.Now()
	for done := 0; ctx.Err() == nil && stillNeeded(); {
		elapsed := time.Since(start)
		until := len(ids)
		if elapsed < over {
			until = int(float64(len(ids)) * float64(elapsed) / float64(over))
		}
		for ; done < until; done++ {
			r.releaseTicket(ids[done], why)
		}
		if elapsed >= over {
			r.releaseAll(why) // waiters that were added meanwhile
			return
		}
		sleepCtx(ctx, min(pause, over-elapsed))
	}
}

// releasePolls releases the polls and keeps the sockets.
func (r *registry) releasePolls() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.slots {
		for _, w := range append([]waiter(nil), s.waiters...) {
			if w.transport() == TransportPoll {
				r.drop(s, w)
				w.release(draining)
			}
		}
	}
}
