package chaos_test

import (
	"context"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

func TestEveryNodesSubscriptionKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	w := world{nodes: three(t, redis.URL)}
	total := logins(t, 300)
	s := w.run(t, total, 30, func(ctx context.Context) {
		again(ctx, 50*time.Millisecond, func() { redis.Client.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub") })
	})
	complete(t, s, total)
}

func TestALinkThatIsUpAndDeliversNothing(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	proxy := hubtest.StartProxy(t, redis)
	cut := start(t, proxy.URL)
	well := start(t, redis.URL)
	// Pages come to either node; phones to the one that is well.
	w := world{nodes: []*hubtest.Node{cut, well}, phone: oneOf(well)}
	total := logins(t, 200)
	s := w.run(t, total, 40, func(ctx context.Context) {
		for ctx.Err() == nil {
			pause(ctx, time.Second)
			proxy.Pause()
			hubtest.Eventually(t, 10*time.Second, "the node says that it is not ready", func() bool { return cut.Get("/readyz") == 503 })
			pause(ctx, 4*time.Second)
			proxy.Resume()
			hubtest.Eventually(t, 15*time.Second, "the node is ready again", func() bool { return cut.Get("/readyz") == 200 })
		}
	})
	complete(t, s, total)
}

func TestAMasterThatPublishesButRefusesWrites(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	nodes := three(t, redis.URL)
	w := world{nodes: nodes}
	total := logins(t, 200)
	s := w.run(t, total, 40, func(ctx context.Context) {
		pause(ctx, 500*time.Millisecond)
		redis.Client.ConfigSet(ctx, "min-replicas-to-write", "1")
		for _, n := range nodes {
			hubtest.Eventually(t, 10*time.Second, "every node says that it is not ready", func() bool { return n.Get("/readyz") == 503 })
		}
		redis.Client.ConfigSet(context.Background(), "min-replicas-to-write", "0")
		for _, n := range nodes {
			hubtest.Eventually(t, 10*time.Second, "every node is ready again", func() bool { return n.Get("/readyz") == 200 })
		}
	})
	complete(t, s, total)
}
