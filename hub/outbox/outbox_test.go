package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/hub/outbox"
	"loginhub/hub/redisstore"
)

// openStore opens the in-process Redis, whose clock is that of the test's bubble.
func openStore(t *testing.T) outbox.Store {
	t.Helper()
	s, err := redisstore.Open(redisstore.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	ring, err := redisstore.NewSecretKeyring([]redisstore.SecretKey{{ID: "k", Key: make([]byte, 32), AES: make([]byte, 32)}})
	if err != nil {
		t.Fatal(err)
	}
	return redisstore.NewOutbox(s.SecretStore(ring))
}

// node is a node of a test. Its destination records the deliveries.
type node struct {
	*outbox.Outbox
	outbox.Store
	answer func(ctx context.Context, m outbox.Message) error
	fate   atomic.Int32 // outbox.Fate
	dead   atomic.Bool  // the store is not reached any more

	mu    sync.Mutex
	start time.Time
	got   []string // id and time since the start, in whole seconds
	count map[string]int
}

var pauses = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute}

func newNode(t *testing.T, store outbox.Store, queues ...string) *node {
	n := &node{Store: store, start: time.Now(), count: map[string]int{}, answer: func(context.Context, outbox.Message) error { return nil }}
	n.Outbox = outbox.New(outbox.Config{Store: n, Metrics: n, Log: slog.New(slog.DiscardHandler), Remember: time.Minute,
		Resolve: func(context.Context, string, outbox.Message) (outbox.Fate, error) {
			return outbox.Fate(n.fate.Load()), nil
		}})
	to := map[string]outbox.Destination{}
	for _, name := range queues {
		to[name] = n
	}
	n.Reload(to)
	t.Cleanup(n.Close)
	return n
}

// Exchange implements outbox.Store.
func (n *node) Exchange(ctx context.Context, queue string, x outbox.Exchange) (outbox.Reply, error) {
	if n.dead.Load() {
		return outbox.Reply{}, errors.New("dead")
	}
	return n.Store.Exchange(ctx, queue, x)
}

// Deliver implements outbox.Destination.
func (n *node) Deliver(ctx context.Context, m outbox.Message) error {
	n.mu.Lock()
	n.got = append(n.got, fmt.Sprintf("%s %s %v", m.ID, m.Value, time.Since(n.start).Round(time.Second)))
	n.mu.Unlock()
	return n.answer(ctx, m)
}

// Pauses implements outbox.Destination.
func (n *node) Pauses() []time.Duration { return pauses }

// IncMessages implements outbox.Metrics.
func (n *node) IncMessages(_, result string, by int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count[result] += by
}

// SetQueue and ForgetQueue implement outbox.Metrics.
func (n *node) SetQueue(_ string, depth int, _ time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count["depth"] = depth
}
func (n *node) ForgetQueue(string) {}

// after lets time pass, and returns the deliveries and the number of messages that wait.
func (n *node) after(d time.Duration) (got []string, depth int) {
	time.Sleep(d) // of the bubble
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.got), n.count["depth"]
}

func message(id string) outbox.Message {
	return outbox.Message{ID: id, Attempt: "1", Value: []byte("of " + id)}
}

// TestOutbox_Attempts: what follows each result of a delivery.
func TestOutbox_Attempts(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	for name, c := range map[string]struct {
		answers  []error
		earliest []time.Duration // of each attempt
		result   string
	}{
		"delivered": {[]error{nil}, []time.Duration{0}, outbox.ResultDelivered},
		"refused":   {[]error{outbox.ErrRefused}, []time.Duration{0}, outbox.ResultRefused},
		"unwanted":  {[]error{outbox.ErrUnwanted}, []time.Duration{0}, outbox.ResultUnwanted},
		"repeated":  {[]error{failed, failed, nil}, []time.Duration{0, 4 * time.Second, 28 * time.Second}, outbox.ResultDelivered},
		"dropped":   {[]error{failed, failed, failed, failed}, []time.Duration{0, 4 * time.Second, 28 * time.Second, 124 * time.Second}, outbox.ResultDropped},
		"asked for time": {[]error{&outbox.RetryError{After: time.Minute, Err: failed}, &outbox.RetryError{After: 24 * time.Hour, Err: failed}, nil},
			[]time.Duration{0, time.Minute, 61 * time.Minute}, outbox.ResultDelivered},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, openStore(t), "q")
				var times []time.Duration
				n.answer = func(context.Context, outbox.Message) error {
					n.mu.Lock()
					defer n.mu.Unlock()
					times = append(times, time.Since(n.start))
					return c.answers[len(times)-1]
				}
				if err := n.Put(t.Context(), "q", message("a")); err != nil {
					t.Fatal(err)
				}
				if _, depth := n.after(4*time.Minute + c.earliest[len(c.earliest)-1]); depth != 0 || n.count[c.result] != 1 || n.count[outbox.ResultRetried] != len(c.answers)-1 || len(times) != len(c.answers) {
					t.Errorf("%d wait, counted %v, attempts %v", depth, n.count, times)
				}
				for i, at := range times {
					if at < c.earliest[i] || at > c.earliest[i]*5/4+time.Second {
						t.Errorf("attempt %d after %v, not before %v", i+1, at, c.earliest[i])
					}
				}
			})
		})
	}
}

