package chaos_test

import (
	"context"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// TestNodes_DieStopHang covers nodes that die, stop and hang.
func TestNodes_DieStopHang(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	i := 0
	next := func() *hubtest.Node {
		i++
		return f.nodes[i%len(f.nodes)]
	}
	// kill kills so many nodes at once for a second.
	kill := func(victims int) func(*testing.T, context.Context) {
		return func(t *testing.T, ctx context.Context) {
			var dead []*hubtest.Node
			for range min(victims, len(f.nodes)-1) {
				dead = append(dead, next())
				dead[len(dead)-1].Kill()
			}
			pause(ctx, time.Second)
			for _, n := range dead {
				n.Restart(t)
			}
		}
	}
	f.run(t, []faultCase{
		{name: "one killed", phoneErrors: true,
			fault: fault{interval: 500 * time.Millisecond, minTimes: len(f.nodes), inject: kill(1)}},
		{name: "two killed", phoneErrors: true,
			fault: fault{interval: 500 * time.Millisecond, minTimes: 2, inject: kill(2)}},
		{name: "rolling restart", // without a pause, as in the runbook
			fault: fault{minTimes: len(f.nodes), inject: func(t *testing.T, _ context.Context) { restart(t, next()) }}},
		{name: "one suspended", phoneErrors: true, // it accepts connections and does not answer
			fault: fault{interval: time.Second, minTimes: 1, maxTimes: 1, inject: func(t *testing.T, ctx context.Context) {
				check(t, f.nodes[0].Stall())
				pause(ctx, 12*time.Second)
				check(t, f.nodes[0].Resume())
			}}},
	})
}

// restart stops a node as an init system does, and starts it again.
func restart(t *testing.T, n *hubtest.Node) {
	check(t, n.Terminate())
	if code, err := n.Wait(20 * time.Second); code != 0 || err != nil {
		t.Errorf("the node ended with %d, %v:\n%s", code, err, n.Log())
	}
	n.Restart(t)
}
