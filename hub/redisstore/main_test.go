package redisstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

// TestMain fails a run that leaves goroutines behind.
func TestMain(m *testing.M) {
	// The library's search for a server that is gone ends within a second after Close.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// fixture is a store on one kind of Redis.
type fixture struct {
	*Store
	masters int
	inspect redis.UniversalClient // with the operator's rights
}

// newFixture returns a store on the Redis at url, which has the given number of masters.
func newFixture(t testing.TB, url string, masters int) *fixture {
	t.Helper()
	r := &fixture{Store: openStore(t, url), masters: masters}
	r.inspect = r.client
	if url != Embedded {
		r.inspect = openStore(t, hubtest.AdminURL(url)).client
	}
	return r
}

// ticketKey returns the key under which this store creates a ticket.
func (r *fixture) ticketKey(id ticket.ID) string { return r.names().place(id, r.Sharded).key }

// publish publishes a message to a node's mailbox from the ticket's master, as change.lua
// does.
func (r *fixture) publish(t testing.TB, id ticket.ID, node, message string) {
	t.Helper()
	command, at := "PUBLISH", r.names().mailbox(node)
	if r.Sharded {
		command, at = "SPUBLISH", r.names().place(id, true).mailboxes+node
	}
	if err := r.inspect.Eval(limit(t), "return redis.call(ARGV[1], ARGV[2], ARGV[3])", []string{r.ticketKey(id)}, command, at, message).Err(); err != nil {
		t.Fatal(err)
	}
}

// openStore opens a store and closes it with the test.
func openStore(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestStore_EveryTopology runs every case on a redis-server, on the embedded Redis and
// on a Cluster of three masters.
func TestStore_EveryTopology(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *fixture{
		"embedded":     func(t *testing.T) *fixture { return newFixture(t, Embedded, 1) },
		"redis-server": func(t *testing.T) *fixture { return newFixture(t, hubtest.StartRedis(t).URL, 1) },
		"cluster":      func(t *testing.T) *fixture { return newFixture(t, hubtest.StartCluster(t, 0).URL, 3) },
		"sharded": func(t *testing.T) *fixture {
			r := newFixture(t, hubtest.StartCluster(t, 0).URL, 3)
			r.Sharded = true
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			for _, some := range []map[string]func(*testing.T, *fixture){createCases, attachCases, changeCases, mailboxCases, switchCases, nodeCases, outboxCases} {
				for name, run := range some {
					t.Run(name, func(t *testing.T) { run(t, r) })
				}
			}
		})
	}
}

func redisZ(score float64, member string) redis.Z { return redis.Z{Score: score, Member: member} }

// limit returns the context of one case.
func limit(t testing.TB) context.Context {
	ctx, cancel := hubtest.WithTimeout(time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func newID() ticket.ID { return ticket.NewSecret().ID() }

// record returns bytes that look like a sealed record, which the store does not check.
// The tag is the part before the JSON.
func record(version int, tag string) []byte {
	return fmt.Appendf(nil, `1.kid.%s%d.{"seq":%d}`, tag, version, version)
}

// tag returns what a change of that version compares.
func tag(sealed []byte) []byte { return sealed[:len(sealed)-len(`{"seq":1}`)] }

// created creates a ticket and returns its id, record and deadline.
func (r *fixture) created(t testing.TB, life time.Duration) (ticket.ID, []byte, time.Time) {
	t.Helper()
	id, sealed := newID(), record(1, "made")
	deadline := r.clock(t).Add(life)
	if made, err := r.Create(limit(t), id, sealed, deadline, life); err != nil || !made {
		t.Fatalf("make: %v %v", made, err)
	}
	return id, sealed, deadline
}

// clock returns Redis's clock, read directly.
func (r *fixture) clock(t testing.TB) time.Time {
	t.Helper()
	now, err := r.inspect.Time(limit(t)).Result()
	if err != nil {
		t.Fatal(err)
	}
	return now.Truncate(time.Millisecond)
}

// storedRecord returns the record as stored in Redis, or nil.
func (r *fixture) storedRecord(t testing.TB, id ticket.ID) []byte {
	t.Helper()
	got, err := r.inspect.HGet(limit(t), r.ticketKey(id), "rec").Bytes()
	if err != nil && err != redis.Nil {
		t.Fatal(err)
	}
	return got
}

// recordedNodes returns the nodes in the record.
func (r *fixture) recordedNodes(t testing.TB, id ticket.ID) string {
	t.Helper()
	got, err := r.inspect.HGet(limit(t), r.ticketKey(id), "nodes").Result()
	if err != nil && err != redis.Nil {
		t.Fatal(err)
	}
	return got
}

// assertExpiry fails if the record does not expire at about that time.
func (r *fixture) assertExpiry(t testing.TB, id ticket.ID, at time.Time) {
	t.Helper()
	before := r.clock(t)
	left, err := r.inspect.PTTL(limit(t), r.ticketKey(id)).Result()
	after := r.clock(t) // much later on a busy machine
	if err != nil || left < at.Sub(after)-500*time.Millisecond || left > at.Sub(before)+500*time.Millisecond {
		t.Errorf("the record expires in %v, want %v to %v (%v)", left, at.Sub(after), at.Sub(before), err)
	}
}

// attach records node on one ticket, and returns what is stored.
func (r *fixture) attach(t testing.TB, node string, id ticket.ID) ticket.Stored {
	t.Helper()
	found, err := r.Attach(limit(t), node, id)
	if err != nil || len(found) != 1 {
		t.Fatalf("attach: %v %v", found, err)
	}
	return found[0]
}

// change makes one change, and returns its outcome.
func (r *fixture) change(t testing.TB, c ticket.Change) ticket.Outcome {
	t.Helper()
	out, err := r.Change(limit(t), c)
	if err != nil || len(out) != 1 {
		t.Fatalf("change: %v %v", out, err)
	}
	return out[0]
}

// inbox is a subscribed mailbox.
type inbox struct {
	fixture    *fixture
	node       string
	subscribed chan struct{} // once per subscription
	mail       chan string
	end        context.CancelFunc
	ended      chan error // what Listen returned
}

// listen subscribes to a new node's mailbox until the end of the test.
func (r *fixture) listen(t testing.TB) *inbox {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b := &inbox{r, string(newID()), make(chan struct{}, 100), make(chan string, 1000), cancel, make(chan error, 1)}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		b.ended <- r.Listen(ctx, b.node, func() { b.subscribed <- struct{}{} }, func(m []byte) { b.mail <- string(m) })
	}()
	t.Cleanup(func() {
		cancel()
		await(t, gone, "Listen ends with the test")
	})
	await(t, b.subscribed, "subscribed")
	return b
}

// await receives one value, within a minute.
func await[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(time.Minute):
		t.Fatalf("not within a minute: %s", what)
		panic("unreachable")
	}
}

// drain returns all messages that the master of the ticket has published up to now.
func (b *inbox) drain(t testing.TB, id ticket.ID) []string {
	t.Helper()
	end := "end " + string(newID())
	// The same master must publish it: a Cluster does not keep the order across masters.
	b.fixture.publish(t, id, b.node, end)
	var all []string
	for {
		m := await(t, b.mail, "the last of the mail")
		if m == end {
			return all
		}
		all = append(all, m)
	}
}
