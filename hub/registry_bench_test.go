package hub

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"loginhub/hub/ticket"
)

// idleWaiter is a waiter that does nothing.
type idleWaiter struct{ _ int }

func (*idleWaiter) transport() Transport   { return TransportSocket }
func (*idleWaiter) changed(*version, bool) {}
func (*idleWaiter) release(reason)         {}

// fullRegistry returns a registry with n waiters.
func fullRegistry(n int) *registry {
	r := newRegistry(1<<30, 20*time.Second)
	for i := range n {
		id := ticket.ID(strconv.Itoa(i))
		r.add(id, &idleWaiter{})
	}
	return r
}

// BenchmarkRegistryLogin measures the registry calls of one login, on all cores, among
// 10,000 waiters.
func BenchmarkRegistryLogin(b *testing.B) {
	r := fullRegistry(10_000)
	var next atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		w := &idleWaiter{}
		for p.Next() {
			id := ticket.ID("login" + strconv.FormatInt(next.Add(1), 10))
			now := time.Now()
			t := ticket.Ticket{ID: id, State: ticket.Pending, Seq: 1, Deadline: now.Add(time.Minute)}
			if err := r.add(id, w); err != nil {
				b.Error(err)
			}
			for range 4 { // attach, scan, confirm, ack
				r.apply(t, now)
				r.latest(id)
				t.Seq++
			}
			r.remove(id, w)
		}
	})
}

// BenchmarkRegistryApply measures one change of a ticket with a waiter. It allocates the
// version.
func BenchmarkRegistryApply(b *testing.B) {
	r := fullRegistry(10_000)
	t := ticket.Ticket{ID: "1", State: ticket.Pending, Deadline: time.Now().Add(time.Minute)}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		t.Seq++
		r.apply(t, now)
	}
}

// TestRegistry_ApplyAllocates: a change allocates its version, once for all waiters, and a
// sweep that finds nothing new allocates nothing.
func TestRegistry_ApplyAllocates(t *testing.T) {
	r := fullRegistry(100)
	v := ticket.Ticket{ID: "1", State: ticket.Pending, Deadline: time.Now().Add(time.Minute)}
	now := time.Now()
	for step, want := range []float64{0, 1} {
		if n := testing.AllocsPerRun(100, func() {
			v.Seq += int64(step)
			r.apply(v, now)
			r.latest(v.ID)
		}); n != want {
			t.Errorf("%v allocations, want %v", n, want)
		}
	}
}
