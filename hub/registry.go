package hub

import (
	"container/heap"
	"math/rand/v2"
	"sync"
	"time"
	"unique"

	"loginhub/hub/ticket"
	"loginhub/hub/trace"
)

// maxWaiters is the maximum of sockets and polls for one ticket on one node. A browser
// that reconnects leaves dead connections behind for some time. An attacker with a
// stolen secret must not be able to fill the node.
const maxWaiters = 4

// reason is why a waiter is released.
type reason uint8

const (
	notReleased reason = iota
	replaced           // a fifth waiter was added for the ticket
	draining           // the node is stopping
	stalled            // liveness probes do not arrive
	shutdown           // Run has ended: close without a close frame
	switchedOff        // the operator switched the client's login off
	cannotServe        // this node lacks the ticket's key or client, e.g. after a reload
)

// waiter is a waiting socket or poll. Its methods are called with the registry locked:
// they must not block and must not call the registry.
type waiter interface {
	transport() Transport
	// changed passes the slot's version to the waiter. repeat: write it although its seq
	// is not new.
	changed(v *version, repeat bool)
	release(why reason) // the waiter was removed from the registry
}

// version is a verified version of a ticket. It is not changed after it was made.
type version struct {
	ticket.Ticket
	missing bool        // Redis no longer has the ticket: the browser gets expired
	cause   trace.Cause // how the node got it
}

// shareStrings replaces strings that many tickets have in common, to save memory.
func (v *version) shareStrings(id ticket.ID) {
	v.ID = id
	for _, text := range []*string{&v.Client, &v.Key, &v.Origin, &v.Browser, &v.OS, (*string)(&v.State)} {
		*text = unique.Make(*text).Value()
	}
}

// slot is one waiting ticket on this node.
type slot struct {
	id      ticket.ID
	waiters []waiter // oldest first
	latest  *version // the one with the highest seq; nil before the first attach or message
	sweeps  int      // number of sweeps; every few sweeps are a heartbeat

	due   time.Time // next sweep
	index int       // in registry.queue
}

// registry holds the waiters by ticket. mu guards every slot.
type registry struct {
	interval time.Duration // time between two sweeps of a slot
	max      int
	wake     chan struct{} // capacity 1: the first due time has become earlier

	mu    sync.Mutex
	slots map[ticket.ID]*slot
	queue dueHeap
	size  int // number of waiters
	polls int // number of polls among them
}

func newRegistry(limit int, every time.Duration) *registry {
	return &registry{interval: every, max: limit, wake: make(chan struct{}, 1), slots: map[ticket.ID]*slot{}}
}

func (r *registry) count() (sockets, polls int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.size - r.polls, r.polls
}

// addCount changes the number of waiters of w's kind. Called with mu held.
func (r *registry) addCount(w waiter, by int) {
	r.size += by
	if w.transport() == TransportPoll {
		r.polls += by
	}
}

// add registers a waiter. Call it before reading Redis, so that every later change
// wakes the waiter. The oldest of more than maxWaiters is released. A full node returns
// ticket.ErrOverloaded.
func (r *registry) add(id ticket.ID, w waiter) error {
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
	s.waiters = append(s.waiters, w)
	r.addCount(w, 1)
	if len(s.waiters) > maxWaiters {
		oldest := s.waiters[0]
		r.drop(s, oldest)
		oldest.release(replaced)
	}
	return nil
}

// remove removes a waiter and reports whether it was still registered.
func (r *registry) remove(id ticket.ID, w waiter) (removed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.slots[id]; s != nil {
		return r.drop(s, w)
	}
	return false
}

// drop is remove, called with mu held.
func (r *registry) drop(s *slot, w waiter) (removed bool) {
	for i, other := range s.waiters {
		if other != w {
			continue
		}
		s.waiters = append(s.waiters[:i:i], s.waiters[i+1:]...)
		r.addCount(w, -1)
		if len(s.waiters) == 0 {
			delete(r.slots, s.id)
			heap.Remove(&r.queue, s.index)
		}
		return true
	}
	return false
}

// latest returns the slot's version; nil if it is not known.
func (r *registry) latest(id ticket.ID) *version {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.slots[id]; s != nil {
		return s.latest
	}
	return nil
}

// waits reports whether somebody waits for the ticket, also if its version is not known yet.
func (r *registry) waits(id ticket.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.slots[id] != nil
}

