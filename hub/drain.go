package hub

import (
	"context"
	"math/rand/v2"
	"time"
)

// Draining reports whether the node stops: its answers say so to the load
// balancer.
func (h *Hub) Draining() bool { return h.draining.Load() }

// Drain stops taking new pages, ends the polls at once and lets the sockets go
// over the given time, so that their return does not fall on the other nodes in
// one moment. It returns when that time is over or ctx ends. Everything else is
// served on.
func (h *Hub) Drain(ctx context.Context, over time.Duration) {
	h.draining.Store(true)
	h.waiters.releasePolls()
	h.releaseGradually(ctx, draining, over, h.draining.Load)
	h.waiters.releaseAll(draining)
}

// releaseGradually releases all waiters in random order, evenly over the time, as long as
// the reason holds.
func (h *Hub) releaseGradually(ctx context.Context, why reason, over time.Duration, holds func() bool) {
	const pause = 50 * time.Millisecond
	ids := h.waiters.ids()
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	start := time.Now()
	for done := 0; ctx.Err() == nil && holds(); {
		elapsed := time.Since(start)
		until := len(ids)
		if elapsed < over {
			until = int(float64(len(ids)) * float64(elapsed) / float64(over))
		}
		for ; done < until; done++ {
			h.waiters.releaseTicket(ids[done], why)
		}
		if elapsed >= over {
			h.waiters.releaseAll(why) // who slipped in meanwhile
			return
		}
		sleepCtx(ctx, min(pause, over-elapsed))
	}
}

// releasePolls takes the polls out and leaves the sockets.
func (r *registry) releasePolls() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.slots {
		for _, w := range append([]waiter(nil), s.waiters...) {
			if p, ok := w.(*poll); ok {
				r.drop(s, p)
				p.release(draining)
			}
		}
	}
}
