package hubtest

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// clusterMasters is the number of masters in a Cluster: the fewest that can elect.
const clusterMasters = 3

// Cluster is a Redis Cluster for one test.
type Cluster struct {
	URL   string   // for LOGINHUB_REDIS_URL
	Nodes []*Redis // all servers: first the initial masters, then their replicas
}

// StartCluster starts a Cluster of three masters, each with the given number of
// replicas, and waits until every server reports it complete. A dead master is replaced
// after one to three seconds if it has a replica. args are passed to every redis-server.
// The Cluster ends with the test.
func StartCluster(t testing.TB, replicas int, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{}
	var addrs []string
	for range clusterMasters * (1 + replicas) {
		r := StartRedis(t, append([]string{"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-port", FreePort(t),
			"--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0"}, args...)...)
		c.Nodes = append(c.Nodes, r)
		addrs = append(addrs, r.Addr)
	}
	c.URL = "redis://loginhub:" + HubPassword + "@" + addrs[0] + "?cluster=true&addr=" + strings.Join(addrs[1:], "&addr=")
	ctx, cancel := WithTimeout(30 * time.Second)
	defer cancel()
	create := append(append([]string{"create"}, addrs...), "--cluster-yes", "--cluster-replicas", fmt.Sprint(replicas))
	if out, err := clusterCommand(ctx, create...); err != nil {
		t.Fatalf("redis-cli --cluster create: %v\n%s", err, out)
	}
	c.WaitHealthy(t)
	Eventually(t, 20*time.Second, "every replica follows its master", func() bool {
		for _, r := range c.Nodes {
			info := r.replication()
			if info == "" || strings.Contains(info, "role:slave") && !strings.Contains(info, "master_link_status:up") {
				return false
			}
		}
		return true
	})
	return c
}

// clusterCommand runs redis-cli --cluster as the operator.
func clusterCommand(ctx context.Context, args ...string) ([]byte, error) {
	login := []string{"--user", "admin", "--pass", adminPassword, "--no-auth-warning", "--cluster"}
	return exec.CommandContext(ctx, "redis-cli", append(login, args...)...).CombinedOutput()
}

// WaitHealthy waits until every server that answers reports that all slots are served.
func (c *Cluster) WaitHealthy(t testing.TB) {
	t.Helper()
	Eventually(t, 30*time.Second, "the Cluster is whole", func() bool {
		asked := 0
		for _, r := range c.Nodes {
			ctx, cancel := WithTimeout(time.Second)
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

// masterAddr returns the address of a shard's healthy master; "" if it has none.
func masterAddr(s redis.ClusterShard) string {
	for _, n := range s.Nodes {
		if n.Role == "master" && n.Health == "online" {
			return fmt.Sprintf("%s:%d", n.IP, n.Port)
		}
	}
	return ""
}

// MasterOf returns the master that holds the key now, according to the servers that
// answer.
func (c *Cluster) MasterOf(t testing.TB, key string) *Redis {
	t.Helper()
	ctx := context.Background()
	for _, asked := range c.Nodes {
		slot := asked.Client.ClusterKeySlot(ctx, key).Val()
		for _, s := range asked.Client.ClusterShards(ctx).Val() {
			for _, r := range c.Nodes {
				holds := slices.ContainsFunc(s.Slots, func(s redis.SlotRange) bool { return s.Start <= slot && slot <= s.End })
				if holds && masterAddr(s) == r.Addr {
					return r
				}
			}
		}
	}
	t.Fatalf("no master holds the slot of %s", key)
	return nil
}

// Proxies puts a proxy in front of each server, in the order of Nodes, and returns them.
// Clients that connect afterwards with URL get the proxies' addresses. The servers
// still reach each other directly.
func (c *Cluster) Proxies(t testing.TB) []*Proxy {
	t.Helper()
	ctx := Context(t, 30*time.Second)
	all := make([]*Proxy, len(c.Nodes))
	for i, r := range c.Nodes {
		all[i] = StartProxy(t, r)
		_, port, _ := strings.Cut(all[i].listen.Addr().String(), ":")
		if err := r.Client.ConfigSet(ctx, "cluster-announce-port", port).Err(); err != nil {
			t.Fatalf("announce the proxy: %v", err)
		}
		c.URL = strings.Replace(c.URL, r.Addr, all[i].listen.Addr().String(), 1)
	}
	for _, r := range c.Nodes {
		Eventually(t, 20*time.Second, "every server announces its proxy", func() bool {
			return !slices.ContainsFunc(c.Nodes, func(other *Redis) bool {
				return strings.Contains(r.Client.ClusterNodes(ctx).Val(), other.Addr+"@")
			})
		})
	}
	return all
}
