package chaos_test

import (
	"context"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

func TestRedis_Stalled(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	w := scenario{nodes: startNodes(t, 2, redis.URL)}
	s := w.run(t, logins(t, 200), 40, fault{interval: 2 * time.Second, minTimes: 1, inject: func(ctx context.Context) {
		if err := redis.Stall(); err != nil {
			t.Errorf("stall: %v", err)
		}
		pause(ctx, 5*time.Second)
		if err := redis.Resume(); err != nil {
			t.Errorf("resume: %v", err)
		}
	}})
	complete(t, s)
}

func TestRedis_RestartedWithData(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t, "--appendfsync", "always")
	w := scenario{nodes: startNodes(t, 3, redis.URL)}
	s := w.run(t, logins(t, 200), 40, fault{interval: 700 * time.Millisecond, minTimes: 3, inject: func(context.Context) {
		redis.Kill(t)
		redis.Start(t)
	}})
	complete(t, s)
}

func TestRedis_RestartedEmpty(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	w := scenario{nodes: startNodes(t, 2, redis.URL), wiped: true}
	s := w.run(t, logins(t, 300), 40, fault{interval: time.Second, minTimes: 3, inject: func(context.Context) {
		redis.Kill(t)
		redis.Wipe(t)
		redis.Start(t)
	}})
	// Every page whose ticket was lost must have got an end.
	if s.Hung > 0 || s.Delivered+s.Wiped != s.Begun || s.Wiped > s.Affected || s.Delivered < s.Begun-s.Affected {
		t.Errorf("pages hang, or logins that no restart met did not come through: %s", s)
	}
}

func TestRedis_RefusesWrites(t *testing.T) {
	t.Parallel()
	// Redis refuses writes if it is full, or if it is no longer the master.
	for name, set := range map[string][2][]any{
		"full":      {{"CONFIG", "SET", "maxmemory", "1"}, {"CONFIG", "SET", "maxmemory", "0"}},
		"read-only": {{"REPLICAOF", "127.0.0.1", "1"}, {"REPLICAOF", "NO", "ONE"}},
	} {
		t.Run(name, func(t *testing.T) {
			redis := hubtest.StartRedis(t)
			w := scenario{nodes: startNodes(t, 3, redis.URL)}
			s := w.run(t, logins(t, 200), 40, fault{interval: 2 * time.Second, minTimes: 2, inject: func(ctx context.Context) {
				redis.Client.Do(ctx, set[0]...)
				pause(ctx, 3*time.Second)
				redis.Client.Do(ctx, set[1]...)
			}})
			complete(t, s)
			if s.Errors == 0 {
				t.Error("no phone was asked to try again: did Redis refuse anything?")
			}
		})
	}
}

func TestRedis_ScriptsFlushed(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	w := scenario{nodes: startNodes(t, 2, redis.URL)}
	s := w.run(t, logins(t, 200), 30, fault{interval: 20 * time.Millisecond, minTimes: 100, inject: func(ctx context.Context) {
		if err := redis.Client.ScriptFlush(ctx).Err(); err != nil {
			t.Errorf("script flush: %v", err)
		}
	}})
	complete(t, s)
	if s.Errors > 0 {
		t.Errorf("phones saw %d errors", s.Errors)
	}
}

func TestRedis_Slow(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	proxy := hubtest.StartProxy(t, redis)
	proxy.Latency(200 * time.Millisecond) // in each direction
	s := scenario{nodes: startNodes(t, 3, proxy.URL)}.run(t, logins(t, 200), 60, fault{})
	complete(t, s)
	// A confirm needs a read, a change and a publication.
	if s.waited(0) < 3*200*time.Millisecond {
		t.Errorf("a token came %v after its confirm: was Redis slow?", s.waited(0))
	}
	if s.Errors > 0 {
		t.Errorf("phones saw %d errors", s.Errors)
	}
}