// apply stores a verified version in the slot and passes it to the waiters. A version
// that is not newer changes nothing, unless it replaces one that Redis lost
// (supersedes). now is the store's time, from which the time until the deadline follows.
// apply returns the slot's version, nil without waiters. newer reports whether t
// replaced another version.
func (r *registry) apply(t ticket.Ticket, now time.Time) (latest *version, newer bool) {
	return r.applyFrom(trace.Read, t, now)
}

// applyFrom is apply for a version that the node did not read from Redis.
func (r *registry) applyFrom(cause trace.Cause, t ticket.Ticket, now time.Time) (latest *version, newer bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slots[t.ID]
	if s == nil {
		return nil, false
	}
	was := s.latest
	if was != nil && t.Seq < was.Seq {
		return was, false
	}
	if !t.State.Final() {
		// Sweep the slot just after the deadline: Redis decides whether it has passed.
		if at := time.Now().Add(t.Deadline.Sub(now) + deadlineGrace); at.Before(s.due) {
			s.due = at
			heap.Fix(&r.queue, s.index)
			r.wakeIfFirst(s)
		}
	}
	if was == nil {
		s.set(&version{Ticket: t, cause: cause}, false)
		return s.latest, false
	}
	sameSeq := t.Seq == was.Seq
	if sameSeq && s.supersedes(t) {
		return was, false
	}
	// A socket writes a repeated seq only if it is asked to.
	s.set(&version{Ticket: t, missing: was.missing, cause: cause}, sameSeq)
	return s.latest, true
}

// markMissing records that Redis no longer has the ticket.
func (r *registry) markMissing(id ticket.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.slots[id]; s != nil && s.latest != nil && !s.latest.missing {
		s.set(&version{Ticket: s.latest.Ticket, missing: true}, false)
	}
}

// set stores a version and passes it to every waiter. Called with mu held.
func (s *slot) set(v *version, repeat bool) {
	v.shareStrings(s.id)
	s.latest = v
	s.notify(repeat)
}

// notify passes the version to every waiter. Called with mu held.
func (s *slot) notify(repeat bool) {
	for _, w := range s.waiters {
		w.changed(s.latest, repeat)
	}
}

// supersedes reports whether the slot keeps its version although t has the same seq.
// Usually both are the same version. But a master that fails before replication loses
// the last change, and then a seq is used twice: a lost scan and a later confirm are
// both 2. The slot keeps only what the browser may have seen as final: a token or an
// end. Called with mu held.
func (s *slot) supersedes(t ticket.Ticket) bool {
	return s.latest.State == ticket.Confirmed || s.latest.State.Final() || t.SameVersion(&s.latest.Ticket)
}

// due returns at most limit tickets that are due for a sweep, and the time until the
// next one is due. The returned tickets are due again after one interval, or after
// their deadline.
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

// scheduleSoon makes tickets due within the given time, spread over it; nil: all
// tickets.
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

// heartbeat counts a sweep of the ticket. Every so many sweeps its sockets repeat the
// view.
func (r *registry) heartbeat(id ticket.ID, every int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slots[id]
	if s == nil || s.latest == nil {
		return
	}
	if s.sweeps++; s.sweeps%every == 0 {
		s.notify(true)
	}
}

// releaseAll releases all waiters.
func (r *registry) releaseAll(why reason) {
	for _, id := range r.ids() {
		r.releaseTicket(id, why)
	}
}

// ids returns the tickets that have waiters.
func (r *registry) ids() []ticket.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := make([]ticket.ID, 0, len(r.slots))
	for id := range r.slots {
		ids = append(ids, id)
	}
	return ids
}

// releaseTicket releases all waiters of the ticket.
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

// jitter returns the time until a slot's next sweep: the interval, or up to a tenth
// less, so that browsers that connected at one moment are not swept at one moment.
func (r *registry) jitter() time.Duration { return r.interval - randomPart(r.interval/10) }

// randomPart returns a random duration below d.
func randomPart(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

// wakeIfFirst wakes the sweep if the slot is due first. Called with mu held.
func (r *registry) wakeIfFirst(s *slot) {
	if s.index != 0 {
		return
	}
	select {
	case r.wake <- struct{}{}:
	default: // a wake-up is already pending
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

// Push implements heap.Interface.
func (q *dueHeap) Push(x any) {
	s := x.(*slot)
	s.index = len(*q)
	*q = append(*q, s)
}

// Pop implements heap.Interface.
func (q *dueHeap) Pop() any {
	old := *q
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return s
}
