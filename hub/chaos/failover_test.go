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
	lag      time.Duration // of the replica when its master dies
	settings []string      // of the nodes
	lossy    bool
	long     bool // counts losses, in the long form only
}

var durabilityModes = []durabilityMode{
	{name: "asynchronous", lossy: true},
	{name: "asynchronous, replica behind", lag: replicaLag, lossy: true, long: true},
	{name: "with REDIS_WAIT", settings: []string{"REDIS_WAIT=1"}, long: true},
	{name: "with REDIS_WAIT, replica behind", lag: replicaLag, settings: []string{"REDIS_WAIT=1"}},
}

// minReplicas is another mode, which a Cluster does not need.
var minReplicas = durabilityMode{name: "with min-replicas-to-write, replica behind", lag: replicaLag, lossy: true, long: true}

// shardedMode is another mode, only for a Cluster.
var shardedMode = durabilityMode{name: "sharded, with REDIS_WAIT, replica behind", lag: replicaLag, settings: append([]string{"REDIS_WAIT=1"}, sharded...)}

// fastFailover are short lifetimes: a login that is lost ends only at its deadline.
var fastFailover = []string{"TICKET_TTL=30s", "CONFIRM_TTL=25s", "RESULT_TTL=16s"}

func TestFailover_Sentinel(t *testing.T) {
	t.Parallel()
	testFailover(t, append(durabilityModes, minReplicas), func(t *testing.T, with durabilityMode) (string, func(*testing.T, context.Context)) {
		s := hubtest.StartSentinel(t)
		if with.name == minReplicas.name {
			check(t, s.Master.Client.ConfigSet(context.Background(), "min-replicas-to-write", "1").Err())
		}
		return s.URL, func(t *testing.T, ctx context.Context) {
			killMaster(t, ctx, s.Master, s.Replica, with.lag)
			s.FailOver(t)
			// Confirms that wait for a replica need one again.
			s.Master.Start(t)
			s.Master.Follow(t, s.Replica)
		}
	})
}

func TestFailover_Cluster(t *testing.T) {
	t.Parallel()
	testFailover(t, append(durabilityModes, shardedMode), func(t *testing.T, with durabilityMode) (string, func(*testing.T, context.Context)) {
		c := hubtest.StartCluster(t, 1)
		c.SetNodeTimeout(t, time.Minute)
		master := c.Nodes[0]
		return c.URL, func(t *testing.T, ctx context.Context) {
			killMaster(t, ctx, master, c.ReplicaOf(t, master), with.lag)
			c.FailOver(t, master)
			master.Start(t) // it returns as a replica of the new master
			master.WaitLinked(t)
		}
	})
}

// testFailover makes logins while a master dies. start returns the URL of Redis, and the
// fault.
func testFailover(t *testing.T, modes []durabilityMode, start func(*testing.T, durabilityMode) (url string, fail func(*testing.T, context.Context))) {
	for _, with := range modes {
		if with.long && !long() {
			continue
		}
		t.Run(with.name, func(t *testing.T) {
			t.Parallel()
			url, fail := start(t, with)
			nodes := startNodes(t, 2, url, append(with.settings, fastFailover...)...)
			w := scenario{nodes: nodes, entry: front(t, nodes...), away: 0.3, dataLoss: true, loginLoss: with.lossy}
			s := w.run(t, logins(t), fault{interval: time.Second, minTimes: 1, maxTimes: 1, inject: fail})
			t.Logf("LOSS: %d of %d", s.Lost, s.Confirmed)
			// Even a lossy failover must not leave a page without an end, lose more than
			// the logins in progress, or leave nodes that use the old master.
			if s.Hung > 0 || s.Refused > s.Affected || s.Refused*4 > s.Begun+40 || s.Lost*4 > s.Confirmed+40 {
				t.Errorf("pages hang, or too much was lost: %s", s)
			}
			complete(t, scenario{nodes: nodes, entry: w.entry}.run(t, 40, fault{}))
		})
	}
}

// killMaster kills a master after its replica was cut off for the given time.
func killMaster(t *testing.T, ctx context.Context, master, replica *hubtest.Redis, lag time.Duration) {
	t.Helper()
	if lag > 0 {
		replica.BreakReplication(t, master)
		pause(ctx, lag)
	}
	master.Kill()
}
