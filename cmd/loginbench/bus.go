package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

type busScenario struct {
	Shapes []string      `default:"3,6,3+3" help:"Clusters: masters, or masters+replicas."`
	Count  int           `default:"200" help:"Whole logins on each."`
	For    time.Duration `default:"10s" help:"How long to watch an idle node."`
}

// measure counts the messages that the servers of a Redis Cluster send each other for
// pub/sub: of an idle node, and of logins whose page is on one node and whose phone is on
// another. The nodes run without sharded pub/sub and with it. Sharded messages go to the
// replicas of their own shard only.
func (c *busScenario) measure(ctx context.Context, b *bench) ([]result, error) {
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	var all []result
	for _, shape := range c.Shapes {
		for _, sharded := range []bool{false, true} {
			r, err := c.one(ctx, b, shape, sharded)
			if err != nil {
				return all, fmt.Errorf("%s: %w", shape, err)
			}
			all = append(all, r)
		}
	}
	return all, nil
}

func (c *busScenario) one(ctx context.Context, b *bench, shape string, sharded bool) (r result, err error) {
	s := &cluster{provider: b.Provider}
	defer func() {
		if err != nil {
			err = s.abandon(err)
			return
		}
		s.stop()
	}()
	if s.dir, err = os.MkdirTemp("", "loginbench-"); err != nil {
		return r, err
	}
	servers, err := s.startRedisCluster(ctx, shape)
	if err != nil {
		return r, err
	}
	url := "redis://" + servers[0] + "?cluster=true&addr=" + strings.Join(servers[1:], "&addr=")
	if err = b.startNodes(ctx, s, b.nodes(2), url, time.Hour, "LOGINHUB_REDIS_SHARDED="+strconv.FormatBool(sharded)); err != nil {
		return r, err
	}
	if _, err = s.whole(ctx, 0); err != nil {
		return r, err
	}
	before, err := busMessages(servers)
	if err == nil {
		err = sleep(ctx, c.For)
	}
	if err != nil {
		return r, err
	}
	idle, err := busMessages(servers)
	if err != nil {
		return r, err
	}
	rate := float64(idle-before) / c.For.Seconds()
	begin := time.Now()
	if err = each(ctx, c.Count, min(b.AtOnce, 8), func(ctx context.Context, i int) error {
		_, err := s.whole(ctx, i)
		return err
	}); err != nil {
		return r, err
	}
	took := time.Since(begin)
	after, err := busMessages(servers)
	r = result{Scenario: "bus of a Cluster of " + shape + map[bool]string{true: ", sharded"}[sharded], Nodes: len(s.nodes)}
	r.add(figure{"logins", float64(c.Count) / took.Seconds(), "/s"},
		figure{"bus messages of an idle node", rate / float64(len(s.nodes)), "/s"},
		figure{"bus messages per login", (float64(after-idle) - rate*took.Seconds()) / float64(c.Count), ""})
	return r, err
}

// startRedisCluster starts a Redis Cluster of that shape and returns the addresses of its
// servers.
func (s *cluster) startRedisCluster(ctx context.Context, shape string) (servers []string, err error) {
	masters, replicas := 0, 0
	if n, _ := fmt.Sscanf(shape, "%d+%d", &masters, &replicas); n == 0 || masters < 3 || replicas%masters != 0 {
		return nil, fmt.Errorf("shape %q: from 3 masters, and as many replicas for each", shape)
	}
	for range masters + replicas {
		server, bus := s.freePort(), s.freePort()
		port, busPort := server[strings.LastIndex(server, ":")+1:], bus[strings.LastIndex(bus, ":")+1:]
		if _, err := s.child("redis"+port, "redis-server", []string{"--port", port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", "",
			"--appendonly", "no", "--cluster-enabled", "yes", "--cluster-config-file", "nodes" + port + ".conf", "--cluster-port", busPort}); err != nil {
			return nil, fmt.Errorf("%w (Debian: apt-get install redis-server)", err)
		}
		if err := until(ctx, func() bool { _, err := redisText(server, "PING"); return err == nil }); err != nil {
			return nil, err
		}
		servers = append(servers, server)
	}
	create := append(append([]string{"--cluster", "create"}, servers...), "--cluster-yes", "--cluster-replicas", strconv.Itoa(replicas/masters))
	if out, err := exec.CommandContext(ctx, "redis-cli", create...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("redis-cli --cluster create: %w\n%s", err, out)
	}
	return servers, until(ctx, func() bool {
		whole := 0
		for _, server := range servers {
			if text, err := redisText(server, "CLUSTER INFO"); err == nil && strings.Contains(text, "cluster_state:ok") {
				whole++
			}
		}
		return whole == len(servers)
	})
}

// busMessages returns how many pub/sub messages the servers have sent each other.
func busMessages(servers []string) (sum int64, err error) {
	for _, server := range servers {
		text, err := redisText(server, "CLUSTER INFO")
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			if name == "cluster_stats_messages_publish_sent" || name == "cluster_stats_messages_publishshard_sent" {
				n, err := strconv.ParseInt(value, 10, 64)
				if err != nil {
					return 0, fmt.Errorf("redis at %s: %s: %w", server, name, err)
				}
				sum += n
			}
		}
	}
	return sum, nil
}
