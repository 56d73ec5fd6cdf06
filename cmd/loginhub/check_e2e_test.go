package main_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

// runCheck runs `loginhub check` with these settings and returns its output and exit code. It
// trusts the CA file ("" for the system's). The output must contain no secret.
func runCheck(t *testing.T, ca string, args []string, settings ...string) (printed string, code int) {
	t.Helper()
	ctx, cancel := hubtest.WithTimeout(60 * time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"check"}, args...)...)
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "LOGINHUB_") {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	if ca != "" {
		cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+ca)
	}
	for _, s := range settings {
		cmd.Env = append(cmd.Env, "LOGINHUB_"+s)
	}
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", hubtest.Key, hubtest.OtherKey, appSecret, "verification-text"} {
		if strings.Contains(string(out), secret) {
			t.Errorf("a secret is printed:\n%s", out)
		}
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// findLine returns the first line about that, with its severity.
func findLine(printed, what string) string {
	return regexp.MustCompile(`(?m)^(ok  |warn|FAIL)  ` + regexp.QuoteMeta(what) + `.*$`).FindString(printed)
}

// deployment is what the repository ships: a Redis with users.acl, two nodes, WeChat, and nginx
// before them.
type deployment struct {
	redis    *hubtest.Redis
	wechat   *wechattest.Server
	nodes    []string // host:port
	settings []string // of the nodes, without the public URL
}

func startDeployment(t *testing.T) *deployment {
	t.Helper()
	d := &deployment{}
	d.redis = hubtest.StartRedis(t)
	var more []string
	d.wechat, more = startWeChat(t)
	d.settings = append(more, "REDIS_URL="+d.redis.URL, "KEYS="+hubtest.Key, "TRUSTED_PROXIES=127.0.0.1", "WECHAT_VERIFY_FILE=abc.txt:verification-text",
		"CLIENTS="+hubtest.WriteFile(t, "clients.yaml", "clients: [{id: strict, origins: [https://www.example.com], token_encryption: require}]"))
	for range 2 {
		n := hubtest.StartNode(t, program, d.settings...)
		d.nodes = append(d.nodes, strings.TrimPrefix(n.URL, "http://"))
	}
	return d
}

// startNginx starts the shipped nginx configuration, with edits, and returns its public URL. A
// remote browser is simulated by the address that nginx reports.
func (d *deployment) startNginx(t *testing.T, edits ...string) string {
	t.Helper()
	return hubtest.StartNginx(t, "../../deploy/nginx/loginhub.conf", d.nodes, func(text string) string {
		for i := 0; i+1 < len(edits); i += 2 {
			if !strings.Contains(text, edits[i]) {
				t.Errorf("nginx's configuration has no %q", edits[i])
			}
			text = strings.Replace(text, edits[i], edits[i+1], 1)
		}
		return text
	})
}

const farAddr = "203.0.113.9" // the hub displays it: documentation addresses count as public

func TestCheck_Healthy(t *testing.T) {
	t.Parallel()
	d := startDeployment(t)
	public := d.startNginx(t, "X-Forwarded-For $remote_addr", "X-Forwarded-For "+farAddr)
	app := hubtest.StartAppIssuer(t)
	out, code := runCheck(t, "", []string{"--hold=3s"}, append(d.settings, "PUBLIC_URL="+public, "APP_ISSUER=app", "APP_JWKS_URL="+app.URL+"/keys?token=hunter2")...)
	if code != 0 || strings.Contains(out, "FAIL") || strings.Contains(out, "warn") {
		t.Errorf("%d:\n%s", code, out)
	}
	for _, what := range []string{"settings", "redis 127.0.0.1", "redis scripts", "redis mailbox", "clock", "redis tickets", "redis secrets", "redis killswitch",
		"public url", "tls", "keys", "wechat file", "tickets", "long poll", "websocket", "addresses", "wechat " + appID, "app keys"} {
		if !strings.HasPrefix(findLine(out, what), "ok") {
			t.Errorf("no line about %s:\n%s", what, out)
		}
	}
	for _, word := range []string{farAddr, "stayed open for 3s", "access token, good for", "1 at " + app.URL + "/keys\n"} {
		if !strings.Contains(out, word) {
			t.Errorf("%s is missing:\n%s", word, out)
		}
	}
	if left, err := d.redis.Client.Exists(context.Background(), "loginhub:switches").Result(); err != nil || left != 0 {
		t.Errorf("a kill switch is left in Redis: %d %v", left, err)
	}
}

