package hubtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// StartReplica starts a replica of the server and waits until it is in step.
func StartReplica(t testing.TB, master *Redis) *Redis {
	t.Helper()
	// By default a master waits five seconds for more replicas.
	if err := master.Client.ConfigSet(context.Background(), "repl-diskless-sync-delay", "0").Err(); err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(master.Addr, ":")
	replica := StartRedis(t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	replica.WaitLinked(t)
	return replica
}

// BreakReplication cuts the replica off from its master for good: it does not receive
// later changes.
func (r *Redis) BreakReplication(t testing.TB, master *Redis) {
	t.Helper()
	ctx, cancel := WithTimeout(5 * time.Second)
	defer cancel()
	// The replica tries to log in again every second and is refused.
	if err := r.Client.ConfigSet(ctx, "masterauth", "wrong password").Err(); err != nil {
		t.Errorf("cut off: %v", err)
	}
	master.Client.Do(ctx, "CLIENT", "KILL", "TYPE", "replica")
}

// Follow makes the server a replica of another, and waits until they are connected.
func (r *Redis) Follow(t testing.TB, master *Redis) {
	t.Helper()
	host, port, _ := strings.Cut(master.Addr, ":")
	if err := r.Client.Do(context.Background(), "REPLICAOF", host, port).Err(); err != nil {
		t.Errorf("replicaof: %v", err)
	}
	r.WaitLinked(t)
}

// WaitLinked waits until the replica is connected to its master.
func (r *Redis) WaitLinked(t testing.TB) {
	t.Helper()
	Eventually(t, 20*time.Second, "the replica follows", func() bool {
		return strings.Contains(r.replication(), "master_link_status:up")
	})
}

// replication returns the server's INFO replication, or "" if it does not answer.
func (r *Redis) replication() string {
	return r.Client.Info(context.Background(), "replication").Val()
}

// ReplicaOf returns the replica of a Cluster's master.
func (c *Cluster) ReplicaOf(t testing.TB, master *Redis) *Redis {
	t.Helper()
	_, port, _ := strings.Cut(master.Addr, ":")
	for _, r := range c.Nodes {
		info := r.replication()
		if strings.Contains(info, "role:slave") && strings.Contains(info, "master_port:"+port) {
			return r
		}
	}
	t.Errorf("%s has no replica", master.Addr)
	return master
}

// SetNodeTimeout sets how long a server may be silent before the Cluster considers it
// dead. On a busy machine StartCluster's second is short.
func (c *Cluster) SetNodeTimeout(t testing.TB, d time.Duration) {
	t.Helper()
	for _, r := range c.Nodes {
		ctx, cancel := WithTimeout(time.Second)
		r.Client.ConfigSet(ctx, "cluster-node-timeout", fmt.Sprint(d.Milliseconds())) // a dead server cannot be asked
		cancel()
	}
}

// FailOver waits until the Cluster is complete without the dead master gone. It raises
// the node timeout afterwards, so that no other failover follows.
func (c *Cluster) FailOver(t testing.TB, gone *Redis) {
	t.Helper()
	c.SetNodeTimeout(t, time.Second)
	defer c.SetNodeTimeout(t, stableTimeout)
	Eventually(t, 30*time.Second, "the Cluster is whole without its old master", func() bool {
		for _, r := range c.Nodes {
			if r == gone {
				continue
			}
			ctx, cancel := WithTimeout(time.Second)
			shards := r.Client.ClusterShards(ctx).Val()
			info := r.Client.ClusterInfo(ctx).Val()
			cancel()
			if !strings.Contains(info, "cluster_state:ok") || len(shards) == 0 ||
				slices.ContainsFunc(shards, func(s redis.ClusterShard) bool { return masterAddr(s) == gone.Addr }) {
				return false
			}
		}
		return true
	})
}

// Reshard moves slots from one master of the Cluster to another with redis-cli, as an
// operator does.
func (c *Cluster) Reshard(ctx context.Context, from, to *Redis, slots int) error {
	ids := [2]string{}
	for i, r := range []*Redis{from, to} {
		id, err := r.Client.ClusterMyID(ctx).Result()
		if err != nil {
			return err
		}
		ids[i] = id
	}
	for {
		out, err := clusterCommand(ctx, "reshard", from.Addr, "--cluster-from", ids[0],
			"--cluster-to", ids[1], "--cluster-slots", fmt.Sprint(slots), "--cluster-yes")
		switch {
		case err == nil:
			return nil
		case ctx.Err() == nil && strings.Contains(string(out), "Nodes don't agree about configuration"):
			// The servers have not yet agreed on the last move, so nothing was started.
			if err := wait(ctx, 100*time.Millisecond); err != nil {
				return err
			}
		default:
			return fmt.Errorf("reshard: %w\n%s", err, out[max(0, len(out)-2000):])
		}
	}
}

// StartSlotMigration moves a key to another master but leaves its slot in migration, as
// happens for a moment in every resharding. finish completes the migration.
func (c *Cluster) StartSlotMigration(ctx context.Context, key string, from, to *Redis) (finish func() error, err error) {
	slot := from.Client.ClusterKeySlot(ctx, key).Val()
	fromID, toID := from.Client.ClusterMyID(ctx).Val(), to.Client.ClusterMyID(ctx).Val()
	host, port, _ := strings.Cut(to.Addr, ":")
	for _, step := range []struct {
		at   *Redis
		does []any
	}{
		{to, []any{"CLUSTER", "SETSLOT", slot, "IMPORTING", fromID}},
		{from, []any{"CLUSTER", "SETSLOT", slot, "MIGRATING", toID}},
		{from, []any{"MIGRATE", host, port, key, 0, 5000, "AUTH2", "admin", adminPassword}},
	} {
		if err := step.at.Client.Do(ctx, step.does...).Err(); err != nil {
			return nil, fmt.Errorf("%v: %w", step.does, err)
		}
	}
	return func() error {
		// Other keys that were added to the slot are moved too, as redis-cli does: the
		// old master keeps a slot that has keys.
		for {
			rest, err := from.Client.ClusterGetKeysInSlot(ctx, int(slot), 100).Result()
			if err != nil {
				return err
			}
			for _, k := range rest {
				if err := from.Client.Do(ctx, "MIGRATE", host, port, k, 0, 5000, "REPLACE", "AUTH2", "admin", adminPassword).Err(); err != nil {
					return err
				}
			}
			if err := to.Client.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", toID).Err(); err != nil {
				return err
			}
			err = from.Client.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", toID).Err()
			if err == nil || !strings.Contains(err.Error(), "still hold keys") {
				return err
			}
		}
	}, nil
}
