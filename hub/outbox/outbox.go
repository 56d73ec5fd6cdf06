package outbox

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"
)

// Destination delivers the messages of one queue. It is called from several goroutines.
type Destination interface {
	// Deliver delivers a message once. Errors: ErrRefused; ErrUnwanted; RetryError; any other means that
	// it is tried again after the next pause.
	Deliver(ctx context.Context, m Message) error
	// Pauses are the pauses before the second and each later attempt. After the last one a
	// message is dropped.
	Pauses() []time.Duration
}

// Fate is what became of the change that a prepared message reports.
type Fate int

// Fates of a change.
const (
	Undecided Fate = iota // it can still be made
	Made                  // the message is true
	NotMade               // the message is removed
)

// Results of a message, for the metrics.
const (
	ResultPut       = "put" // or settled
	ResultDelivered = "delivered"
	ResultRetried   = "retried"
	ResultRefused   = "refused"  // by the destination, for good
	ResultUnwanted  = "unwanted" // by its user
	ResultDropped   = "dropped"  // after the last attempt
	ResultFull      = "full"     // not put: the queue was full
)

// Results returns all results.
func Results() []string {
	return []string{ResultPut, ResultDelivered, ResultRetried, ResultRefused, ResultUnwanted, ResultDropped, ResultFull}
}

// Metrics receives measurements. Its methods must not block.
type Metrics interface {
	IncMessages(queue, result string, n int)
	// SetQueue records the number of messages in a queue, on all nodes together, and the
	// age of the oldest.
	SetQueue(queue string, depth int, oldest time.Duration)
	// ForgetQueue ends the measurements of a queue that this node no longer serves.
	ForgetQueue(queue string)
}

// Config configures an Outbox. All fields are required.
type Config struct {
	Store Store
	// Resolve returns what became of the change that a prepared message reports.
	Resolve func(ctx context.Context, queue string, m Message) (Fate, error)
	// Remember is how long the id of a message is remembered: as long as a repeated call can
	// put it again.
	Remember time.Duration
	Log      *slog.Logger
	Metrics  Metrics
}

// Outbox puts messages into queues and delivers them. It is safe for concurrent use.
type Outbox struct {
	Config
	running    context.Context // ends with Close: nothing more is claimed
	stop       context.CancelFunc
	delivering context.Context // ends closeLimit later
	abort      context.CancelFunc
	loops      sync.WaitGroup

	mu     sync.Mutex
	queues map[string]*queue
}

// Limits of the work of a node.
const (
	maxDeliveries   = 16               // at once, of one queue
	maxResolves     = 16               // likewise, of prepared messages
	deliveryLimit   = 15 * time.Second // of one delivery; a Destination has its own
	closeLimit      = 10 * time.Second // for the deliveries that run when the node ends
	pollInterval    = 5 * time.Second  // between two looks into a queue that is not due
	storeRetry      = time.Second      // after the store was not available
	renewInterval   = 2 * time.Second  // of the claims that are being delivered
	resolveInterval = 5 * time.Second  // after which a prepared message is looked at
	maxPending      = 1000             // settled messages and results that wait for the store
)

// New returns an Outbox without queues.
func New(c Config) *Outbox {
	o := &Outbox{Config: c, queues: map[string]*queue{}}
	o.running, o.stop = context.WithCancel(context.Background())
	o.delivering, o.abort = context.WithCancel(context.Background())
	return o
}

// Reload replaces the destinations, by queue. Messages in a queue without one stay in the
// store, for Life.
func (o *Outbox) Reload(destinations map[string]Destination) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, q := range o.queues {
		if destinations[name] == nil {
			q.stop()
			delete(o.queues, name)
			o.Metrics.ForgetQueue(name)
		}
	}
	for name, to := range maps.All(destinations) {
		q := o.queues[name]
		if q == nil && o.running.Err() == nil {
			q = o.newQueue(name)
			o.queues[name] = q
			q.to.Store(&to)
			o.loops.Go(q.run)
		} else if q != nil {
			q.to.Store(&to)
		}
	}
}

// Close stops claiming, gives the running deliveries ten seconds, and returns what is left
// to the other nodes.
func (o *Outbox) Close() {
	o.stop()
	late := time.AfterFunc(closeLimit, o.abort)
	defer late.Stop()
	o.loops.Wait()
	o.abort()
}

// Prepare puts messages that report a change which is about to be made. Without an error
// they survive the death of this node and the loss of the master. What has no room in the
// queue is dropped, logged and counted. It costs one command, and a WAIT with replicas.
func (o *Outbox) Prepare(ctx context.Context, queue string, messages ...Message) error {
	return o.put(ctx, queue, Exchange{WaitReplicas: true}, messages)
}

// Put puts messages that are true now. It costs one command.
func (o *Outbox) Put(ctx context.Context, queue string, messages ...Message) error {
	return o.put(ctx, queue, Exchange{}, messages)
}

// PutMinor is Put for messages that a stranger can cause. They take at most half of the
// queue.
func (o *Outbox) PutMinor(ctx context.Context, queue string, messages ...Message) error {
	return o.put(ctx, queue, Exchange{Limit: MaxMinor}, messages)
}

// put puts messages with x, as prepared if it waits for replicas.
func (o *Outbox) put(ctx context.Context, queue string, x Exchange, messages []Message) error {
	prepared := x.WaitReplicas
	for _, m := range messages {
		x.Put = append(x.Put, o.entry(queue, m, prepared))
	}
	r, err := o.Store.Exchange(ctx, queue, x)
	if err != nil {
		return fmt.Errorf("put into the outbox: %w", err)
	}
	if r.Full > 0 {
		o.Log.Error("the outbox is full: messages are dropped; look at why the queue is not delivered", "queue", queue, "dropped", r.Full, "limit", cmp.Or(x.Limit, MaxEntries))
		o.Metrics.IncMessages(queue, ResultFull, r.Full)
	}
	if !prepared {
		o.Metrics.IncMessages(queue, ResultPut, r.Settled)
		o.Settle(queue)
	}
	return nil
}

// Settle makes prepared messages due, because the change was made. It does not wait: if it
// is lost with this node, another one resolves the prepared messages.
func (o *Outbox) Settle(queue string, messages ...Message) {
	o.mu.Lock()
	q := o.queues[queue]
	o.mu.Unlock()
	if q == nil { // this node no longer serves the queue
		return
	}
	q.settle(messages)
}

// entry returns a message as the store keeps it.
func (o *Outbox) entry(queue string, m Message, prepared bool) Entry {
	e := Entry{Key: m.key(), ID: m.ID, Prepared: prepared, Remember: o.Remember}
	if prepared {
		e.After = resolveInterval
	}
	e.Value = o.Store.Seal(sealName(queue, e.Key, prepared), m.Value)
	return e
}

// sealName binds a value to its place. A prepared value does not pass as a settled one:
// who writes in Redis cannot make a message of a change that was not made.
func sealName(queue, key string, prepared bool) string {
	if prepared {
		return "outbox:" + queue + "/" + key + "/prepared"
	}
	return "outbox:" + queue + "/" + key
}
