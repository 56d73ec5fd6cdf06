package hub

import (
	"bytes"
	"container/heap"
	"math/rand/v2"
	"sync"
	"time"

	"loginhub/hub/ticket"
)

// maxWaiters is how many sockets and polls may wait for one ticket on one node:
// a page that reconnects leaves dead ones behind for a while, and who knows a
// stolen secret must not fill the node.
const maxWaiters = 4

// reason is why a waiter is let go.
type reason int

const (
	replaced    reason = iota // a fifth waiter came for the ticket
	draining                  // the node stops
	stalled                   // the node hears nothing
	shutdown                  // the node's life is over: no farewell
	switchedOff               // the operator has switched the client's login off
	cannotServe               // a reload took the ticket's key or client from this node
)

// waiter is a waiting socket or poll. Its methods are called with the
// registry locked: they neither block nor call back.
type waiter interface {
	changed()           // the slot has a new version, or a heartbeat is due
	release(why reason) // the waiter has been taken out
}

// slot is one waiting ticket on this node.
type slot struct {
	id      ticket.ID
	waiters []waiter // oldest first

	known   bool          // latest is set: an attach or a message has told
	latest  ticket.Ticket // the highest verified seq; never goes backwards
	missing bool          // Redis no longer has it: the browser hears expired
	sweeps  int           // how often swept; tells when a heartbeat is due

	due   time.Time // next sweep
	index int       // in the heap
}

// registry is who waits for what. Its lock guards every slot.
type registry struct {
	interval time.Duration // between two sweeps of a slot
	max      int
	wake     chan struct{} // a slot is due earlier than thought

	mu    sync.Mutex
	slots map[ticket.ID]*slot
	queue dueHeap
	size  int
	polls int // of size
}

func newRegistry(limit int, every time.Duration) *registry {
	return &registry{interval: every, max: limit, wake: make(chan struct{}, 1), slots: map[ticket.ID]*slot{}}
}

func (r *registry) count() (sockets, polls int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.size - r.polls, r.polls
}

// addCount changes the number of waiters, by one of this kind.
func (r *registry) addCount(l waiter, by int) {
	r.size += by
	if _, ok := l.(*poll); ok {
		r.polls += by
	}
}

// add registers a waiter, before anything is asked of Redis: what happens from
// here on wakes it. The oldest of too many is let go. A full node is
// ErrOverloaded.
func (r *registry) add(id ticket.ID, l waiter) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.size >= r.max {
		return ticket.ErrOverloaded
	}
	s := r.slots[id]
	if s == nil {
		s = &slot{id: id, due: time.Now().Add(r.jitter())}
		r.slots[id] = s
		heap.Push(&r.queue, s)
		r.wakeIfFirst(s)
	}
	s.waiters = append(s.waiters, l)
	r.addCount(l, 1)
	if len(s.waiters) > maxWaiters {
		oldest := s.waiters[0]
		r.drop(s, oldest)
		oldest.release(replaced)
	}
	return nil
}

// remove takes a waiter out; out is false where it was no longer in.
func (r *registry) remove(id ticket.ID, l waiter) (out bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.slots[id]; s != nil {
		return r.drop(s, l)
	}
	return false
}

func (r *registry) drop(s *slot, l waiter) (out bool) {
	for i, w := range s.waiters {
		if w != l {
			continue
		}
		s.waiters = append(s.waiters[:i:i], s.waiters[i+1:]...)
		r.addCount(l, -1)
		if len(s.waiters) == 0 {
			delete(r.slots, s.id)
			heap.Remove(&r.queue, s.index)
		}
		return true
	}
	return false
}

// latest is what the slot knows. lost says that Redis has the ticket no more.
func (r *registry) latest(id ticket.ID) (t ticket.Ticket, known, lost bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slots[id]
	if s == nil {
		return ticket.Ticket{}, false, false
	}
	return s.latest, s.known, s.missing
}

// waits reports whether anybody here waits for the ticket: only then is a
// message worth opening.
func (r *registry) waits(id ticket.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.slots[id] != nil
}

// apply puts a verified version into the slot and wakes its waiters; a version
// that is not newer changes nothing, unless it stands in place of the slot's. now is
// the store's clock: it tells when the deadline is. newer says that another one
// stood there.
func (r *registry) apply(t ticket.Ticket, now time.Time) (newer bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slots[t.ID]
	if s == nil || s.known && t.Seq < s.latest.Seq {
		return false
	}
	if !t.State.Final() {
		// Just past the deadline Redis is asked; it decides.
		if at := time.Now().Add(t.Deadline.Sub(now) + deadlineGrace); at.Before(s.due) {
			s.due = at
			heap.Fix(&r.queue, s.index)
			r.wakeIfFirst(s)
		}
	}
	if s.known && t.Seq == s.latest.Seq {
		if s.supersedes(t) {
			return false
		}
		s.latest = t
		s.notifyRepeat()
		return true
	}
	newer = s.known
	s.latest, s.known = t, true
	s.notify()
	return newer
}

