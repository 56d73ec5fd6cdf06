package chaos_test

import (
	"context"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

func TestRedisStalledForFiveSeconds(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	w := world{nodes: three(t, redis.URL)}
	total := logins(t, 200)
	s := w.run(t, total, 40, func(ctx context.Context) {
		pause(ctx, 500*time.Millisecond)
		if err := redis.Stall(); err != nil {
			t.Errorf("stall: %v", err)
		}
		pause(context.Background(), 5*time.Second)
		if err := redis.Resume(); err != nil {
			t.Errorf("resume: %v", err)
		}
	})
	complete(t, s, total)
}

func TestRedisRestartedWithItsData(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	w := world{nodes: three(t, redis.URL)}
	total := logins(t, 200)
	s := w.run(t, total, 40, func(ctx context.Context) {
		for range 2 {
			pause(ctx, 700*time.Millisecond)
			redis.Kill(t)
			redis.Start(t)
		}
	})
	complete(t, s, total)
}

func TestRedisRestartedEmptyHangsNoPage(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	w := world{nodes: three(t, redis.URL)}
	entry := oneOf(w.nodes...)
	pages := make([]*hubtest.Page, 50)
	ctx, cancel := hubtest.Limit(90 * time.Second)
	defer cancel()
	ended := make(chan *hubtest.Page, len(pages))
	for i := range pages {
		pages[i] = &hubtest.Page{Entry: entry}
		if err := pages[i].Make(ctx); err != nil {
			t.Fatal(err)
		}
		go func() {
			if err := pages[i].Wait(ctx); err != nil {
				t.Errorf("page %d hangs: %v", i, err)
			}
			ended <- pages[i]
		}()
	}
	redis.Kill(t)
	redis.Start(t)
	for range pages {
		if p := <-ended; p.End != "expired" && p.End != "gone" {
			t.Errorf("a page ended with %q", p.End)
		}
	}
	total := 20
	complete(t, w.run(t, total, 10, func(context.Context) {}), total)
}

func TestRedisRefusesWrites(t *testing.T) {
	t.Parallel()
	// Both ways out of which Redis says no: full, and no longer the master.
	for name, set := range map[string][2][]any{
		"full":      {{"CONFIG", "SET", "maxmemory", "1"}, {"CONFIG", "SET", "maxmemory", "0"}},
		"read-only": {{"REPLICAOF", "127.0.0.1", "1"}, {"REPLICAOF", "NO", "ONE"}},
	} {
		t.Run(name, func(t *testing.T) {
			redis := hubtest.StartRedis(t, "--maxmemory-policy", "noeviction")
			nodes := three(t, redis.URL)
			total := logins(t, 100)
			s := world{nodes: nodes}.run(t, total, 25, func(ctx context.Context) {
				pause(ctx, 500*time.Millisecond)
				redis.Client.Do(ctx, set[0]...)
				pause(ctx, 3*time.Second)
				redis.Client.Do(context.Background(), set[1]...)
			})
			complete(t, s, total)
		})
	}
}

func TestScriptsFlushedAgainAndAgain(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	w := world{nodes: three(t, redis.URL)}
	total := logins(t, 200)
	s := w.run(t, total, 30, func(ctx context.Context) {
		again(ctx, 20*time.Millisecond, func() { redis.Client.ScriptFlush(ctx) })
	})
	complete(t, s, total)
	if s.Errors > 0 {
		t.Errorf("phones saw %d errors", s.Errors)
	}
}

func TestRedisIsSlow(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	proxy := hubtest.StartProxy(t, redis)
	proxy.Latency(200 * time.Millisecond) // each way
	total := logins(t, 200)
	s := world{nodes: three(t, proxy.URL)}.run(t, total, 60, func(context.Context) {})
	complete(t, s, total)
	if s.Errors > 0 {
		t.Errorf("phones saw %d errors", s.Errors)
	}
}
