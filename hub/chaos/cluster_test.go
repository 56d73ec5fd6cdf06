package chaos_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// sharded are the settings of nodes that use sharded pub/sub.
var sharded = []string{"REDIS_SHARDED=true"}

// eachPubSub runs a test with both kinds of pub/sub.
func eachPubSub(t *testing.T, run func(t *testing.T, settings []string)) {
	for name, settings := range map[string][]string{"pub/sub": nil, "sharded": sharded} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, settings)
		})
	}
}

// TestCluster_Slots moves slots with live tickets.
func TestCluster_Slots(t *testing.T) {
	t.Parallel()
	for name, with := range map[string]struct {
		replicas int
		settings []string
	}{"asynchronous": {}, "with REDIS_WAIT": {1, []string{"REDIS_WAIT=1"}}, "sharded": {0, sharded}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := hubtest.StartCluster(t, with.replicas)
			cluster.SetNodeTimeout(t, time.Minute)
			i := 0
			nodes := startNodes(t, 2, cluster.URL, with.settings...)
			w := scenario{nodes: nodes, entry: front(t, nodes...)}
			s := w.run(t, logins(t), fault{interval: 100 * time.Millisecond, minTimes: 2, inject: func(t *testing.T, ctx context.Context) {
				// moves 400 slots from each master to the next
				check(t, cluster.Reshard(ctx, cluster.Nodes[i%3], cluster.Nodes[(i+1)%3], 400))
				i++
			}})
			complete(t, s)
			if s.Errors > 0 {
				t.Errorf("phones saw %d errors", s.Errors)
			}
		})
	}
}

// TestCluster_LostNodeRecords kills a master before it has replicated the latest node
// records. Without sharded pub/sub the subscriptions are on another master and never
// break.
func TestCluster_LostNodeRecords(t *testing.T) {
	t.Parallel()
	eachPubSub(t, testLostNodeRecords)
}

func testLostNodeRecords(t *testing.T, settings []string) {
	cluster := hubtest.StartCluster(t, 1)
	cluster.SetNodeTimeout(t, time.Minute)
	nodes := startNodes(t, 2, cluster.URL, append(settings, fastFailover...)...)
	entry := front(t, nodes...)
	before := hubtest.MeasureUsage(t, nodes)
	victim := cluster.Nodes[0]
	ctx, cancel := hubtest.WithTimeout(60 * time.Second)
	defer cancel()
	var pages []*hubtest.Page
	for range 40 {
		pages = append(pages, &hubtest.Page{Entry: entry, Ticket: ticketOn(t, ctx, cluster, victim, entry())})
	}
	replica := cluster.ReplicaOf(t, victim)
	hubtest.Eventually(t, 5*time.Second, "the replica has the tickets", func() bool {
		return replica.Client.DBSize(ctx).Val() == victim.Client.DBSize(ctx).Val()
	})
	replica.BreakReplication(t, victim)
	var held sync.WaitGroup
	for _, page := range pages {
		held.Go(func() { page.Wait(ctx) })
		hubtest.Eventually(t, 10*time.Second, "the page is noted", func() bool {
			return victim.Client.HExists(ctx, keyOf(ctx, victim, page.Ticket.ID), "nodes").Val()
		})
	}
	victim.Kill()
	cluster.FailOver(t, victim)
	confirmedAt := time.Now()
	for _, page := range pages {
		if _, err := hubtest.NewPhone("late").Retry(ctx, page.Entry, page.Ticket.ID, "confirm"); err != nil {
			t.Error(err)
		}
	}
	held.Wait()
	sum := &stats{}
	for _, page := range pages {
		sum.count(page, "sandbox:late", confirmedAt)
	}
	sum.assert(t, scenario{})
	complete(t, sum)
	hubtest.AssertNoLeak(t, nodes, before)
}

// TestCluster_Down covers a Cluster that does not serve every slot. Its masters still
// accept PUBLISH, but no writes (cluster-require-full-coverage, the default).
func TestCluster_Down(t *testing.T) {
	t.Parallel()
	eachPubSub(t, testClusterDown)
}

