package chaos_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// fleet is three nodes behind the shipped nginx. A node that has gone is started
// again at its place.
type fleet struct {
	nodes []*hubtest.Node
	url   string // nginx's
}

func startFleet(t *testing.T, redisURL string, settings ...string) *fleet {
	t.Helper()
	f := &fleet{nodes: three(t, redisURL, settings...)}
	var hosts []string
	for _, n := range f.nodes {
		hosts = append(hosts, strings.TrimPrefix(n.URL, "http://"))
	}
	f.url = hubtest.StartNginx(t, conf, hosts, nil)
	return f
}

func (f *fleet) entry() string { return f.url }

func TestANodeKilledWhileLoginsGoOn(t *testing.T) {
	t.Parallel()
	for _, victims := range []int{1, 2} {
		t.Run(map[int]string{1: "one", 2: "two at once"}[victims], func(t *testing.T) {
			redis := hubtest.StartRedis(t)
			f := startFleet(t, redis.URL)
			total := logins(t, 150)
			s := world{nodes: f.nodes, entry: f.entry}.run(t, total, 30, func(ctx context.Context) {
				for i := 0; ctx.Err() == nil; i++ {
					pause(ctx, time.Second)
					for v := range victims {
						f.nodes[(i+v)%3].Kill()
					}
					pause(ctx, time.Second)
					for v := range victims {
						f.nodes[(i+v)%3].Restart(t)
					}
				}
			})
			complete(t, s, total)
		})
	}
}

func TestARollingRestartShowsNoPhoneAnError(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	f := startFleet(t, redis.URL, "DRAIN=2s")
	total := logins(t, 400)
	s := world{nodes: f.nodes, entry: f.entry}.run(t, total, 20, func(ctx context.Context) {
		for i := 0; ctx.Err() == nil; i++ {
			n := f.nodes[i%3]
			if err := n.Terminate(); err != nil {
				t.Errorf("terminate: %v", err)
			}
			if code, err := n.Wait(15 * time.Second); code != 0 || err != nil {
				t.Errorf("the node ended with %d, %v:\n%s", code, err, n.Log())
			}
			n.Restart(t)
			// nginx leaves a node out for two seconds after a refusal; the next
			// one goes when this one is back for it.
			pause(ctx, 2500*time.Millisecond)
		}
	})
	complete(t, s, total)
	if s.Errors > 0 {
		t.Errorf("phones saw %d errors", s.Errors)
	}
}
