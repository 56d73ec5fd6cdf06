package hubtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Sentinel is a master with one replica and three sentinels.
type Sentinel struct {
	URL       string // for LOGINHUB_REDIS_URL
	Master    *Redis
	Replica   *Redis
	sentinels []*redis.SentinelClient
}

// stableTimeout is how long a server may be silent while no failover is wanted. On a
// busy machine a second would be too short.
const stableTimeout = 60 * time.Second

// StartSentinel starts a master, a replica and three sentinels. The sentinels elect a
// new master only after FailOver is called.
func StartSentinel(t testing.TB) *Sentinel {
	t.Helper()
	s := &Sentinel{Master: StartRedis(t)}
	host, port, _ := strings.Cut(s.Master.Addr, ":")
	s.Replica = StartReplica(t, s.Master)
	var addrs []string
	for range 3 {
		addrs = append(addrs, s.sentinel(t, host, port))
	}
	s.URL = fmt.Sprintf("redis://%s/0?master_name=hub&addr=%s&addr=%s&username=loginhub&password=%s", addrs[0], addrs[1], addrs[2], HubPassword)
	for _, addr := range addrs {
		client := redis.NewSentinelClient(&redis.Options{Addr: addr, DisableIdentity: true})
		t.Cleanup(func() { client.Close() })
		s.sentinels = append(s.sentinels, client)
		Eventually(t, 15*time.Second, "the sentinels know each other and the replica", func() bool {
			m, err := client.Master(context.Background(), "hub").Result()
			return err == nil && m["num-other-sentinels"] == "2" && m["num-slaves"] == "1"
		})
	}
	return s
}

func (s *Sentinel) sentinel(t testing.TB, host, masterPort string) string {
	t.Helper()
	port, dir := FreePort(t), t.TempDir()
	path := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor hub %s %s 2\n"+
		"sentinel auth-user hub sentinel\nsentinel auth-pass hub %s\n"+
		"sentinel down-after-milliseconds hub %d\nsentinel failover-timeout hub 3000\n", port, dir, host, masterPort, SentinelPassword, stableTimeout.Milliseconds())
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var p process
	p.run(t, nil, "redis-server", path, "--sentinel")
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("sentinel %s: %s", port, p.Log())
		}
	})
	return "127.0.0.1:" + port
}

// FailOver makes the sentinels elect a new master, about a second after the old one has
// died, and waits until all have it. No other failover follows.
func (s *Sentinel) FailOver(t testing.TB) {
	t.Helper()
	s.setDownAfter(t, time.Second)
	for _, one := range s.sentinels {
		Eventually(t, 30*time.Second, "another master is elected", func() bool {
			now, err := one.GetMasterAddrByName(context.Background(), "hub").Result()
			return err == nil && strings.Join(now, ":") == s.Replica.Addr
		})
	}
	s.setDownAfter(t, stableTimeout)
}

// setDownAfter sets the silence after which the sentinels consider a server dead.
func (s *Sentinel) setDownAfter(t testing.TB, d time.Duration) {
	t.Helper()
	for _, one := range s.sentinels {
		if err := one.Set(context.Background(), "hub", "down-after-milliseconds", fmt.Sprint(d.Milliseconds())).Err(); err != nil {
			t.Errorf("sentinel set: %v", err)
		}
	}
}
