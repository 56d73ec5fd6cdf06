package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// TestCluster_Slots moves slots with live tickets. Some slots stay in migration: then
// redis-cli was interrupted, or another key of the slot is large.
func TestCluster_Slots(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string][]string{"asynchronous": nil, "with REDIS_WAIT": {"REDIS_WAIT=1"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := hubtest.StartCluster(t, len(settings))
			cluster.SetNodeTimeout(t, time.Minute)
			i := 0
			nodes := startNodes(t, 2, cluster.URL, settings...)
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
			before := hubtest.MeasureUsage(t, nodes)
			var all sync.WaitGroup
			road := slotMover{cluster: cluster, busySlots: map[int64]bool{}}
			for range 50 {
				all.Go(func() { check(t, road.login(w.entry)) })
			}
			all.Wait()
			road.sum.assert(t, scenario{})
			complete(t, &road.sum)
			if road.sum.Begun < 30 {
				t.Errorf("only %d tickets were on their way", road.sum.Begun)
			}
			hubtest.AssertNoLeak(t, nodes, before)
		})
	}
}

// slotMover moves one ticket at a time: two masters that send each other a key would
// block each other.
type slotMover struct {
	cluster   *hubtest.Cluster
	mu        sync.Mutex
	busySlots map[int64]bool
	sum       stats
}

// startMigration moves the ticket but leaves its slot in migration. alone is false, and
// nothing is done, if another ticket uses the same slot.
func (r *slotMover) startMigration(ctx context.Context, id string) (arrive func() error, alone bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := "loginhub:{" + id + "}"
	slot := r.cluster.Nodes[0].Client.ClusterKeySlot(ctx, key).Val()
	if r.busySlots[slot] {
		return nil, false, nil
	}
	r.busySlots[slot] = true
	from, to := r.cluster.MasterAndOther(key)
	arrive, err = r.cluster.StartSlotMigration(ctx, key, from, to)
	return arrive, true, err
}

// login makes a login whose slot is in migration from the scan to the ack. The page
// leaves and returns meanwhile.
func (r *slotMover) login(entry func() string) error {
	ctx, cancel := hubtest.WithTimeout(90 * time.Second)
	defer cancel()
	page := &hubtest.Page{Entry: entry}
	if err := page.CreateTicket(ctx); err != nil {
		return err
	}
	var held sync.WaitGroup
	present, leave := context.WithCancel(ctx)
	defer leave()
	held.Go(func() { page.Wait(present) })
	phone := hubtest.NewPhone("traveller")
	if _, err := phone.Retry(ctx, entry, page.Ticket.ID, "scan"); err != nil {
		return err
	}
	arrive, alone, err := r.startMigration(ctx, page.Ticket.ID)
	if err != nil || !alone {
		return err
	}
	leave()
	held.Wait()
	held.Go(func() { page.Wait(ctx) })
	seen, err := phone.Retry(ctx, entry, page.Ticket.ID, "confirm")
	if err != nil || seen > 0 {
		return errors.Join(err, fmt.Errorf("the phone saw %d errors while its ticket moved", seen))
	}
	confirmedAt := time.Now()
	held.Wait()
	r.mu.Lock()
	r.sum.count(page, "sandbox:traveller", confirmedAt)
	r.mu.Unlock()
	if !page.Acked {
		return errors.New("no acknowledged token while the ticket moved")
	}
	return arrive()
}

// TestCluster_LostNodeRecords kills a master before it has replicated the latest node
// records. The subscriptions are on another master and never break.
func TestCluster_LostNodeRecords(t *testing.T) {
	t.Parallel()
	cluster := hubtest.StartCluster(t, 1)
	cluster.SetNodeTimeout(t, time.Minute)
	nodes := startNodes(t, 2, cluster.URL, fastFailover...)
	entry := front(t, nodes...)
	before := hubtest.MeasureUsage(t, nodes)
	victim := cluster.Nodes[0]
	ctx, cancel := hubtest.WithTimeout(60 * time.Second)
	defer cancel()
	var pages []*hubtest.Page
	for len(pages) < 60 {
		page := &hubtest.Page{Entry: entry}
		if err := page.CreateTicket(ctx); err != nil {
			t.Fatal(err)
		}
		if from, _ := cluster.MasterAndOther("loginhub:{" + page.Ticket.ID + "}"); from == victim {
			pages = append(pages, page)
		}
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
			return victim.Client.HExists(ctx, "loginhub:{"+page.Ticket.ID+"}", "nodes").Val()
		})
	}
	victim.Kill(t)
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
	cluster := hubtest.StartCluster(t, 0, "--appendfsync", "always")
	nodes := startNodes(t, 2, cluster.URL, "TICKET_TTL=10m")
	w := scenario{nodes: nodes, entry: front(t, nodes...)}
	slot := func(does string, at ...*hubtest.Redis) {
		for _, r := range at {
			check(t, r.Client.Do(context.Background(), "CLUSTER", does, 0).Err())
		}
	}
	for name, way := range map[string][2]func(){
		"a master without a replica is gone": {func() { cluster.Nodes[0].Kill(t) }, func() { cluster.Nodes[0].Start(t) }},
		"a slot is not served":               {func() { slot("DELSLOTS", cluster.Nodes...) }, func() { slot("ADDSLOTS", cluster.Nodes[0]) }}, // all masters answer
	} {
		t.Run(name, func(t *testing.T) {
			s := w.run(t, logins(t), fault{interval: time.Second, minTimes: 1, maxTimes: 1, inject: func(t *testing.T, ctx context.Context) {
				id := ticketOn(t, ctx, cluster, cluster.Nodes[1], w.entry())
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
			sawErrors(t, s)
		})
	}
}

// ticketOn returns a ticket that is on that master of the Cluster.
func ticketOn(t *testing.T, ctx context.Context, c *hubtest.Cluster, master *hubtest.Redis, url string) (id string) {
	t.Helper()
	for {
		ticket, err := hubtest.CreateTicket(ctx, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if holder, _ := c.MasterAndOther("loginhub:{" + ticket.ID + "}"); holder == master {
			return ticket.ID
		}
	}
}