// TestOutbox_Prepared: a message is delivered when it is settled, or when its node has died
// after the change, and once.
func TestOutbox_Prepared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := openStore(t)
		one, two := newNode(t, store, "q"), newNode(t, store, "q")
		both := func(f outbox.Fate) {
			one.fate.Store(int32(f))
			two.fate.Store(int32(f))
		}
		prepare := func(id string) outbox.Message {
			m := message(id)
			if err := one.Prepare(t.Context(), "q", m); err != nil {
				t.Fatal(err)
			}
			return m
		}
		m := prepare("settled")
		if got, _ := one.after(4 * time.Second); len(got) > 0 {
			t.Errorf("before the change: %q", got)
		}
		one.Settle("q", m)
		one.Settle("q", m)
		prepare("undecided")
		one.after(30 * time.Second)
		both(outbox.Made)
		one.after(10 * time.Second)
		both(outbox.NotMade)
		prepare("not made")
		_, depth := one.after(20 * time.Second)
		got := slices.Concat(one.got, two.got)
		if slices.Sort(got); len(got) != 2 || got[0] != "settled of settled 4s" || got[1][:len("undecided of undecided 3")] != "undecided of undecided 3" || depth != 0 {
			t.Errorf("delivered %q, %d wait", got, depth)
		}
		if put := one.count[outbox.ResultPut] + two.count[outbox.ResultPut]; put != 2 {
			t.Errorf("%d messages are counted as put", put)
		}
	})
}

// TestOutbox_Forged: who writes in Redis cannot turn a prepared message into a settled one,
// nor move it.
func TestOutbox_Forged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := openStore(t)
		spy := &recorder{Store: store}
		n := newNode(t, spy, "q", "other")
		if err := n.Prepare(t.Context(), "q", message("a")); err != nil {
			t.Fatal(err)
		}
		forged := spy.put
		forged.Prepared = false
		moved := forged
		moved.Key, moved.ID = "b#1", "b"
		for queue, e := range map[string]outbox.Entry{"q": moved, "other": forged} {
			if _, err := store.Exchange(t.Context(), queue, outbox.Exchange{Put: []outbox.Entry{e}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := store.Exchange(t.Context(), "q", outbox.Exchange{Put: []outbox.Entry{forged}}); err != nil {
			t.Fatal(err)
		}
		if got, depth := n.after(5 * time.Minute); len(got) != 0 || depth != 0 || n.count[outbox.ResultDropped] != 3 {
			t.Errorf("delivered %q, %d wait, counted %v", got, depth, n.count)
		}
	})
}

// recorder keeps the last entry that was put.
type recorder struct {
	outbox.Store
	put outbox.Entry
}

// Exchange implements outbox.Store.
func (r *recorder) Exchange(ctx context.Context, queue string, x outbox.Exchange) (outbox.Reply, error) {
	if len(x.Put) > 0 {
		r.put = x.Put[0]
	}
	return r.Store.Exchange(ctx, queue, x)
}

// TestOutbox_Hanging: a hanging destination keeps its claim and delays no other queue; the
// claims of a node that dies come back within the lease.
func TestOutbox_Hanging(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := openStore(t)
		one, two := newNode(t, store, "hangs", "q"), newNode(t, store, "hangs")
		one.answer = func(ctx context.Context, m outbox.Message) error {
			if m.ID == "next" {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		synctest.Wait()
		for i := range 40 {
			if err := one.Put(t.Context(), "hangs", message(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := one.Put(t.Context(), "q", message("next")); err != nil {
			t.Fatal(err)
		}
		one.after(14 * time.Second)
		if len(one.got) != 17 || !slices.Contains(one.got, "next of next 0s") || len(two.got) != 24 {
			t.Errorf("one node delivers %q, the other %q", one.got, two.got)
		}
		one.dead.Store(true)
		if got, _ := two.after(outbox.Lease + time.Second); len(got) != 40 {
			t.Errorf("the other node delivers %d of 40", len(got))
		}
	})
}

// TestOutbox_ResolvesBehindHanging: what a dead node did not settle does not wait behind a
// hanging destination, because its change cannot be looked up for long.
func TestOutbox_ResolvesBehindHanging(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := openStore(t)
		one, dead := newNode(t, store, "q"), newNode(t, store)
		one.answer = func(ctx context.Context, _ outbox.Message) error {
			<-ctx.Done()
			return ctx.Err()
		}
		var waiting []outbox.Message
		for i := range 500 {
			waiting = append(waiting, message(fmt.Sprint(i)))
		}
		if err := errors.Join(one.Put(t.Context(), "q", waiting...), dead.Prepare(t.Context(), "q", message("of a dead node"))); err != nil {
			t.Fatal(err)
		}
		one.fate.Store(int32(outbox.Made))
		one.after(10 * time.Second)
		one.mu.Lock()
		defer one.mu.Unlock()
		if n := one.count[outbox.ResultPut]; n != 501 {
			t.Errorf("%d of 501 messages are put or settled", n)
		}
	})
}

// TestOutbox_Close: running deliveries get their time, and what is left comes from another
// node at once.
func TestOutbox_Close(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := openStore(t)
		one, two := newNode(t, store, "q"), newNode(t, store)
		one.answer = func(ctx context.Context, m outbox.Message) error {
			select {
			case <-time.After(map[string]time.Duration{"slow": 8 * time.Second, "endless": time.Hour}[m.ID]):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		for _, id := range []string{"slow", "endless"} {
			if err := one.Put(t.Context(), "q", message(id)); err != nil {
				t.Fatal(err)
			}
		}
		one.after(time.Second)
		one.Close()
		if took := time.Since(one.start); took > 12*time.Second {
			t.Errorf("Close took %v", took)
		}
		if err := one.Put(t.Context(), "q", message("late")); err != nil {
			t.Fatal(err)
		}
		two.Reload(map[string]outbox.Destination{"q": two})
		got, depth := two.after(time.Second)
		if slices.Sort(got); len(got) != 2 || got[0][:8] != "endless " || got[1][:5] != "late " || depth != 0 {
			t.Errorf("the other node delivers %q, %d wait", got, depth)
		}
	})
}
