package chaos_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

func TestMailbox_SubscriptionsKilled(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	w := scenario{nodes: startNodes(t, 3, redis.URL)}
	s := w.run(t, logins(t, 300), 30, fault{interval: 50 * time.Millisecond, minTimes: 60, inject: func(ctx context.Context) {
		if err := redis.Client.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
			t.Errorf("client kill: %v", err)
		}
	}})
	complete(t, s)
}

func TestMailbox_BlackHole(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	proxy := hubtest.StartProxy(t, redis)
	cut := startNode(t, proxy.URL)
	well := startNode(t, redis.URL)
	// Pages use either node; phones use the healthy one.
	w := scenario{nodes: []*hubtest.Node{cut, well}, phone: oneOf(well)}
	s := w.run(t, logins(t, 200), 40, fault{interval: time.Second, minTimes: 2, inject: func(ctx context.Context) {
		proxy.Pause()
		waitReadyz(t, 503, cut)
		pause(ctx, 4*time.Second)
		proxy.Resume()
		waitReadyz(t, 200, cut)
	}})
	complete(t, s)
	if s.Closed == 0 {
		t.Error("the stalled node closed no socket")
	}
}

func TestMailbox_MasterRefusesWrites(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	nodes := startNodes(t, 2, redis.URL)
	w := scenario{nodes: nodes}
	s := w.run(t, logins(t, 200), 40, fault{interval: time.Second, minTimes: 2, inject: func(ctx context.Context) {
		redis.Client.ConfigSet(ctx, "min-replicas-to-write", "1")
		waitReadyz(t, 503, nodes...)
		redis.Client.ConfigSet(ctx, "min-replicas-to-write", "0")
		waitReadyz(t, 200, nodes...)
	}})
	complete(t, s)
}

// waitReadyz waits until /readyz of all nodes has that status.
func waitReadyz(t *testing.T, status int, nodes ...*hubtest.Node) {
	t.Helper()
	for i, n := range nodes {
		hubtest.Eventually(t, 15*time.Second, fmt.Sprintf("/readyz of node %d is %d", i, status), func() bool { return n.Get("/readyz") == status })
	}
}
