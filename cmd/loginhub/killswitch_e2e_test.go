package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

func TestKillSwitch_OffAndOn(t *testing.T) {
	t.Parallel()
	clients := filepath.Join(t.TempDir(), "clients.yaml")
	if err := os.WriteFile(clients, []byte("clients:\n  - {id: shop, label: {en: Shop}}\n  - {id: wiki}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	redis := hubtest.StartRedis(t)
	admin := "127.0.0.1:" + hubtest.FreePort(t)
	settings := []string{"REDIS_URL=" + redis.URL, "CLIENTS=" + clients}
	one := hubtest.StartNode(t, program, append(settings, "ADMIN_LISTEN="+admin)...)
	two := hubtest.StartNode(t, program, settings...)
	ctx := testContext(t, 40*time.Second)
	put := func(client, body string, headers ...string) int {
		a, err := hubtest.Request(ctx, "PUT", one.Admin+"/clients/"+client+"/login", body, headers...)
		if err != nil {
			t.Fatal(err)
		}
		return a.Status
	}
	states := func() string {
		a, err := hubtest.Request(ctx, "GET", one.Admin+"/clients", nil)
		if err != nil {
			t.Fatal(err)
		}
		var all []struct {
			ID, Label string
			Enabled   bool
		}
		if err := json.Unmarshal(a.Body, &all); err != nil {
			t.Fatalf("%s: %v", a.Body, err)
		}
		return fmt.Sprint(all)
	}
	make := func(url, client string) int {
		a, err := hubtest.Request(ctx, "POST", url+"/api/login/tickets", map[string]string{"client_id": client})
		if err != nil {
			t.Fatal(err)
		}
		return a.Status
	}
	if got := states(); got != "[{shop Shop true} {wiki wiki true}]" {
		t.Errorf("at first: %s", got)
	}
	// Requests that a web page in the operator's browser could send, and malformed ones.
	for what, status := range map[string]int{
		"an origin":         put("shop", `{"enabled":false}`, "Origin", "http://127.0.0.1:9090"),
		"a fetch":           put("shop", `{"enabled":false}`, "Sec-Fetch-Site", "same-origin"),
		"a form":            put("shop", `{"enabled":false}`, "Content-Type", "text/plain"),
		"an empty object":   put("shop", `{}`),
		"an unknown client": put("unknown", `{"enabled":false}`),
	} {
		if status/100 != 4 {
			t.Errorf("%s: %d", what, status)
		}
	}
	if make(one.URL, "shop") != http.StatusCreated {
		t.Error("shop is off")
	}
	if status := put("shop", `{"enabled":false}`); status != http.StatusNoContent {
		t.Fatalf("put: %d", status)
	}
	if make(one.URL, "shop") != http.StatusForbidden {
		t.Error("still on at the node that switched it off")
	}
	hubtest.Eventually(t, 10*time.Second, "the other node has the change", func() bool { return make(two.URL, "shop") == http.StatusForbidden })
	if make(two.URL, "wiki") != http.StatusCreated {
		t.Error("wiki is off too")
	}
	if got := states(); got != "[{shop Shop false} {wiki wiki true}]" {
		t.Errorf("off: %s", got)
	}
	// A node that starts now applies it from its first ticket.
	three := hubtest.StartNode(t, program, settings...)
	if status := make(three.URL, "shop"); status != http.StatusForbidden {
		t.Errorf("a new node: %d", status)
	}
	if status := put("shop", `{"enabled":true}`); status != http.StatusNoContent {
		t.Fatalf("put: %d", status)
	}
	hubtest.Eventually(t, 10*time.Second, "all clients are on again", func() bool {
		return make(two.URL, "shop") == http.StatusCreated && make(three.URL, "shop") == http.StatusCreated
	})
	// The public listener does not have the route.
	a, err := hubtest.Request(ctx, "PUT", one.URL+"/clients/shop/login", `{"enabled":false}`)
	wantRefusal(t, "the public listener", a, err, 404, "not_found")
}

func TestAudit_HashSetting(t *testing.T) {
	t.Parallel()
	const name = "rumpelstiltskin"
	for _, hashed := range []bool{false, true} {
		n := hubtest.StartNode(t, program, fmt.Sprintf("AUDIT_HASH=%v", hashed), "LOG=debug")
		if err := login(testContext(t, 20*time.Second), name, n.URL); err != nil {
			t.Fatal(err)
		}
		hubtest.Eventually(t, 5*time.Second, "the last audit line", func() bool { return strings.Contains(n.Log(), `"event":"consumed"`) })
		if got := strings.Contains(n.Log(), name); got == hashed {
			t.Errorf("hashed %v: the log names the user: %v", hashed, got)
		}
		if got := strings.Contains(n.Log(), `"who":"sandbox:hmac:`); got != hashed {
			t.Errorf("hashed %v: %s", hashed, n.Log())
		}
	}
}

// TestKillSwitch_SurvivesRestart: nodes keep a kill switch that Redis loses, and restore it for new
// nodes.
func TestKillSwitch_SurvivesRestart(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	nodes := []*hubtest.Node{startMetered(t, "REDIS_URL="+redis.URL), startMetered(t, "REDIS_URL="+redis.URL)}
	ctx := testContext(t, 60*time.Second)
	put := func(n *hubtest.Node, body string) {
		t.Helper()
		a, err := hubtest.Request(ctx, "PUT", n.Admin+"/clients/default/login", body)
		if err != nil || a.Status != http.StatusNoContent {
			t.Fatalf("put: %+v %v", a, err)
		}
	}
	make := func(n *hubtest.Node) int {
		a, err := hubtest.Request(ctx, "POST", n.URL+"/api/login/tickets", nil)
		if err != nil {
			t.Fatal(err)
		}
		return a.Status
	}
	off := func(when string) {
		t.Helper()
		for i, n := range nodes {
			if status := make(n); status != http.StatusForbidden {
				t.Errorf("%s: node %d creates tickets: %d", when, i, status)
			}
		}
	}
	put(nodes[0], `{"enabled":false}`)
	hubtest.Eventually(t, 10*time.Second, "the other node has the change", func() bool { return make(nodes[1]) == http.StatusForbidden })
	word := redis.Client.HGet(ctx, "loginhub:switches", "default").Val()
	if err := redis.Client.FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	off("right after the loss")
	hubtest.Eventually(t, 20*time.Second, "Redis has the kill switch again", func() bool {
		return redis.Client.HGet(ctx, "loginhub:switches", "default").Val() == word
	})
	off("written again")
	for _, n := range nodes {
		if err := n.Terminate(); err != nil {
			t.Fatal(err)
		}
		if code, err := n.Wait(20 * time.Second); code != 0 || err != nil {
			t.Fatalf("the node ended with %d, %v:\n%s", code, err, n.Log())
		}
		n.Restart(t)
		off("in the rolling restart")
	}
	put(nodes[1], `{"enabled":true}`)
	hubtest.Eventually(t, 10*time.Second, "all clients are on again", func() bool {
		return make(nodes[0]) == http.StatusCreated && make(nodes[1]) == http.StatusCreated
	})
	for i, enabled := range []bool{false, true} { // one audit line each, on the node that was called
		lines := auditLines("switched", nodes[i])
		if len(lines) != 1 || lines[0]["enabled"] != enabled || lines[0]["client"] != "default" ||
			lines[0]["operator"] != "127.0.0.1" || lines[0]["outcome"] != "ok" {
			t.Errorf("node %d has the audit lines %v", i, lines)
		}
	}
}

// TestKillSwitch_NoReplica: the change applies, and the answer warns that it may be lost.
func TestKillSwitch_NoReplica(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	node := startMetered(t, "REDIS_URL="+redis.URL, "REDIS_WAIT=1")
	ctx := testContext(t, 30*time.Second)
	a, err := hubtest.Request(ctx, "PUT", node.Admin+"/clients/default/login", `{"enabled":false}`)
	if err != nil || a.Status != http.StatusServiceUnavailable || !strings.Contains(string(a.Body), "replicas") {
		t.Errorf("%+v %v", a, err)
	}
	a, err = hubtest.Request(ctx, "POST", node.URL+"/api/login/tickets", nil)
	wantRefusal(t, "the client is off despite the missing replica", a, err, 403, "login_disabled")
	if lines := auditLines("switched", node); len(lines) != 1 || lines[0]["outcome"] != "store_unavailable" || lines[0]["enabled"] != false ||
		!strings.Contains(lines[0]["reason"].(string), "0 of 1 replicas") {
		t.Errorf("audit lines %v", lines)
	}
}