// TestCheck_Broken breaks one thing at a time: in Redis, WeChat, the settings and the proxy.
func TestCheck_Broken(t *testing.T) {
	t.Parallel()
	d := startDeployment(t)
	good := d.startNginx(t, "X-Forwarded-For $remote_addr", "X-Forwarded-For "+farAddr)
	do := func(args ...any) func(*testing.T) {
		return func(t *testing.T) {
			if err := d.redis.Client.Do(context.Background(), args...).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	user := func(rules ...any) func(*testing.T) {
		return do(append([]any{"ACL", "SETUSER", "loginhub"}, rules...)...)
	}
	port := hubtest.FreePort(t)
	for _, c := range []struct {
		name           string
		breakIt        func(*testing.T)
		mendIt         func(*testing.T)
		settings       []string
		what, wantText string
		grade          string
	}{
		{"eviction", do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"), do("CONFIG", "SET", "maxmemory-policy", "noeviction"), nil, "redis 127.0.0.1", "noeviction", "FAIL"},
		{"no channel", user("resetchannels"), user("&loginhub:mail:*"), nil, "redis mailbox", "users.acl", "FAIL"},
		{"no scripts", user("-script|load"), user("+script|load"), nil, "redis scripts", "users.acl", "FAIL"},
		{"no writes", user("-hset"), user("+hset"), nil, "redis tickets", "users.acl", "FAIL"},
		{"no secrets", user("-getdel"), user("+getdel"), nil, "redis secrets", "users.acl", "FAIL"},
		{"no kill switch", user("-hdel"), user("+hdel"), nil, "redis killswitch", "users.acl", "FAIL"},
		{"no replay", do("ACL", "SETUSER", "default", "-@all"), do("ACL", "SETUSER", "default", "+@all"), nil, "redis 127.0.0.1", "user default off resetpass", "FAIL"},
		{"no keys to replay", do("ACL", "SETUSER", "default", "resetkeys"), do("ACL", "SETUSER", "default", "~*"), nil, "redis 127.0.0.1", "user default off resetpass", "FAIL"},
		{"no INFO", user("-info"), user("+info"), nil, "redis", "+info", "warn"},
		{"no Redis", nil, nil, []string{"REDIS_URL=redis://127.0.0.1:" + port}, "redis", "LOGINHUB_REDIS_URL", "FAIL"},
		{"another Redis", nil, nil, []string{"REDIS_URL=" + strings.TrimSuffix(d.redis.URL, "0") + "1"}, "addresses", "not in this Redis", "FAIL"},
		{"no replica", nil, nil, []string{"REDIS_WAIT=1"}, "redis tickets", "enough replicas yet: the store is unreachable or this node is stalled\n", "FAIL"},
		{"other keys", nil, nil, []string{"KEYS=" + hubtest.OtherKey}, "keys", "LOGINHUB_KEYS", "FAIL"},
		{"a wrong secret", nil, nil, []string{"WECHAT_APP_SECRET=another"}, "wechat " + appID, "40125", "FAIL"},
		{"no WeChat", nil, nil, []string{"WECHAT_API_URL=http://127.0.0.1:" + port}, "wechat " + appID, "reachable", "FAIL"},
		{"not on WeChat's list", func(*testing.T) { d.wechat.Fail(wechattest.Fault{}, wechattest.Fault{Errcode: 40164}) }, nil, nil, "wechat " + appID, "jscode2session", "ok"},
		{"not on WeChat's list, with codes", func(*testing.T) { d.wechat.Fail(wechattest.Fault{}, wechattest.Fault{Errcode: 40164}) }, nil, []string{"QR=wxacode"}, "wechat " + appID, "jscode2session", "FAIL"},
		{"another file", nil, nil, []string{"WECHAT_VERIFY_FILE=other.txt:verification-text"}, "wechat file", "LOGINHUB_WECHAT_VERIFY_FILE", "FAIL"},
		{"another text", nil, nil, []string{"WECHAT_VERIFY_FILE=abc.txt:verification-text-2"}, "wechat file", "200 OK with another text", "FAIL"},
		{"no server", nil, nil, []string{"PUBLIC_URL=http://127.0.0.1:" + port}, "public url", "refused", "FAIL"},
		{"not the hub", nil, nil, []string{"PUBLIC_URL=" + d.wechat.URL}, "public url", "proxy", "FAIL"},
		{"no upgrade", nil, nil, []string{"PUBLIC_URL=" + d.startNginx(t, "proxy_set_header Upgrade $http_upgrade;", "")}, "websocket", "pass on Upgrade", "FAIL"},
		{"no secret", nil, nil, []string{"PUBLIC_URL=" + d.startNginx(t, "proxy_buffering off;", `proxy_set_header Authorization "";`)}, "long poll", "Authorization", "FAIL"},
		{"a proxy that trusts X-Forwarded-For", nil, nil, []string{"PUBLIC_URL=" + d.startNginx(t, "X-Forwarded-For $remote_addr", "X-Forwarded-For $http_x_forwarded_for")}, "addresses", "LOGINHUB_TRUSTED_PROXIES", "FAIL"},
		{"too wide TRUSTED_PROXIES", nil, nil, []string{"TRUSTED_PROXIES=127.0.0.1," + farAddr + "/24"}, "addresses", "LOGINHUB_TRUSTED_PROXIES", "FAIL"},
		{"too wide TRUSTED_PROXIES, IPv6 form", nil, nil, []string{"TRUSTED_PROXIES=127.0.0.1,::ffff:" + farAddr + "/120"}, "addresses", "LOGINHUB_TRUSTED_PROXIES", "FAIL"},
		{"a private address", nil, nil, []string{"PUBLIC_URL=" + d.startNginx(t)}, "addresses", "from outside", "warn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.breakIt == nil {
				t.Parallel() // after those that break what all use
			}
			// The previous case is repaired and the node has noticed.
			for _, url := range []string{"http://" + d.nodes[0], "http://" + d.nodes[1], good} {
				hubtest.Eventually(t, 20*time.Second, "ready", func() bool { return (&hubtest.Node{URL: url}).Get("/readyz") == 200 })
			}
			if c.breakIt != nil {
				c.breakIt(t)
			}
			if c.mendIt != nil {
				defer c.mendIt(t)
			}
			out, code := runCheck(t, "", nil, slices.Concat(d.settings, []string{"PUBLIC_URL=" + good}, c.settings)...)
			requireGrade(t, out, code, c.grade, c.what, c.wantText)
		})
	}
}

// requireGrade demands a line about that with this grade and text, and the exit code that fits.
func requireGrade(t *testing.T, out string, code int, grade, what, wantText string) {
	t.Helper()
	got := findLine(out, what)
	for _, l := range strings.Split(out, "\n") { // the worst of several
		if strings.HasPrefix(l, "FAIL") && findLine(l, what) != "" {
			got = l
		}
	}
	if !strings.HasPrefix(got, grade) || grade != "FAIL" && !strings.Contains(got, wantText) || !strings.Contains(out, wantText) {
		t.Errorf("%s, wanted %s with %s; output:\n%s", got, grade, wantText, out)
	}
	if (code == 1) != (grade == "FAIL") || code > 1 {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

// TestCheck_NodeWithOtherKeys: one node of three has other keys.
func TestCheck_NodeWithOtherKeys(t *testing.T) {
	t.Parallel()
	d := startDeployment(t)
	other := hubtest.StartNode(t, program, append(d.settings, "KEYS="+hubtest.OtherKey)...)
	right := d.nodes
	for at := range len(right) + 1 { // wherever the proxy begins
		d.nodes = slices.Insert(slices.Clone(right), at, strings.TrimPrefix(other.URL, "http://"))
		out, code := runCheck(t, "", nil, append(d.settings, "PUBLIC_URL="+d.startNginx(t))...)
		if code != 1 || !regexp.MustCompile(`(?m)^FAIL +keys .*LOGINHUB_KEYS`).MatchString(out) {
			t.Errorf("as node %d: %d:\n%s", at, code, out)
		}
	}
}

// TestCheck_ManagedRedis uses a proxy that refuses what managed Redis services refuse. The check
// and the node's log name the setting of that service, not users.acl.
func TestCheck_ManagedRedis(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	publishes := func(command []string) bool {
		return slices.Contains([]string{"SCRIPT", "EVAL"}, strings.ToUpper(command[0])) && strings.Contains(strings.Join(command, " "), "PUBLISH")
	}
	named := func(name string) func([]string) bool {
		return func(command []string) bool { return strings.EqualFold(command[0], name) }
	}
	for name, c := range map[string]struct {
		refuses        func(command []string) bool
		with           string // Redis's error
		what, wantText string
		grade          string
	}{
		"Alibaba Cloud's proxy": {publishes, "ERR bad lua script for redis cluster, all the keys that the script uses should be passed using the KEYS array, and KEYS should not be in expression",
			"redis scripts", "script_check_enable to 0", "FAIL"},
		"no PUBLISH in scripts": {publishes, "ERR This Redis command is not allowed from script", "redis scripts", "without the proxy", "FAIL"},
		"scripts off":           {named("SCRIPT"), "ERR unknown command 'SCRIPT'", "redis scripts", "does not have the command", "FAIL"},
		"a replica":             {named("EVALSHA"), "READONLY You can't write against a read only replica.", "redis mailbox", "this server is a replica", "FAIL"},
		"one of a Cluster":      {named("EVALSHA"), "MOVED 1 127.0.0.1:1", "redis mailbox", "?cluster=true", "FAIL"},
		"no INFO":               {named("INFO"), "ERR unknown command 'INFO'", "redis", "does not have the command", "warn"},
		"no ACL":                {named("ACL"), "ERR unknown command 'ACL'", "redis 127.0.0.1", "whether a restart can read it is not known", "warn"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := hubtest.StartRestrictedRedis(t, redis, func(command []string) string {
				if c.refuses(command) {
					return c.with
				}
				return ""
			})
			settings := []string{"REDIS_URL=" + url, "KEYS=" + hubtest.Key, "SANDBOX=true"}
			out, _ := runCheck(t, "", nil, settings...)
			found := regexp.MustCompile(`(?m)^` + c.grade + ` +` + regexp.QuoteMeta(c.what) + `.*` + regexp.QuoteMeta(c.wantText) + `.*$`).FindString(out)
			if found == "" || strings.Contains(found, "users.acl") && c.grade == "FAIL" {
				t.Errorf("%q in:\n%s", found, out)
			}
			if c.grade != "FAIL" {
				return
			}
			n := hubtest.LaunchNode(t, program, settings...)
			hubtest.Eventually(t, 20*time.Second, "the node's log has "+c.wantText, func() bool { return strings.Contains(n.Log(), c.wantText) })
		})
	}
}

func TestCheck_Certificate(t *testing.T) {
	t.Parallel()
	d := startDeployment(t)
	ca, foreign := hubtest.NewCA(t), hubtest.NewCA(t)
	for name, c := range map[string]struct {
		left           time.Duration
		host           string
		trusted        string
		what, wantText string
	}{
		"good":              {60 * 24 * time.Hour, "localhost", ca.CertFile, "ok    tls", "valid until"},
		"expires soon":      {5*24*time.Hour + time.Hour, "localhost", ca.CertFile, "warn  tls", "5 days"},
		"expired":           {-time.Minute, "localhost", ca.CertFile, "FAIL  public url", "expired"},
		"another host":      {60 * 24 * time.Hour, "login.example.com", ca.CertFile, "FAIL  public url", "valid for login.example.com"},
		"unknown authority": {60 * 24 * time.Hour, "localhost", foreign.CertFile, "FAIL  public url", "unknown authority"},
	} {
		port := hubtest.FreePort(t)
		cert, key := ca.Issue(t, regexp.MustCompile(`\W`).ReplaceAllString(name, ""), time.Now().Add(c.left), c.host)
		d.startNginx(t, "    client_max_body_size", "    listen 127.0.0.1:"+port+" ssl; ssl_certificate "+cert+"; ssl_certificate_key "+key+";\n    client_max_body_size")
		out, code := runCheck(t, c.trusted, nil, append(d.settings, "PUBLIC_URL=https://localhost:"+port)...)
		if !strings.Contains(out, c.what) || !strings.Contains(out, c.wantText) || (code == 1) != strings.HasPrefix(c.what, "FAIL") {
			t.Errorf("%s: %d\n%s", name, code, out)
		}
		if (strings.HasPrefix(findLine(out, "websocket"), "ok")) == strings.HasPrefix(c.what, "FAIL") {
			t.Errorf("%s: no socket over TLS:\n%s", name, out)
		}
	}
}

func TestHealthCommand(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	n := hubtest.StartNode(t, program, "REDIS_URL="+redis.URL)
	listen := "LISTEN=:" + n.URL[strings.LastIndex(n.URL, ":")+1:]
	ask := func(want int, wantText string, args []string, settings ...string) {
		t.Helper()
		hubtest.Eventually(t, 20*time.Second, wantText, func() bool {
			out, code := hubtest.Run(t, program, append([]string{"health"}, args...), settings...)
			return code == want && strings.Contains(out, wantText)
		})
	}
	ask(0, "/healthz", nil, listen)
	ask(0, "/readyz", []string{"--ready"}, listen)
	redis.Kill()
	// A restart would not repair Redis, so the node is alive and not ready.
	ask(1, "503 store_unavailable", []string{"--ready"}, listen)
	ask(0, "/healthz", nil, listen)
	n.Kill()
	ask(1, "no answer at", nil, listen)
	ask(2, "LOGINHUB_LISTEN", nil, "LISTEN=nowhere")

	ca := hubtest.NewCA(t)
	cert, key := ca.Issue(t, "hub", time.Now().Add(time.Hour), "login.example.com")
	secure := []string{"TLS_CERT=" + cert, "TLS_KEY=" + key}
	n = hubtest.LaunchNode(t, program, append(secure, "REDIS_URL=embedded", "SANDBOX=true")...)
	ask(0, "/readyz", []string{"--ready"}, append(secure, "LISTEN="+strings.TrimPrefix(n.URL, "http://"))...)

	// Only from a trusted address the node requires a PROXY header.
	for _, proxies := range []string{"127.0.0.1", "10.0.0.7"} {
		proxied := append(secure, "PROXY_PROTOCOL=true", "TRUSTED_PROXIES="+proxies)
		n = hubtest.LaunchNode(t, program, append(proxied, "REDIS_URL=embedded", "SANDBOX=true")...)
		ask(0, "/readyz", []string{"--ready"}, append(proxied, "LISTEN="+strings.TrimPrefix(n.URL, "http://"))...)
	}
}
