package chaos_test

import (
	"context"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// TestRedis_Away covers a Redis that stalls or restarts.
func TestRedis_Away(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	f.run(t, []faultCase{
		{name: "stalled for 5 s", phoneErrors: true,
			fault: fault{interval: time.Second, minTimes: 1, maxTimes: once(), inject: func(t *testing.T, ctx context.Context) {
				check(t, f.redis.Stall())
				pause(ctx, 5*time.Second)
				check(t, f.redis.Resume())
			}}},
		{name: "restarted with data", phoneErrors: true,
			fault: fault{interval: 700 * time.Millisecond, minTimes: 3, inject: func(t *testing.T, _ context.Context) {
				f.redis.Kill()
				f.redis.Start(t)
			}}},
		{name: "restarted empty", phoneErrors: true, ways: func(w *scenario) { w.wiped = true },
			fault: fault{interval: time.Second, minTimes: 2, inject: func(t *testing.T, _ context.Context) {
				f.redis.Kill()
				f.redis.Wipe(t)
				f.redis.Start(t)
			}},
			check: func(t *testing.T, s *stats) { // every page whose ticket was lost has an end
				if s.Hung > 0 || s.Delivered+s.Wiped != s.Begun || s.Wiped > s.Affected || s.Delivered < s.Begun-s.Affected {
					t.Errorf("pages hang, or logins that no restart met did not come through: %s", s)
				}
			}},
	})
}

// TestRedis_Answers covers a Redis that refuses writes, forgets its scripts or is slow.
func TestRedis_Answers(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	// refuse makes Redis refuse writes until the nodes have noticed.
	refuse := func(begin, end []any) fault {
		return fault{interval: time.Second, minTimes: 1, maxTimes: once(), inject: func(t *testing.T, ctx context.Context) {
			f.command(t, ctx, begin...)
			waitReadyz(t, 503, f.nodes...)
			f.command(t, ctx, end...)
			waitReadyz(t, 200, f.nodes...)
		}}
	}
	f.run(t, []faultCase{
		{name: "full", phoneErrors: true, check: sawErrors,
			fault: refuse([]any{"CONFIG", "SET", "maxmemory", "1"}, []any{"CONFIG", "SET", "maxmemory", "0"})},
		{name: "read-only", phoneErrors: true, check: sawErrors,
			fault: refuse([]any{"REPLICAOF", "127.0.0.1", "1"}, []any{"REPLICAOF", "NO", "ONE"})},
		{name: "too few replicas", phoneErrors: true, check: sawErrors,
			fault: refuse([]any{"CONFIG", "SET", "min-replicas-to-write", "1"}, []any{"CONFIG", "SET", "min-replicas-to-write", "0"})},
		{name: "scripts flushed",
			fault: fault{interval: 20 * time.Millisecond, minTimes: 50, inject: func(t *testing.T, ctx context.Context) {
				f.command(t, ctx, "SCRIPT", "FLUSH")
			}}},
		{name: "200 ms late each way",
			fault: fault{interval: 500 * time.Millisecond, minTimes: 1, maxTimes: 1, inject: func(_ *testing.T, ctx context.Context) {
				f.each(func(p *hubtest.Proxy) { p.Latency(200 * time.Millisecond) })
				pause(ctx, 3*time.Second)
				f.each(func(p *hubtest.Proxy) { p.Latency(0) })
			}},
			check: func(t *testing.T, s *stats) { // a confirm needs a read, a change and a publication
				if s.waited(1) < 3*200*time.Millisecond {
					t.Errorf("every token came within %v: was Redis slow?", s.waited(1))
				}
			}},
	})
}
