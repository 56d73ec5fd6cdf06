package chaos_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// TestCluster_Down covers a Cluster that does not serve every slot. Its masters still
// accept PUBLISH, but no writes (cluster-require-full-coverage, the default).
func TestCluster_Down(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]struct {
		down, up func(*testing.T, *hubtest.Cluster)
	}{
		"a master without a replica is gone": {
			func(t *testing.T, c *hubtest.Cluster) { c.Nodes[0].Kill(t) },
			func(t *testing.T, c *hubtest.Cluster) { c.Nodes[0].Start(t) }},
		"a slot is not served": { // all masters answer
			func(t *testing.T, c *hubtest.Cluster) { changeSlot(t, c, "DELSLOTS", c.Nodes...) },
			func(t *testing.T, c *hubtest.Cluster) { changeSlot(t, c, "ADDSLOTS", c.Nodes[0]) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := hubtest.StartCluster(t, 0, "--appendfsync", "always")
			nodes := startNodes(t, 2, cluster.URL, "TICKET_TTL=10m")
			s := scenario{nodes: nodes}.run(t, logins(t, 200), 40, fault{interval: time.Second, minTimes: 1, maxTimes: 1, inject: func(ctx context.Context) {
				waiting := ticketOnSecondMaster(t, ctx, cluster, nodes[0])
				way.down(t, cluster)
				left := cluster.Nodes[1]
				hubtest.Eventually(t, 15*time.Second, "a master that is left refuses writes", func() bool {
					err := left.Client.Set(ctx, "{"+waiting+"}", "", time.Second).Err()
					return err != nil && strings.Contains(err.Error(), "CLUSTERDOWN")
				})
				if err := left.Client.Publish(ctx, "anything", "").Err(); err != nil {
					t.Errorf("and no messages either: %v", err)
				}
				waitReadyz(t, http.StatusServiceUnavailable, nodes...)
				for _, n := range nodes {
					a, err := hubtest.NewPhone("early").Do(ctx, n.URL, waiting, "confirm", nil)
					if err != nil || a.Status != http.StatusServiceUnavailable || a.Code != "store_unavailable" || a.Header.Get("Retry-After") == "" {
						t.Errorf("confirm: %+v %v", a, err)
					}
				}
				way.up(t, cluster)
				cluster.WaitHealthy(t)
				waitReadyz(t, http.StatusOK, nodes...)
				if a, err := hubtest.NewPhone("late").Do(ctx, nodes[1].URL, waiting, "confirm", nil); err != nil || a.Status != http.StatusOK {
					t.Errorf("confirm, after all: %+v %v", a, err)
				}
			}})
			completeWithin(t, s, 40*time.Second) // the Cluster's own 15 s, and stalled nodes
			if s.Errors == 0 {
				t.Error("no phone was asked to try again")
			}
		})
	}
}

// changeSlot removes slot 0 from the servers' maps, or assigns it again.
func changeSlot(t *testing.T, c *hubtest.Cluster, does string, at ...*hubtest.Redis) {
	t.Helper()
	for _, r := range at {
		if err := r.Client.Do(context.Background(), "CLUSTER", does, 0).Err(); err != nil {
			t.Errorf("%s: %v", does, err)
		}
	}
}

// ticketOnSecondMaster returns a ticket that is on the Cluster's second master.
func ticketOnSecondMaster(t *testing.T, ctx context.Context, c *hubtest.Cluster, n *hubtest.Node) (id string) {
	t.Helper()
	for {
		ticket, err := hubtest.CreateTicket(ctx, n.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if holder, _ := c.MasterAndOther("loginhub:{" + ticket.ID + "}"); holder == c.Nodes[1] {
			return ticket.ID
		}
	}
}
