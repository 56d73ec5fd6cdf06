package outbox

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// queue is the work of this node on one queue. run claims what is due, as much as has
// room among the deliveries, and each delivery has its goroutine.
type queue struct {
	outbox *Outbox
	name   string
	to     atomic.Pointer[Destination]
	ctx    context.Context // ends with the outbox, or when the queue is no longer served
	stop   context.CancelFunc
	wake   chan struct{} // capacity 1

	mu      sync.Mutex
	pending Exchange       // for the next call of the store
	running map[string]int // attempts of the claims that are being handled, by key
	renewed time.Time      // when they were last renewed
	handled map[bool]int   // their number, by Claim.Prepared
	jobs    sync.WaitGroup
}

func (o *Outbox) newQueue(name string) *queue {
	q := &queue{outbox: o, name: name, wake: make(chan struct{}, 1), running: map[string]int{}, handled: map[bool]int{}}
	q.ctx, q.stop = context.WithCancel(o.running)
	return q
}

// run works on the queue until ctx ends and the running deliveries have ended.
func (q *queue) run() {
	defer q.stop()
	defer context.AfterFunc(q.ctx, q.notify)()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for q.ctx.Err() == nil || q.busy() {
		select {
		case <-q.wake:
		case <-timer.C:
		}
		timer.Reset(q.exchange())
	}
	q.jobs.Wait()
	q.exchange() // the last results
}

// exchange makes one call of the store, and starts the deliveries of what it claims. It
// returns when to look again.
func (q *queue) exchange() time.Duration {
	x := q.take()
	r, err := q.outbox.Store.Exchange(context.Background(), q.name, x)
	if err != nil {
		q.add(x)
		q.outbox.Log.Warn("the outbox is not available: messages may be delivered later, or again", "queue", q.name, "error", err)
		return jitter(storeRetry)
	}
	q.outbox.Metrics.IncMessages(q.name, ResultPut, r.Settled)
	q.outbox.Metrics.SetQueue(q.name, r.Depth, r.Oldest)
	for _, c := range r.Claims {
		q.mu.Lock()
		q.running[c.Key] = c.Attempts
		q.handled[c.Prepared]++
		q.mu.Unlock()
		q.jobs.Go(func() {
			done := q.handle(c)
			q.mu.Lock()
			delete(q.running, c.Key)
			q.handled[c.Prepared]--
			q.addLocked(done)
			q.mu.Unlock()
			q.notify()
		})
	}
	wait := jitter(pollInterval)
	if r.Next >= 0 {
		wait = min(wait, r.Next+time.Millisecond)
	}
	if q.busy() {
		wait = min(wait, renewInterval)
	}
	return wait
}

// busy reports whether a delivery is running.
func (q *queue) busy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.running) > 0
}

// take returns what the next call of the store does.
func (q *queue) take() Exchange {
	q.mu.Lock()
	defer q.mu.Unlock()
	x := q.pending
	q.pending = Exchange{}
	if q.ctx.Err() == nil {
		x.Claim = maxDeliveries - q.handled[false]
		x.ClaimPrepared = maxResolves - q.handled[true]
	}
	if now := time.Now(); now.Sub(q.renewed) >= renewInterval {
		q.renewed = now
		for key, attempts := range q.running {
			x.Retry = append(x.Retry, Retry{key, attempts, Lease})
		}
	}
	return x
}

// add adds to the next call of the store. If the store is away for long, what is over the
// bound is dropped: prepared messages are resolved, others are delivered again.
func (q *queue) add(x Exchange) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.addLocked(x)
}

func (q *queue) addLocked(x Exchange) {
	p := &q.pending
	p.Put, p.Remove, p.Retry = append(p.Put, x.Put...), append(p.Remove, x.Remove...), append(p.Retry, x.Retry...)
	p.Put = p.Put[max(0, len(p.Put)-maxPending):]
	p.Remove = p.Remove[max(0, len(p.Remove)-maxPending):]
	p.Retry = p.Retry[max(0, len(p.Retry)-maxPending):]
}

