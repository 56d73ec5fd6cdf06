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
			i := 0
			s := world{nodes: f.nodes, entry: f.entry}.run(t, logins(t, 200), 40, fault{
				every: time.Second,
				least: len(f.nodes), // every node once
				strike: func(ctx context.Context) {
					for v := range victims {
						f.nodes[(i+v)%3].Kill()
					}
					pause(ctx, time.Second)
					for v := range victims {
						f.nodes[(i+v)%3].Restart(t)
					}
					i++
				}})
			complete(t, s)
		})
	}
}

func TestARollingRestartShowsNoPhoneAnError(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	f := startFleet(t, redis.URL, "DRAIN=2s")
	i := 0
	s := world{nodes: f.nodes, entry: f.entry}.run(t, logins(t, 400), 20, fault{
		// nginx leaves a node out for two seconds after a refusal; the next one
		// goes when this one is back for it.
		every: 2500 * time.Millisecond,
		least: len(f.nodes), // every node once
		strike: func(context.Context) {
			n := f.nodes[i%3]
			if err := n.Terminate(); err != nil {
				t.Errorf("terminate: %v", err)
			}
			if code, err := n.Wait(15 * time.Second); code != 0 || err != nil {
				t.Errorf("the node ended with %d, %v:\n%s", code, err, n.Log())
			}
			n.Restart(t)
			i++
		}})
	complete(t, s)
	if s.Errors > 0 {
		t.Errorf("phones saw %d errors", s.Errors)
	}
}