// markMissing notes that Redis has the ticket no more.
func (r *registry) markMissing(id ticket.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.slots[id]; s != nil && s.known && !s.missing {
		s.missing = true
		s.notify()
	}
}

func (s *slot) notify() {
	for _, w := range s.waiters {
		w.changed()
	}
}

// supersedes reports whether t, of the slot's own seq, leaves the slot as it is. Mostly
// it is the very version that stands there. But a master that fails can take the
// last change with it, and then seq counts on from before: a scan that was lost,
// and a confirm in one step, are both 2. Only what was promised stays: a token, or
// an end.
func (s *slot) supersedes(t ticket.Ticket) bool {
	return s.latest.State == ticket.Confirmed || s.latest.State.Final() || bytes.Equal(t.Tag(), s.latest.Tag())
}

// notifyRepeat has every waiter look again, though seq has not moved.
func (s *slot) notifyRepeat() {
	for _, w := range s.waiters {
		if b, ok := w.(heartbeater); ok {
			b.heartbeat()
		} else {
			w.changed()
		}
	}
}

// due returns the tickets that are due for a sweep, at most limit of them, and
// how long until the next is. What it returns is due again after one interval,
// or after its deadline.
func (r *registry) due(limit int, now time.Time) (due []ticket.ID, next time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) > 0 && len(due) < limit {
		s := r.queue[0]
		if wait := s.due.Sub(now); wait > 0 {
			return due, wait
		}
		s.due = now.Add(r.jitter())
		heap.Fix(&r.queue, 0)
		due = append(due, s.id)
	}
	if len(due) == limit {
		return due, 0
	}
	return due, time.Hour
}

// scheduleSoon makes tickets due within the given time, spread over it; nil means all.
func (r *registry) scheduleSoon(ids []ticket.ID, within time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	soon := func(s *slot) {
		if at := now.Add(randomPart(within)); at.Before(s.due) {
			s.due = at
		}
	}
	if ids == nil {
		for _, s := range r.slots {
			soon(s)
		}
		heap.Init(&r.queue)
	}
	for _, id := range ids {
		if s := r.slots[id]; s != nil {
			soon(s)
			heap.Fix(&r.queue, s.index)
		}
	}
	if len(r.queue) > 0 {
		r.wakeIfFirst(r.queue[0])
	}
}

// heartbeat counts a sweep and reports whether it is a heartbeat, for which the
// slot's waiters are then woken.
func (r *registry) heartbeat(id ticket.ID, every int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slots[id]
	if s == nil {
		return
	}
	if s.sweeps++; s.sweeps%every == 0 {
		for _, w := range s.waiters {
			if b, ok := w.(heartbeater); ok {
				b.heartbeat()
			}
		}
	}
}

// heartbeater is a listener that repeats the current view as a heartbeat.
type heartbeater interface{ heartbeat() }

// releaseAll takes everybody out.
func (r *registry) releaseAll(why reason) {
	for _, id := range r.ids() {
		r.releaseTicket(id, why)
	}
}

// ids are the waiting tickets.
func (r *registry) ids() []ticket.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := make([]ticket.ID, 0, len(r.slots))
	for id := range r.slots {
		ids = append(ids, id)
	}
	return ids
}

// releaseTicket takes out everybody who waits for the ticket.
func (r *registry) releaseTicket(id ticket.ID, why reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slots[id]
	if s == nil {
		return
	}
	for _, w := range append([]waiter(nil), s.waiters...) {
		r.drop(s, w)
		w.release(why)
	}
}

// jitter is the time to a slot's next sweep: a tenth early at the most, so that
// pages that came in one storm drift apart.
func (r *registry) jitter() time.Duration { return r.interval - randomPart(r.interval/10) }

// randomPart is a random part of d.
func randomPart(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

// wakeIfFirst wakes the sweeper where the slot is now the first.
func (r *registry) wakeIfFirst(s *slot) {
	if s.index != 0 {
		return
	}
	select {
	case r.wake <- struct{}{}:
	default: // it is awake already
	}
}

// dueHeap is a heap of slots by due time (container/heap).
type dueHeap []*slot

func (q dueHeap) Len() int           { return len(q) }
func (q dueHeap) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q dueHeap) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push is for container/heap.
func (q *dueHeap) Push(x any) {
	s := x.(*slot)
	s.index = len(*q)
	*q = append(*q, s)
}

// Pop is for container/heap.
func (q *dueHeap) Pop() any {
	old := *q
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return s
}