// settle makes messages due with the next call of the store.
func (q *queue) settle(messages []Message) {
	var x Exchange
	for _, m := range messages {
		x.Put = append(x.Put, q.outbox.entry(q.name, m, false))
	}
	q.add(x)
	q.notify()
}

func (q *queue) notify() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// handle works on a claim and returns what the store is to do with it.
func (q *queue) handle(c Claim) Exchange {
	ctx, cancel := context.WithTimeout(q.outbox.delivering, deliveryLimit)
	defer cancel()
	to := *q.to.Load()
	m := Message{Value: q.outbox.Store.Open(sealName(q.name, c.Key, c.Prepared), c.Value)}
	m.ID, m.Attempt, _ = strings.Cut(c.Key, "#")
	var err error
	switch {
	case m.Value == nil:
		err = errUnreadable
	case c.Prepared:
		return q.resolve(ctx, c, m)
	default:
		err = to.Deliver(ctx, m)
	}
	return q.after(c, to.Pauses(), err)
}

// errUnreadable means that no key of this node opens the message: another node may have
// it, or somebody else writes in Redis.
var errUnreadable = errors.New("sealed under a key that this node does not have, or changed in Redis")

// after returns what follows the result of a delivery.
func (q *queue) after(c Claim, pauses []time.Duration, err error) Exchange {
	o, remove := q.outbox, Exchange{Remove: []string{c.Key}}
	log := o.Log.With("queue", q.name, "message", c.Key, "attempts", c.Attempts)
	switch {
	case err == nil:
		o.Metrics.IncMessages(q.name, ResultDelivered, 1)
		return remove
	case o.delivering.Err() != nil: // the node ends: another one takes over
		return Exchange{Retry: []Retry{{Key: c.Key, Attempts: c.Attempts}}}
	case errors.Is(err, ErrUnwanted):
		o.Metrics.IncMessages(q.name, ResultUnwanted, 1)
		return remove
	case errors.Is(err, ErrRefused):
		if !errors.Is(err, ErrLogged) {
			log.Error("message refused: it is not sent again", "error", err)
		}
		o.Metrics.IncMessages(q.name, ResultRefused, 1)
		return remove
	case c.Attempts > len(pauses):
		log.Error("message dropped after the last attempt", "age", c.Age, "error", err)
		o.Metrics.IncMessages(q.name, ResultDropped, 1)
		return remove
	}
	pause := jitter(pauses[c.Attempts-1])
	if wish := (*RetryError)(nil); errors.As(err, &wish) {
		pause = max(pause, min(wish.After, maxWish))
	}
	log.Warn("message not delivered; it is sent again", "after", pause, "error", err)
	o.Metrics.IncMessages(q.name, ResultRetried, 1)
	return Exchange{Retry: []Retry{{c.Key, c.Attempts, pause}}}
}

// maxWish bounds how long a destination may put off the next attempt.
const maxWish = time.Hour

// resolve returns what follows for a prepared message whose node did not settle it.
func (q *queue) resolve(ctx context.Context, c Claim, m Message) Exchange {
	fate, err := q.outbox.Resolve(ctx, q.name, m)
	switch {
	case err == nil && fate == Made:
		q.outbox.Log.Info("a message is settled whose node did not", "queue", q.name, "message", c.Key)
		return Exchange{Put: []Entry{q.outbox.entry(q.name, m, false)}}
	case err == nil && fate == NotMade || c.Age > Life/2:
		return Exchange{Remove: []string{c.Key}}
	case err != nil:
		q.outbox.Log.Warn("a prepared message is not resolved yet", "queue", q.name, "message", c.Key, "error", err)
	}
	return Exchange{Retry: []Retry{{c.Key, c.Attempts, resolveInterval}}}
}

// jitter returns the pause, up to a fifth shorter, so that nodes and messages do not come
// together.
func jitter(pause time.Duration) time.Duration {
	return pause - time.Duration(rand.Int64N(int64(pause)/5+1))
}
