package deploytest_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// redisAs runs one command as that user and returns Redis's answer.
func redisAs(t *testing.T, redis *hubtest.Redis, user, password string, command ...string) string {
	t.Helper()
	host, port, _ := strings.Cut(redis.Addr, ":")
	args := []string{"-h", host, "-p", port}
	if user != "" {
		args = append(args, "--user", user, "--pass", password, "--no-auth-warning")
	}
	out, err := exec.Command("redis-cli", append(args, command...)...).CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// loginOnThreeNodes logs in on three nodes with that Redis, over sockets and polls.
func loginOnThreeNodes(t *testing.T, redis *hubtest.Redis, settings ...string) []*hubtest.Node {
	t.Helper()
	var nodes []*hubtest.Node
	for range 3 {
		nodes = append(nodes, hubtest.StartNode(t, program, append([]string{"REDIS_URL=" + redis.URL}, settings...)...))
	}
	ctx := hubtest.Context(t, 30*time.Second)
	for i := range 3 {
		at := func(n int) string { return nodes[(i+n)%3].URL }
		if err := login(ctx, fmt.Sprintf("user %d", i), at(0), at(1), at(2), at(0)); err != nil {
			t.Errorf("login %d: %v", i, err)
		}
	}
	return nodes
}

// TestShippedRedis_DocumentedInstall runs deploy/redis/README.md's commands in a directory of the
// test, uses the URL that they print, and starts a replica.
func TestShippedRedis_DocumentedInstall(t *testing.T) {
	t.Parallel()
	dir, text := t.TempDir(), ""
	for _, block := range []string{"<!-- install -->\n", "<!-- replica -->\n"} {
		_, rest, _ := strings.Cut(readDeploy(t, "redis/README.md"), block)
		text += strings.NewReplacer("/etc/redis", dir, "/var/lib/redis", dir).Replace(fence.FindStringSubmatch(rest)[2])
	}
	run := exec.Command("sh", "-ec", text)
	run.Dir = "../.."
	out, err := run.CombinedOutput()
	printed := regexp.MustCompile(`admin's password: (\w+); the nodes: redis://loginhub:(\w+)@HOST:6379/0`).FindStringSubmatch(string(out))
	if err != nil || printed == nil {
		t.Fatalf("%v %s", err, out)
	}
	redis := hubtest.StartRedisAs(t, "health", "any", filepath.Join(dir, "redis.conf"))
	host, port, _ := strings.Cut(redis.Addr, ":")
	replica := hubtest.StartRedisAs(t, "health", "any", filepath.Join(dir, "redis.conf"), "--dir", t.TempDir(), "--replicaof", host, port)
	hubtest.Eventually(t, 20*time.Second, "the documented replica follows", func() bool {
		return strings.Contains(redisAs(t, replica, "admin", printed[1], "INFO", "replication"), "master_link_status:up")
	})
	for user, password := range map[string]string{"admin": printed[1], "loginhub": printed[2]} {
		if got := redisAs(t, redis, user, password, "PING"); got != "PONG" {
			t.Errorf("%s: %s", user, got)
		}
	}
}

func TestShippedRedis_UserRights(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	loginOnThreeNodes(t, redis)

	for setting, want := range map[string]string{"maxmemory-policy": "noeviction", "appendonly": "yes", "save": "", "protected-mode": "yes"} {
		if got, err := redis.Client.ConfigGet(context.Background(), setting).Result(); err != nil || got[setting] != want {
			t.Errorf("%s is %v %v", setting, got, err)
		}
	}
	limits, err := redis.Client.ConfigGet(context.Background(), "client-output-buffer-limit").Result()
	if err != nil || !strings.Contains(limits["client-output-buffer-limit"], "pubsub 67108864 16777216 10") {
		t.Errorf("client-output-buffer-limit pubsub: %v %v", limits, err)
	}
	for _, command := range []string{"FLUSHALL", "FLUSHDB", "KEYS *", "SCAN 0", "CONFIG GET *", "ACL LIST", "MONITOR", "SHUTDOWN", "DEBUG SLEEP 0",
		"SCRIPT FLUSH", "SAVE", "CLIENT LIST", "REPLICAOF NO ONE", "DEL loginhub:switches", "EXPIRE loginhub:switches 1",
		"GET other", "HGET session user", "SET other 1", "PUBLISH other 1", "SUBSCRIBE other", "PSUBSCRIBE loginhub:mail:*",
		"EVAL return(redis.call('FLUSHALL')) 0", "EVAL return(redis.call('GET','other')) 0", "EVAL return(redis.call('PUBLISH','other','x')) 0"} {
		out := redisAs(t, redis, "loginhub", "hunter2", strings.Fields(command)...)
		if !strings.Contains(out, "NOPERM") && !strings.Contains(out, "The user executing the script can't") && !strings.Contains(out, "command not allowed") {
			t.Errorf("the hub may %s: %s", command, out)
		}
	}
	for who, out := range map[string]string{
		"no user":                     redisAs(t, redis, "", "", "PING"),
		"a wrong password":            redisAs(t, redis, "loginhub", "hunter3", "PING"),
		"health with another command": redisAs(t, redis, "health", "any", "GET", "loginhub:switches"),
	} {
		if !strings.Contains(out, "NOAUTH") && !strings.Contains(out, "WRONGPASS") && !strings.Contains(out, "NOPERM") {
			t.Errorf("%s is accepted: %s", who, out)
		}
	}
	if out := redisAs(t, redis, "health", "any", "PING"); out != "PONG" {
		t.Errorf("the health check got %s", out)
	}

	// Least privilege: every granted command has a reason.
	used, err := redis.Client.Info(context.Background(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := strings.Fields("acl|dryrun select cluster|shards cluster|slots asking command wait info getdel hdel hset zadd zrem zcard zscore zrange zremrangebyscore ping get set unsubscribe evalsha spublish ssubscribe sunsubscribe")
	line := regexp.MustCompile(`(?m)^user loginhub .*$`).FindString(readDeploy(t, "redis/users.acl"))
	granted := regexp.MustCompile(`\+(\S+)`).FindAllStringSubmatch(line, -1)
	for _, g := range granted {
		if !strings.Contains(used, "cmdstat_"+g[1]+":") && !slices.Contains(elsewhere, g[1]) {
			t.Errorf("the hub's user may %s, which the hub does not use", g[1])
		}
	}
	if len(granted) < 15 {
		t.Errorf("only %d commands found in %q: the pattern is wrong", len(granted), line)
	}
}

func TestShippedRedis_WaitForReplica(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	host, port, _ := strings.Cut(redis.Addr, ":")
	replica := hubtest.StartRedis(t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	hubtest.Eventually(t, 20*time.Second, "the replica follows", func() bool {
		info, err := replica.Client.Info(context.Background(), "replication").Result()
		return err == nil && strings.Contains(info, "master_link_status:up")
	})
	nodes := loginOnThreeNodes(t, redis, "REDIS_WAIT=1")
	if used, err := redis.Client.Info(context.Background(), "commandstats").Result(); err != nil || !strings.Contains(used, "cmdstat_wait:") {
		t.Errorf("no WAIT was sent: %v", err)
	}
	replica.Kill()
	ctx := hubtest.Context(t, 20*time.Second)
	p := hubtest.MustCreateTicket(t, ctx, nodes[0].URL)
	a, err := hubtest.NewPhone("alone").Do(ctx, nodes[2].URL, p.ID, "confirm", nil)
	hubtest.AssertRefusal(t, "a confirm without the replica", a, err, 503, "store_unavailable")
}

// TestShippedRedis_RunbookCommands runs the runbook's Redis commands with the command line that it
// names. The hub's user may run none of those that change something.
func TestShippedRedis_RunbookCommands(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	book := readDeploy(t, "RUNBOOK.md")
	host, port, _ := strings.Cut(redis.Addr, ":")
	found := regexp.MustCompile(`(?m)^redis\(\) \{ (redis-cli -h HOST .*) "\$@"; \}$`).FindStringSubmatch(book)
	if found == nil || !strings.Contains(book, "docker compose -f deploy/compose.yaml exec redis redis-cli"+strings.TrimPrefix(found[1], "redis-cli -h HOST")+"`") {
		t.Fatalf("the runbook does not name a redis-cli line for compose and for other deployments: %q", found)
	}
	line := found[1]
	admin := func(command string) string {
		call := strings.Fields(strings.Replace(line, "HOST", host+" -p "+port, 1) + " " + command)
		cmd := exec.Command(call[0], call[1:]...)
		cmd.Stdin = strings.NewReader("root\n")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v %s", call, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if out := admin("ACL WHOAMI"); out != "admin" {
		t.Fatalf("the line logs in as %s", out)
	}
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile("`([A-Z]+)((?: [a-zA-Z0-9-]+)*)`").FindAllStringSubmatch(book, -1) {
		if known, err := redis.Client.Do(context.Background(), "COMMAND", "INFO", m[1]).Slice(); err != nil || known[0] == nil {
			continue // a word of Redis's errors, or an HTTP method
		}
		seen[m[1]+m[2]] = true
	}
	for _, m := range regexp.MustCompile(`(?m)^redis ([A-Z]+(?: [a-zA-Z0-9-]+)*)`).FindAllStringSubmatch(book, -1) {
		seen[m[1]] = true
	}
	for _, command := range []string{"PING", "SLOWLOG GET 5", "ACL LOG", "INFO persistence", "INFO memory", "CLUSTER INFO", "ACL LOAD", "CONFIG SET maxmemory 4gb", "BGREWRITEAOF", "REPLICAOF NO ONE"} {
		if !seen[command] {
			t.Errorf("the runbook has no %s: the pattern is wrong", command)
		}
	}
	for command := range seen {
		if out := admin(command); strings.Contains(out, "NOPERM") || strings.Contains(out, "NOAUTH") || strings.Contains(out, "unknown") {
			t.Errorf("%s: %s", command, out)
		}
		if strings.HasPrefix(command, "INFO") || command == "PING" {
			continue // the hub needs them too
		}
		if out := redisAs(t, redis, "loginhub", "hunter2", strings.Fields(command)...); !strings.Contains(out, "NOPERM") && !strings.Contains(out, "wrong number of arguments") {
			t.Errorf("the hub may %s: %s", command, out)
		}
	}
}

// TestShippedRedis_AOFRewrite: with the shipped settings expired tickets are removed from the AOF
// after 256 KiB of other writes.
func TestShippedRedis_AOFRewrite(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	ctx := hubtest.Context(t, 30*time.Second)
	dir, err := redis.Client.ConfigGet(ctx, "dir").Result()
	if err != nil {
		t.Fatal(err)
	}
	inAOF := func() bool { return exec.Command("grep", "-rq", "openid-of-somebody", dir["dir"]).Run() == nil }
	if err := redis.Client.Set(ctx, "loginhub:{ticket}", "openid-of-somebody", time.Second).Err(); err != nil {
		t.Fatal(err)
	}
	hubtest.Eventually(t, 20*time.Second, "the AOF is written", inAOF)
	hubtest.Eventually(t, 20*time.Second, "the ticket expires", func() bool { return redis.Client.DBSize(ctx).Val() == 0 })
	if !inAOF() {
		t.Error("an expired ticket leaves the AOF without a rewrite: the test shows nothing")
	}
	for range 300 {
		if err := redis.Client.Set(ctx, "loginhub:{other}", strings.Repeat("x", 1<<10), time.Second).Err(); err != nil {
			t.Fatal(err)
		}
	}
	hubtest.Eventually(t, 20*time.Second, "the AOF is rewritten", func() bool { return !inAOF() })
}

// TestShippedRedis_Cluster: the same users.acl line works on every server of a Cluster,
// also for sharded pub/sub, and `loginhub check` says so.
func TestShippedRedis_Cluster(t *testing.T) {
	t.Parallel()
	cluster := hubtest.StartCluster(t, 0)
	loginOnThreeNodes(t, &hubtest.Redis{URL: cluster.URL})
	loginOnThreeNodes(t, &hubtest.Redis{URL: cluster.URL}, "REDIS_SHARDED=true")
	out, _ := hubtest.Run(t, program, []string{"check"}, "REDIS_URL="+cluster.URL, "REDIS_SHARDED=true", "KEYS="+hubtest.Key, "SANDBOX=true")
	for _, what := range []string{"mailbox", "tickets"} {
		if !regexp.MustCompile(`(?m)^ok +redis ` + what).MatchString(out) {
			t.Errorf("no line that the %s works:\n%s", what, out)
		}
	}
}
