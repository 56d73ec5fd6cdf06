package chaos_test

import (
	"context"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// startProxiedNodes starts nodes, each with its own PubSubProxy: CHAOS_NODES, or usual.
func startProxiedNodes(t *testing.T, usual int) (nodes []*hubtest.Node, all []*hubtest.PubSubProxy) {
	t.Helper()
	redis := hubtest.StartRedis(t)
	for range intFromEnv(t, "CHAOS_NODES", usual) {
		line := hubtest.StartPubSubProxy(t, redis)
		all = append(all, line)
		nodes = append(nodes, startNode(t, line.URL))
	}
	return nodes, all
}

func TestSilence_ResubscribedBeforeStalled(t *testing.T) {
	t.Parallel()
	nodes, lines := startProxiedNodes(t, 3)
	i := 0
	s := scenario{nodes: nodes}.run(t, logins(t, 300), 40, fault{interval: 1500 * time.Millisecond, minTimes: len(lines), inject: func(context.Context) {
		line, node := lines[i%len(lines)], nodes[i%len(nodes)]
		if n := line.Mute(); n != 1 {
			t.Errorf("%d subscriptions were muted, want 1", n)
		}
		if _, mute := line.Links(); mute != 1 {
			t.Errorf("%d mute links are up", mute)
		}
		// Only the node itself ends the muted connection.
		hubtest.Eventually(t, 10*time.Second, "the node has subscribed again", func() bool {
			deliver, mute := line.Links()
			return deliver == 1 && mute == 0
		})
		if status := node.Get("/readyz"); status != 200 {
			t.Errorf("readyz %d", status)
		}
		i++
	}})
	complete(t, s)
	if s.Errors > 0 || s.Closed > 0 {
		t.Errorf("phones saw %d errors, %d sockets were closed", s.Errors, s.Closed)
	}
}

func TestSilence_StalledNode(t *testing.T) {
	t.Parallel()
	nodes, lines := startProxiedNodes(t, 2)
	i := 0
	s := scenario{nodes: nodes}.run(t, logins(t, 200), 40, fault{interval: time.Second, minTimes: 2, inject: func(ctx context.Context) {
		line, node := lines[i%len(lines)], nodes[i%len(nodes)]
		if n := line.MuteNew(); n != 1 {
			t.Errorf("%d subscriptions were muted, want 1", n)
		}
		waitReadyz(t, 503, node)
		pause(ctx, 3*time.Second) // while it closes its pages
		line.Release()
		waitReadyz(t, 200, node)
		i++
	}})
	complete(t, s)
	if s.Closed == 0 {
		t.Error("the stalled node closed no socket")
	}
}

func TestSilence_Short(t *testing.T) {
	t.Parallel()
	for name, silence := range map[string]struct {
		begin, end func(*hubtest.Redis, *hubtest.Proxy)
	}{
		"what is sent is lost": {
			func(_ *hubtest.Redis, p *hubtest.Proxy) { p.Pause() },
			func(_ *hubtest.Redis, p *hubtest.Proxy) { p.Resume() }},
		"connections are cut": {
			func(_ *hubtest.Redis, p *hubtest.Proxy) { p.Cut() },
			func(_ *hubtest.Redis, p *hubtest.Proxy) { p.Cut() }},
		"Redis itself stalls": {
			func(r *hubtest.Redis, _ *hubtest.Proxy) { r.Stall() },
			func(r *hubtest.Redis, _ *hubtest.Proxy) { r.Resume() }},
		"cut and nothing passes": {
			func(_ *hubtest.Redis, p *hubtest.Proxy) { p.Pause(); p.Cut() },
			func(_ *hubtest.Redis, p *hubtest.Proxy) { p.Resume() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := hubtest.StartRedis(t)
			proxy := hubtest.StartProxy(t, redis)
			well, node := startNode(t, redis.URL), startNode(t, proxy.URL)
			// Pages use either node; phones use the healthy one.
			w := scenario{nodes: []*hubtest.Node{well, node}, phone: oneOf(well)}
			s := w.run(t, logins(t, 200), 30, fault{interval: 3 * time.Second, minTimes: 2, inject: func(ctx context.Context) {
				silence.begin(redis, proxy)
				pause(ctx, 1500*time.Millisecond)
				silence.end(redis, proxy)
			}})
			complete(t, s)
			if s.Closed > 0 {
				t.Errorf("%d sockets were closed", s.Closed)
			}
		})
	}
}
