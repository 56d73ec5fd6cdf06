package chaos_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

func TestNodes_Killed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ nodes, victims int }{{2, 1}, {3, 1}, {3, 2}} {
		t.Run(fmt.Sprintf("%d of %d", c.victims, c.nodes), func(t *testing.T) {
			nodes := startNodeCount(t, c.nodes, hubtest.StartRedis(t).URL)
			i := 0
			s := scenario{nodes: nodes}.run(t, logins(t, 200), 40, fault{
				interval: time.Second,
				minTimes: len(nodes), // every node once
				inject: func(ctx context.Context) {
					for v := range c.victims {
						nodes[(i+v)%c.nodes].Kill()
					}
					pause(ctx, time.Second)
					for v := range c.victims {
						nodes[(i+v)%c.nodes].Restart(t)
					}
					i++
				}})
			complete(t, s)
		})
	}
}

// TestNodes_RollingRestart restarts one node after the other, without a pause, as in the
// runbook.
func TestNodes_RollingRestart(t *testing.T) {
	t.Parallel()
	for _, count := range []int{2, 3} {
		t.Run(fmt.Sprint(count, " nodes"), func(t *testing.T) {
			nodes := startNodeCount(t, count, hubtest.StartRedis(t).URL, "DRAIN=2s")
			i := 0
			s := scenario{nodes: nodes}.run(t, logins(t, 200), 20, fault{
				minTimes: 2 * count, // every node twice
				inject: func(context.Context) {
					n := nodes[i%count]
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
		})
	}
}

// TestNode_SuspendedWhileLoginsGoOn suspends a node, which then accepts connections and
// does not answer. Calls to it wait for nginx, and its pages move to another node.
func TestNode_SuspendedWhileLoginsGoOn(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, 2, hubtest.StartRedis(t).URL)
	s := scenario{nodes: nodes}.run(t, logins(t, 200), 40, fault{interval: time.Second, minTimes: 1, maxTimes: 1, inject: func(ctx context.Context) {
		if err := nodes[0].Stall(); err != nil {
			t.Errorf("stall: %v", err)
		}
		pause(ctx, 12*time.Second)
		if err := nodes[0].Resume(); err != nil {
			t.Errorf("resume: %v", err)
		}
	}})
	complete(t, s)
}
