package main

import (
	"bytes"
	"strings"
	"testing"

	"loginhub/hub/redisstore"
)

func TestCheck_RedisInfo(t *testing.T) {
	good := redisstore.Server{Addr: "h:1", Version: "7.0.15", EvictionPolicy: "noeviction", UsedMemory: 1 << 20, MaxMemory: 1 << 30, AOF: true, Replay: redisstore.RightsAll}
	for name, c := range map[string]struct {
		change   func(*redisstore.Server, *Config)
		grade    severity
		wantText string
	}{
		"good":              {func(*redisstore.Server, *Config) {}, severityOK, "7.0.15"},
		"Valkey":            {func(s *redisstore.Server, _ *Config) { s.Version, s.Valkey = "7.2.4", "8.0.1" }, severityOK, "Valkey 8.0.1"},
		"too old":           {func(s *redisstore.Server, _ *Config) { s.Version = "6.2.14" }, severityFail, "7 or later"},
		"no version":        {func(s *redisstore.Server, _ *Config) { s.Version = "" }, severityFail, "7 or later"},
		"two-digit version": {func(s *redisstore.Server, _ *Config) { s.Version = "10.0.0" }, severityOK, "10.0.0"},
		"eviction":          {func(s *redisstore.Server, _ *Config) { s.EvictionPolicy = "allkeys-lru" }, severityFail, "CONFIG SET maxmemory-policy noeviction"},
		"no limit":          {func(s *redisstore.Server, _ *Config) { s.MaxMemory = 0 }, severityWarn, "maxmemory"},
		"nearly full":       {func(s *redisstore.Server, _ *Config) { s.UsedMemory = 900 << 20 }, severityWarn, "900 of 1024 MB"},
		"no AOF":            {func(s *redisstore.Server, _ *Config) { s.AOF = false }, severityWarn, "appendonly yes"},
		"a full disk":       {func(s *redisstore.Server, _ *Config) { s.PersistenceError = "log" }, severityFail, "disk"},
		"no replay":         {func(s *redisstore.Server, _ *Config) { s.Replay = redisstore.RightsMissing }, severityFail, "user default off resetpass ~* &* +@all"},
		"replay not known":  {func(s *redisstore.Server, _ *Config) { s.Replay = redisstore.RightsUnknown }, severityWarn, "+acl|dryrun"},
		"loading":           {func(s *redisstore.Server, _ *Config) { s.Loading = true }, severityFail, "loading"},
		"replicas":          {func(s *redisstore.Server, _ *Config) { s.Replicas = 2 }, severityWarn, "LOGINHUB_REDIS_WAIT"},
		"REDIS_WAIT set":    {func(s *redisstore.Server, c *Config) { s.Replicas, c.RedisWait = 2, 1 }, severityOK, "2 replicas in step"},
		"too few replicas":  {func(s *redisstore.Server, c *Config) { s.Replicas, c.RedisWait = 1, 2 }, severityFail, "every confirm is refused"},
	} {
		server, config := good, &Config{}
		c.change(&server, config)
		e := &checker{set: &settings{Config: config}}
		e.checkServer(server)
		worst := severityOK
		var lines []string
		for _, f := range e.findings {
			if f.severity == severityFail || f.severity == severityWarn && worst == severityOK {
				worst = f.severity
			}
			lines = append(lines, f.text)
		}
		if worst != c.grade || !strings.Contains(strings.Join(lines, "\n"), c.wantText) {
			t.Errorf("%s: %s %q", name, worst, lines)
		}
	}
}

func TestCheck_Report(t *testing.T) {
	var out bytes.Buffer
	if err := printFindings(&out, []finding{{severityOK, "a", "b"}, {severityWarn, "c", "two\nlines"}}); err != nil || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%v %q", err, out.String())
	}
	if err := printFindings(&out, []finding{{severityFail, "a", "b"}}); err == nil {
		t.Error("a failed check returned no error")
	}
}
