package chaos_test

import (
	"context"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// replicaLag is how long the replica is cut off before its master dies. A failover loses
// what the master accepted and had not replicated. That is almost nothing between two
// processes on one machine, but everything since the break on a network that has failed.
const replicaLag = 500 * time.Millisecond

// durabilityMode is one way to run Redis and the nodes.
type durabilityMode struct {
	name     string
	master   [2]string // a setting of the master: name and value
	settings []string  // of the nodes
	lossy    bool
}

var durabilityModes = []durabilityMode{
	{name: "asynchronous", lossy: true},
	{name: "with min-replicas-to-write", master: [2]string{"min-replicas-to-write", "1"}, lossy: true},
	{name: "with REDIS_WAIT", settings: []string{"REDIS_WAIT=1"}},
}

// fastFailover are short lifetimes: a login that is lost ends only at its deadline.
var fastFailover = []string{"TICKET_TTL=30s", "CONFIRM_TTL=25s", "RESULT_TTL=16s"}

func TestFailover_Sentinel(t *testing.T) {
	t.Parallel()
	for _, lag := range []time.Duration{0, replicaLag} {
		for _, with := range durabilityModes {
			if lag == 0 && with.lossy && with.master[0] != "" {
				continue
			}
			t.Run(describe(lag)+with.name, func(t *testing.T) {
				t.Parallel()
				sentinel := hubtest.StartSentinel(t)
				if with.master[0] != "" {
					sentinel.Master.Client.ConfigSet(context.Background(), with.master[0], with.master[1])
				}
				w := scenario{nodes: startNodes(t, 3, sentinel.URL, append(with.settings, fastFailover...)...), away: 0.3, dataLoss: true, loginLoss: with.lossy}
				s := w.run(t, logins(t, 200), 40, fault{interval: time.Second, minTimes: 1, maxTimes: 1, inject: func(ctx context.Context) {
					killMaster(t, ctx, sentinel.Master, sentinel.Replica, lag)
					sentinel.FailOver(t)
					// Confirms that wait for a replica need one again.
					sentinel.Master.Start(t)
					sentinel.Master.Follow(t, sentinel.Replica)
				}})
				t.Logf("LOSS sentinel, %s%s: %d of %d", describe(lag), with.name, s.Lost, s.Confirmed)
				assertRecovered(t, w, s)
			})
		}
	}
}

// assertRecovered checks what even a lossy failover must not do: leave a page without an
// end, lose more than the logins in progress, or leave nodes that use the old master.
func assertRecovered(t *testing.T, w scenario, s *stats) {
	t.Helper()
	if s.Hung > 0 || s.Refused > s.Affected || s.Refused*4 > s.Begun || s.Lost*4 > s.Confirmed {
		t.Errorf("pages hang, or too much was lost: %s", s)
	}
	complete(t, scenario{nodes: w.nodes}.run(t, 40, 20, fault{}))
}

func describe(lag time.Duration) string {
	if lag == 0 {
		return "killed, "
	}
	return "killed " + lag.String() + " after its replica fell behind, "
}

// killMaster kills a master after its replica was cut off for the given time.
func killMaster(t *testing.T, ctx context.Context, master, replica *hubtest.Redis, lag time.Duration) {
	t.Helper()
	if lag > 0 {
		replica.BreakReplication(t, master)
		pause(ctx, lag)
	}
	master.Kill(t)
}

func TestFailover_Cluster(t *testing.T) {
	t.Parallel()
	for _, lag := range []time.Duration{0, replicaLag} {
		for _, with := range []durabilityMode{durabilityModes[0], durabilityModes[2]} {
			t.Run(describe(lag)+with.name, func(t *testing.T) {
				t.Parallel()
				cluster := hubtest.StartCluster(t, 1)
				cluster.SetNodeTimeout(t, time.Minute)
				w := scenario{nodes: startNodes(t, 2, cluster.URL, append(with.settings, fastFailover...)...), away: 0.3, dataLoss: true, loginLoss: with.lossy}
				master := cluster.Nodes[0]
				s := w.run(t, logins(t, 250), 40, fault{interval: time.Second, minTimes: 1, maxTimes: 1, inject: func(ctx context.Context) {
					killMaster(t, ctx, master, cluster.ReplicaOf(t, master), lag)
					cluster.FailOver(t, master)
					master.Start(t) // it returns as a replica of the new master
					master.WaitLinked(t)
				}})
				t.Logf("LOSS cluster, %s%s: %d of %d", describe(lag), with.name, s.Lost, s.Confirmed)
				assertRecovered(t, w, s)
			})
		}
	}
}