func testClusterDown(t *testing.T, settings []string) {
	cluster := hubtest.StartCluster(t, 0, "--appendfsync", "always")
	nodes := startNodes(t, 2, cluster.URL, append(settings, "TICKET_TTL=10m")...)
	w := scenario{nodes: nodes, entry: front(t, nodes...)}
	slot := func(does string, at ...*hubtest.Redis) {
		for _, r := range at {
			check(t, r.Client.Do(context.Background(), "CLUSTER", does, 0).Err())
		}
	}
	for name, way := range map[string][2]func(){
		"a master without a replica is gone": {func() { cluster.Nodes[0].Kill() }, func() { cluster.Nodes[0].Start(t) }},
		"a slot is not served":               {func() { slot("DELSLOTS", cluster.Nodes...) }, func() { slot("ADDSLOTS", cluster.Nodes[0]) }}, // all masters answer
	} {
		t.Run(name, func(t *testing.T) {
			s := w.run(t, logins(t), fault{interval: time.Second, minTimes: 1, maxTimes: 1, inject: func(t *testing.T, ctx context.Context) {
				id := ticketOn(t, ctx, cluster, cluster.Nodes[1], w.entry()).ID
				way[0]()
				left := cluster.Nodes[1]
				hubtest.Eventually(t, 15*time.Second, "a master that is left refuses writes", func() bool {
					err := left.Client.Set(ctx, "{"+id+"}", "", time.Second).Err()
					return err != nil && strings.Contains(err.Error(), "CLUSTERDOWN")
				})
				check(t, left.Client.Publish(ctx, "anything", "").Err())
				waitReadyz(t, http.StatusServiceUnavailable, nodes...)
				phone := hubtest.NewPhone("waits")
				for _, n := range nodes {
					if a, err := phone.Do(ctx, n.URL, id, "confirm", nil); err != nil || a.Code != "store_unavailable" || a.Header.Get("Retry-After") == "" {
						t.Errorf("confirm: %+v %v", a, err)
					}
				}
				way[1]()
				cluster.WaitHealthy(t)
				waitReadyz(t, http.StatusOK, nodes...)
				if a, err := phone.Do(ctx, nodes[1].URL, id, "confirm", nil); err != nil || a.Status != http.StatusOK {
					t.Errorf("confirm, after all: %+v %v", a, err)
				}
			}})
			completeWithin(t, s, 40*time.Second) // the Cluster's own 15 s, and stalled nodes
		})
	}
}

// ticketOn returns a ticket that is on that master of the Cluster.
func ticketOn(t *testing.T, ctx context.Context, c *hubtest.Cluster, master *hubtest.Redis, url string) *hubtest.Ticket {
	t.Helper()
	for {
		ticket, err := hubtest.CreateTicket(ctx, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if keyOf(ctx, master, ticket.ID) != "" {
			return ticket
		}
	}
}

// keyOf returns the key of a ticket's record on that server, or "".
func keyOf(ctx context.Context, at *hubtest.Redis, id string) string {
	for _, key := range at.Client.Keys(ctx, "loginhub:*"+id+"*").Val() {
		return key
	}
	return ""
}

// TestCluster_ShardedSubscriptions breaks the sharded subscriptions.
func TestCluster_ShardedSubscriptions(t *testing.T) {
	t.Parallel()
	cluster := hubtest.StartCluster(t, 0)
	cluster.SetNodeTimeout(t, time.Minute)
	lines := cluster.Proxies(t)
	nodes := startNodes(t, 2, cluster.URL, sharded...)
	w := scenario{nodes: nodes, entry: front(t, nodes...)}
	i := 0
	for name, f := range map[string]fault{
		"killed": {interval: 50 * time.Millisecond, minTimes: 30, inject: func(t *testing.T, ctx context.Context) {
			i++
			check(t, cluster.Nodes[i%3].Client.ClientKillByFilter(ctx, "TYPE", "pubsub").Err())
		}},
		"one muted": {interval: 1500 * time.Millisecond, minTimes: 3, inject: func(t *testing.T, _ context.Context) {
			i++
			line := lines[i%3]
			if n := line.Mute(); n != len(nodes) {
				t.Errorf("%d subscriptions were muted, want %d", n, len(nodes))
			}
			hubtest.Eventually(t, 10*time.Second, "the nodes have subscribed again", func() bool {
				deliver, mute := line.Subscriptions()
				return deliver == len(nodes) && mute == 0
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			waitReadyz(t, http.StatusOK, nodes...)
			s := w.run(t, logins(t), f)
			complete(t, s)
			keptSockets(t, s)
		})
	}
}

// TestCluster_RollingShards changes LOGINHUB_REDIS_SHARDED node by node, there and back,
// while logins go on.
func TestCluster_RollingShards(t *testing.T) {
	t.Parallel()
	cluster := hubtest.StartCluster(t, 0)
	nodes := startNodes(t, 2, cluster.URL)
	w := scenario{nodes: nodes, entry: front(t, nodes...), thinkTime: time.Second} // tickets outlive a change
	for _, setting := range []string{"REDIS_SHARDED=true", "REDIS_SHARDED=false"} {
		t.Run(setting, func(t *testing.T) {
			s := w.run(t, logins(t), rollNodes(nodes, program, setting, nil))
			complete(t, s)
			if s.Errors > 0 {
				t.Errorf("phones saw %d errors", s.Errors)
			}
		})
	}
}
