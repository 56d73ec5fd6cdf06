package check

import (
	"bytes"
	"strings"
	"testing"

	"loginhub/hub/provider"
	"loginhub/hub/redisstore"
)

func TestCheck_RedisInfo(t *testing.T) {
	good := redisstore.Server{Addr: "h:1", Version: "7.0.15", EvictionPolicy: "noeviction", UsedMemory: 1 << 20, MaxMemory: 1 << 30, AOF: true, Replay: redisstore.RightsAll}
	for name, c := range map[string]struct {
		change   func(*redisstore.Server, *Settings)
		grade    provider.Severity
		wantText string
	}{
		"good":              {func(*redisstore.Server, *Settings) {}, provider.OK, "7.0.15"},
		"Valkey":            {func(s *redisstore.Server, _ *Settings) { s.Version, s.Valkey = "7.2.4", "8.0.1" }, provider.OK, "Valkey 8.0.1"},
		"too old":           {func(s *redisstore.Server, _ *Settings) { s.Version = "6.2.14" }, provider.Fail, "7 or later"},
		"no version":        {func(s *redisstore.Server, _ *Settings) { s.Version = "" }, provider.Fail, "7 or later"},
		"two-digit version": {func(s *redisstore.Server, _ *Settings) { s.Version = "10.0.0" }, provider.OK, "10.0.0"},
		"eviction":          {func(s *redisstore.Server, _ *Settings) { s.EvictionPolicy = "allkeys-lru" }, provider.Fail, "CONFIG SET maxmemory-policy noeviction"},
		"no limit":          {func(s *redisstore.Server, _ *Settings) { s.MaxMemory = 0 }, provider.Warn, "maxmemory"},
		"nearly full":       {func(s *redisstore.Server, _ *Settings) { s.UsedMemory = 900 << 20 }, provider.Warn, "900 of 1024 MB"},
		"no AOF":            {func(s *redisstore.Server, _ *Settings) { s.AOF = false }, provider.Warn, "appendonly yes"},
		"a full disk":       {func(s *redisstore.Server, _ *Settings) { s.PersistenceError = "log" }, provider.Fail, "disk"},
		"no replay":         {func(s *redisstore.Server, _ *Settings) { s.Replay = redisstore.RightsMissing }, provider.Fail, "user default off resetpass ~* &* +@all"},
		"replay not known":  {func(s *redisstore.Server, _ *Settings) { s.Replay = redisstore.RightsUnknown }, provider.Warn, "+acl|dryrun"},
		"loading":           {func(s *redisstore.Server, _ *Settings) { s.Loading = true }, provider.Fail, "loading"},
		"replicas":          {func(s *redisstore.Server, _ *Settings) { s.Replicas = 2 }, provider.Warn, "LOGINHUB_REDIS_WAIT"},
		"REDIS_WAIT set":    {func(s *redisstore.Server, c *Settings) { s.Replicas, c.RedisWait = 2, 1 }, provider.OK, "2 replicas in step"},
		"too few replicas":  {func(s *redisstore.Server, c *Settings) { s.Replicas, c.RedisWait = 1, 2 }, provider.Fail, "phones get 503"},
	} {
		server, config := good, &Settings{}
		c.change(&server, config)
		e := &checker{set: config}
		e.checkServer(server)
		worst := provider.OK
		var lines []string
		for _, f := range e.findings {
			if f.Severity == provider.Fail || f.Severity == provider.Warn && worst == provider.OK {
				worst = f.Severity
			}
			lines = append(lines, f.Text)
		}
		if worst != c.grade || !strings.Contains(strings.Join(lines, "\n"), c.wantText) {
			t.Errorf("%s: %s %q", name, worst, lines)
		}
	}
}

func TestCheck_Report(t *testing.T) {
	var out bytes.Buffer
	if err := Print(&out, []provider.Finding{{Severity: provider.OK, Subject: "a", Text: "b"}, {Severity: provider.Warn, Subject: "c", Text: "two\nlines"}}); err != nil || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%v %q", err, out.String())
	}
	if err := Print(&out, []provider.Finding{{Severity: provider.Fail, Subject: "a", Text: "b"}}); err == nil {
		t.Error("a failed check returned no error")
	}
}
