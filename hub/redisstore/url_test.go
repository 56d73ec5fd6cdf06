package redisstore

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// open returns a client that never connects.
func open(t *testing.T, url string) redis.UniversalClient {
	t.Helper()
	return openStore(t, url).client
}

func TestURL_Forms(t *testing.T) {
	for url, want := range map[string]redis.Options{
		"redis://h:1/3":                      {Addr: "h:1", DB: 3},
		"redis://h":                          {Addr: "h:6379"},
		"redis://:pa%2Fss@h:1":               {Addr: "h:1", Password: "pa/ss"},
		"redis://user:pass@h:1?pool_size=7":  {Addr: "h:1", Username: "user", Password: "pass", PoolSize: 7},
		"rediss://h:1":                       {Addr: "h:1", TLSConfig: &tls.Config{ServerName: "h"}},
		"unix:///run/redis.sock?db=2":        {Addr: "/run/redis.sock", DB: 2, Network: "unix"},
		"redis://[::1]:7/0":                  {Addr: "[::1]:7"},
		"redis://h:1/3?cluster=false":        {Addr: "h:1", DB: 3},
		"redis://h:1?max_retries=9&db=1":     {Addr: "h:1", DB: 1},
		"redis://h:1?read_timeout=99s":       {Addr: "h:1"},
		"redis://h:1?dial_timeout=1h&db=0":   {Addr: "h:1"},
		"unix://user:pass@/run/redis.sock":   {Addr: "/run/redis.sock", Username: "user", Password: "pass", Network: "unix"},
		"rediss://:p%40ss@h:1/2?cluster=no!": {Addr: "h:1", Password: "p@ss", DB: 2, TLSConfig: &tls.Config{ServerName: "h"}},
	} {
		c, ok := open(t, url).(*redis.Client)
		if !ok {
			t.Errorf("%s is no single server", url)
			continue
		}
		got := c.Options()
		if got.Addr != want.Addr || got.DB != want.DB || got.Username != want.Username || got.Password != want.Password ||
			(want.Network != "" && got.Network != want.Network) || (want.PoolSize > 0 && got.PoolSize != want.PoolSize) ||
			(got.TLSConfig == nil) != (want.TLSConfig == nil) {
			t.Errorf("%s is %+v", url, got)
		}
		if got.TLSConfig != nil && (got.TLSConfig.InsecureSkipVerify || got.TLSConfig.ServerName != want.TLSConfig.ServerName) {
			t.Errorf("%s verifies %+v", url, got.TLSConfig)
		}
		// A phone waits, so the URL must not change the timeouts.
		if got.DialTimeout != dialTimeout || got.ReadTimeout != ioTimeout || got.WriteTimeout != ioTimeout || got.MaxRetries != retries || !got.ContextTimeoutEnabled {
			t.Errorf("%s has its own limits: %+v", url, got)
		}
	}
}

func TestURL_ClusterAndSentinel(t *testing.T) {
	c, ok := open(t, "redis://user:pass@a:1?cluster=true&addr=b:2&addr=c:3").(*redis.ClusterClient)
	if !ok || fmt.Sprint(c.Options().Addrs) != "[a:1 b:2 c:3]" || c.Options().Password != "pass" || c.Options().MaxRetries != retries ||
		c.Options().ReadTimeout != ioTimeout || !c.Options().ContextTimeoutEnabled {
		t.Errorf("a Cluster is %T", c)
	}
	// The user before the @ is for the Sentinels; the one for Redis is in the query.
	s, ok := open(t, "redis://watch:dog@a:1/2?master_name=hub&addr=b:2&username=user&password=pass").(*redis.Client)
	if !ok || s.Options().Addr != "FailoverClient" || s.Options().DB != 2 || s.Options().Password != "pass" || s.Options().MaxRetries != retries ||
		s.Options().ReadTimeout != ioTimeout || !s.Options().ContextTimeoutEnabled {
		t.Errorf("a Sentinel is %T %+v", s, s)
	}
}

// TestURL_ErrorHidesPassword uses texts so wrong that the password is parsed as another
// part of the URL.
func TestURL_ErrorHidesPassword(t *testing.T) {
	for _, url := range []string{
		"", "://", "http://:hunter2@h:1", "hunter2@h:1", ":hunter2@h:1", "redis://:hunter2@h:port/0",
		"redis://:hunter2@h:1/zero", "redis://:hunter2@h:1/0/1", "redis://:hunter2@h:1?surprise=1", "redis://:hunter2@h:1?pool_size=many",
		"redis://:%zzhunter2@h:1", "redis://:hunter2@[::1/0", "redis://:hunter2@h:1\x00/0", "unix://:hunter2@", "redis://h:1/0?addr=h:2",
		"redis://:hunter2@h:1?master_name=hub&surprise=1", "redis://h:1?master_name=hub&password=hunter2&surprise=1", "redis://:hunter2@h:1/zero?master_name=hub", "http://:hunter2@h:1?master_name=hub",
		"redis://:hunter2@h:1?cluster=true&surprise=1", "redis://:hunter2@h:1?cluster=true&addr=b:c:d", "http://:hunter2@h:1?cluster=true",
		// Passwords with an unescaped / ? or #.
		"redis://:/hunter2@h:1/0", "redis://:12/hunter2@h:1/0", "redis://:12/hunter2@h:1", "redis://:12?hunter2@h:1/0",
		"redis://:12/hunter2@h:1/0?master_name=hub", "redis://:12?hunter2@h:1/0&master_name=hub", "redis://:12?hunter2@h:1/0&cluster=true",
	} {
		s, err := Open(url)
		if err == nil {
			s.Close()
			t.Errorf("%q is a URL", url)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
