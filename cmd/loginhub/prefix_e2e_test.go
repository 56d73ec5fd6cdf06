package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// TestPrefix_TwoDeployments runs two deployments on one Redis, each with the rights that secrets.sh
// gives it. Both log in, and neither may access the other's keys.
func TestPrefix_TwoDeployments(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	dir := t.TempDir()
	cmd := exec.Command("../../deploy/docker/secrets.sh", dir)
	cmd.Env = append(os.Environ(), "LOGINHUB_REDIS_PREFIX=team-a:")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	users, err := os.ReadFile(filepath.Join(dir, "users.acl"))
	if err != nil {
		t.Fatal(err)
	}
	_, rules, ok := strings.Cut(string(users), "user loginhub on ")
	if !ok {
		t.Fatalf("users.acl: %s", users)
	}
	set := []any{"ACL", "SETUSER", "team"}
	for _, word := range append(strings.Fields("on >secret"), strings.Fields(rules)...) {
		set = append(set, word)
	}
	ctx := hubtest.Context(t, 60*time.Second)
	if err := redis.Client.Do(ctx, set...).Err(); err != nil {
		t.Fatal(err)
	}
	team := []string{"REDIS_URL=redis://team:secret@" + redis.Addr, "REDIS_PREFIX=team-a:", "KEYS=" + hubtest.OtherKey}
	ours := hubtest.StartNode(t, program, "REDIS_URL="+redis.URL, "KEYS="+hubtest.Key)
	theirs := hubtest.StartNode(t, program, append(team, "ADMIN_LISTEN=127.0.0.1:"+hubtest.FreePort(t))...)
	for _, at := range []string{ours.URL, theirs.URL} {
		if err := login(ctx, "ann", at, at, at, at); err != nil {
			t.Error(err)
		}
	}
	// One deployment's ticket is unknown to the other: the answer is not that a key is missing.
	p := hubtest.MustCreateTicket(t, ctx, theirs.URL)
	a, err := hubtest.NewPhone("bob").Do(ctx, ours.URL, p.ID, "scan", nil)
	hubtest.AssertRefusal(t, "the other deployment's ticket", a, err, 404, "ticket_not_found")
	if a, err := hubtest.Request(ctx, "PUT", theirs.Admin+"/clients/default/login", `{"enabled":false}`); err != nil || a.Status != 204 {
		t.Fatalf("switch: %+v %v", a, err)
	}
	hubtest.MustCreateTicket(t, ctx, ours.URL)

	if out, _ := runCheck(t, "", nil, team...); strings.Contains(out, "FAIL  redis") {
		t.Errorf("with its own prefix:\n%s", out)
	}
	out, code := runCheck(t, "", nil, append(team, "REDIS_PREFIX=team-b")...)
	if code != 1 || !strings.Contains(out, "~team-b:* &team-b:mail:*") {
		t.Errorf("with another prefix: %d\n%s", code, out)
	}
}
