package main_test

import (
	"encoding/base64"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

func TestStart_RedisUnreachable(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	redis.Kill()
	n := hubtest.LaunchNode(t, program, "REDIS_URL="+redis.URL)
	ctx := hubtest.Context(t, 30*time.Second)
	hubtest.Eventually(t, 10*time.Second, "the node is alive", func() bool { return n.Get("/healthz") == 200 })
	a, err := hubtest.Request(ctx, "GET", n.URL+"/readyz", nil)
	hubtest.AssertRefusal(t, "readyz", a, err, 503, "store_unavailable")
	a, err = hubtest.Request(ctx, "POST", n.URL+"/api/login/tickets", nil)
	hubtest.AssertRefusal(t, "a ticket", a, err, 503, "store_unavailable")

	redis.Start(t)
	hubtest.Eventually(t, 10*time.Second, "the node is ready", func() bool { return n.Get("/readyz") == 200 })
	if err := login(ctx, "late start", n.URL); err != nil {
		t.Error(err)
	}
}

func TestStart_WaitsForProbe(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	// Redis answers, but does not publish for that many milliseconds.
	if err := redis.Client.Do(t.Context(), "CLIENT", "PAUSE", 1500, "WRITE").Err(); err != nil {
		t.Fatal(err)
	}
	n := hubtest.LaunchNode(t, program, "REDIS_URL="+redis.URL)
	var conn net.Conn
	hubtest.Eventually(t, 20*time.Second, "the node listens", func() (listens bool) {
		var err error
		conn, err = net.Dial("tcp", strings.TrimPrefix(n.URL, "http://"))
		return err == nil
	})
	defer conn.Close()
	io.WriteString(conn, "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if first, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(first), "HTTP/1.1 200 ") {
		t.Errorf("the node's first answer: %s %v", first, err)
	}
}

func TestServe_Defaults(t *testing.T) {
	t.Parallel()
	// Another process, perhaps a node, may use the admin listener's default address.
	if l, err := net.Listen("tcp", "127.0.0.1:9090"); err == nil {
		defer l.Close()
	}
	n := hubtest.LaunchWithoutDefaults(t, program)
	hubtest.Eventually(t, 20*time.Second, "the node is ready", func() bool { return n.Get("/readyz") == 200 })
	ctx := hubtest.Context(t, 20*time.Second)
	if err := login(ctx, "小明", n.URL); err != nil {
		t.Error(err)
	}
	for path, wantText := range map[string]string{"/": "<html", "/s/AAAAAAAAAAAAAAAAAAAAAA": "<html"} {
		a, err := hubtest.Request(ctx, "GET", n.URL+path, nil)
		if err != nil || a.Status != 200 || !strings.Contains(string(a.Body), wantText) {
			t.Errorf("GET %s: %+v %v", path, a, err)
		}
	}
	for _, word := range []string{"LOGINHUB_REDIS_URL", "LOGINHUB_KEYS", "sandbox", "admin address is taken"} {
		hubtest.Eventually(t, 10*time.Second, "the output has "+word, func() bool { return strings.Contains(n.Log(), word) })
	}
	n.Stop(t)
}

func TestServe_EmbeddedExpiry(t *testing.T) {
	t.Parallel()
	n := hubtest.LaunchWithoutDefaults(t, program, "TICKET_TTL=1s", "ADMIN_LISTEN=")
	hubtest.Eventually(t, 20*time.Second, "the node is ready", func() bool { return n.Get("/readyz") == 200 })
	ctx := hubtest.Context(t, 20*time.Second)
	p := mustOpenWaiter(t, ctx, n.URL, n.URL)
	if v := mustNext(t, ctx, p, "expired"); v.Seq != 2 {
		t.Errorf("expired view %+v", v)
	}
	a, err := hubtest.NewPhone("late").Do(ctx, n.URL, p.ID, "confirm", nil)
	hubtest.AssertRefusal(t, "a late confirm", a, err, 410, "ticket_expired")
}

func TestCommands_Output(t *testing.T) {
	t.Parallel()
	first, code := hubtest.Run(t, program, []string{"keygen"})
	second, _ := hubtest.Run(t, program, []string{"keygen"})
	if raw, err := base64.RawURLEncoding.DecodeString(strings.TrimSpace(first)); code != 0 || err != nil || len(raw) != 32 || first == second {
		t.Errorf("keygen prints %q, then %q, exit code %d", first, second, code)
	}
	if text, code := hubtest.Run(t, program, []string{"version"}); code != 0 || !strings.HasPrefix(text, "loginhub ") || !strings.Contains(text, "go1.") {
		t.Errorf("version prints %q, exit code %d", text, code)
	}
	text, code := hubtest.Run(t, program, []string{"--help"})
	if code != 0 {
		t.Errorf("--help exits with %d", code)
	}
	if !strings.Contains(text, "$LOGINHUB_LISTEN)") { // TestConfig_Names has all
		t.Errorf("--help does not list LOGINHUB_LISTEN:\n%s", text)
	}
}

func TestStart_ConfigErrorExitCode(t *testing.T) {
	t.Parallel()
	const secret = "do-not-print-me-0123456789"
	clients := hubtest.WriteFile(t, "clients.yaml", "clients:\n  - id: demo\n    number_maching: true\n")
	for name, c := range map[string]struct {
		settings []string
		wantText []string
	}{
		"a short key":                 {[]string{"KEYS=" + secret}, []string{"LOGINHUB_KEYS"}},
		"production without settings": {[]string{"PUBLIC_URL=https://login.test"}, []string{"LOGINHUB_REDIS_URL", "LOGINHUB_SANDBOX"}},
		"a misspelt field":            {[]string{"CLIENTS=" + clients}, []string{"LOGINHUB_CLIENTS", "number_maching", "line 3"}},
		"an unknown log level":        {[]string{"LOG=loud"}, []string{"log", "debug"}},
		"no Redis URL":                {[]string{"REDIS_URL=http://:" + secret + "@127.0.0.1", "KEYS=" + hubtest.Key}, []string{"LOGINHUB_REDIS_URL"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, args := range [][]string{nil, {"check"}} { // check refuses what a node does not start with
				text, code := hubtest.Run(t, program, args, append([]string{"LISTEN=127.0.0.1:0", "ADMIN_LISTEN="}, c.settings...)...)
				if code != 2 {
					t.Errorf("%v: exit code %d", args, code)
				}
				for _, word := range c.wantText {
					if !strings.Contains(text, word) {
						t.Errorf("%v: %s is missing in:\n%s", args, word, text)
					}
				}
				if strings.Contains(text, secret) {
					t.Errorf("%v: a secret is in:\n%s", args, text)
				}
			}
		})
	}
}

// TestStart_LogLine: the banner comes first, and the configuration is logged only at level debug.
func TestStart_LogLine(t *testing.T) {
	t.Parallel()
	for level, configured := range map[string]int{"info": 0, "debug": 1} {
		n := hubtest.LaunchWithoutDefaults(t, program, "ADMIN_LISTEN=", "LOG="+level, "RATE_LIMIT=77", "CLIENTS=../../deploy/examples/clients.yaml")
		hubtest.Eventually(t, 20*time.Second, "the node is ready", func() bool { return n.Get("/readyz") == 200 })
		banner, log, found := strings.Cut(n.Stop(t), `"msg":"starting"`)
		line, _, _ := strings.Cut(log, "\n")
		if !found || !strings.Contains(banner, "Open   http://localhost:") {
			t.Fatalf("%s: no banner before the first log line:\n%s", level, n.Log())
		}
		for _, name := range []string{"version", "node", "listen", "public_url", "store\":\"embedded", "providers\":[\"sandbox"} {
			if !strings.Contains(line, `"`+name+`"`) {
				t.Errorf("%s: no %s in %s", level, name, line)
			}
		}
		if strings.Contains(line, "rate_limit") || strings.Count(log, `"rate_limit":77`) != configured {
			t.Errorf("%s: the configuration is in\n%s", level, log)
		}
		if strings.Contains(log, `"level":"WARN"`) {
			t.Errorf("%s: there is a warning about defaults:\n%s", level, log)
		}
		if strings.Contains(banner, "LOGINHUB_CLIENTS") || !strings.Contains(banner, "LOGINHUB_REDIS_URL") {
			t.Errorf("%s: the banner asks for a setting that is set, or not for a missing one:\n%s", level, banner)
		}
	}
}
