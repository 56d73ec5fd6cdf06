package hubtest

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// clusterMasters is how many masters a Cluster has: the least that elects.
const clusterMasters = 3

// Cluster is a Redis Cluster of a test's own.
type Cluster struct {
	URL   string   // for LOGINHUB_REDIS_URL
	Nodes []*Redis // all servers: masters at first, and then their replicas
}

// StartCluster starts a Cluster of three masters, each with so many replicas,
// and waits until every server knows that it stands. A master that is gone is
// replaced, where it has a replica, after one to three seconds. It ends with the
// test.
func StartCluster(t testing.TB, replicas int) *Cluster {
	t.Helper()
	c := &Cluster{}
	var addrs []string
	for range clusterMasters * (1 + replicas) {
		r := StartRedis(t, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-port", FreePort(t),
			"--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0")
		c.Nodes = append(c.Nodes, r)
		addrs = append(addrs, r.Addr)
	}
	c.URL = "redis://" + addrs[0] + "?cluster=true&addr=" + strings.Join(addrs[1:], "&addr=")
	ctx, cancel := Limit(30 * time.Second)
	defer cancel()
	args := append(append([]string{"--cluster", "create"}, addrs...), "--cluster-yes", "--cluster-replicas", fmt.Sprint(replicas))
	if out, err := exec.CommandContext(ctx, "redis-cli", args...).CombinedOutput(); err != nil {
		t.Fatalf("redis-cli --cluster create: %v\n%s", err, out)
	}
	c.AwaitWhole(t)
	Eventually(t, 20*time.Second, "every replica follows its master", func() bool {
		for _, r := range c.Nodes {
			info, err := r.Client.Info(ctx, "replication").Result()
			if err != nil || strings.Contains(info, "role:slave") && !strings.Contains(info, "master_link_status:up") {
				return false
			}
		}
		return true
	})
	return c
}

// AwaitWhole waits until every server that answers says that all slots are
// served.
func (c *Cluster) AwaitWhole(t testing.TB) {
	t.Helper()
	Eventually(t, 30*time.Second, "the Cluster is whole", func() bool {
		asked := 0
		for _, r := range c.Nodes {
			ctx, cancel := Limit(time.Second)
			info, err := r.Client.ClusterInfo(ctx).Result()
			cancel()
			if err == nil && !strings.Contains(info, "cluster_state:ok") {
				return false
			}
			if err == nil {
				asked++
			}
		}
		return asked > 0
	})
}

// Holder is the master that holds the key now, as the servers that answer say.
func (c *Cluster) Holder(t testing.TB, key string) *Redis {
	t.Helper()
	for _, asked := range c.Nodes {
		slots, err := asked.Client.ClusterSlots(context.Background()).Result()
		if err != nil {
			continue
		}
		slot := int(asked.Client.ClusterKeySlot(context.Background(), key).Val())
		for _, s := range slots {
			if s.Start <= slot && slot <= s.End && len(s.Nodes) > 0 {
				return c.at(t, s)
			}
		}
	}
	t.Fatalf("nobody holds the slot of %s", key)
	return nil
}

func (c *Cluster) at(t testing.TB, s redis.ClusterSlot) *Redis {
	t.Helper()
	for _, r := range c.Nodes {
		if r.Addr == s.Nodes[0].Addr {
			return r
		}
	}
	t.Fatalf("%s is none of ours", s.Nodes[0].Addr)
	return nil
}
