package main_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// switches is nodes with a kill switch, of which the first has an admin listener.
type switches struct {
	*testing.T
	ctx   context.Context
	nodes []*hubtest.Node
}

// put switches a client on the node.
func (s *switches) put(n int, client, body string, headers ...string) (status int) {
	s.Helper()
	a, err := hubtest.Request(s.ctx, "PUT", s.nodes[n].Admin+"/clients/"+client+"/login", body, headers...)
	if err != nil {
		s.Fatal(err)
	}
	return a.Status
}

// create creates a ticket on the node.
func (s *switches) create(n int, client string) (status int) {
	s.Helper()
	a, err := hubtest.Request(s.ctx, "POST", s.nodes[n].URL+"/api/login/tickets", map[string]string{"client_id": client})
	if err != nil {
		s.Fatal(err)
	}
	return a.Status
}

// await waits until a new ticket has that status on all nodes.
func (s *switches) await(client string, status int) {
	s.Helper()
	for n := range s.nodes {
		hubtest.Eventually(s.T, 10*time.Second, fmt.Sprintf("node %d answers %d", n, status), func() bool { return s.create(n, client) == status })
	}
}

func (s *switches) wantStates(want string) {
	s.Helper()
	var all []struct {
		ID, Label string
		Enabled   bool
	}
	a, err := hubtest.Request(s.ctx, "GET", s.nodes[0].Admin+"/clients", nil)
	if err != nil || a.Decode(200, &all) != nil || fmt.Sprint(all) != want {
		s.Errorf("%v %v, wanted %s", all, err, want)
	}
}

func TestKillSwitch_OffAndOn(t *testing.T) {
	t.Parallel()
	clients := hubtest.WriteFile(t, "clients.yaml", "clients:\n  - {id: shop, label: {en: Shop}}\n  - {id: wiki}\n")
	redis := hubtest.StartRedis(t)
	settings := []string{"REDIS_URL=" + redis.URL, "CLIENTS=" + clients}
	s := &switches{t, hubtest.Context(t, 40*time.Second), []*hubtest.Node{startMetered(t, settings...), hubtest.StartNode(t, program, settings...)}}
	s.wantStates("[{shop Shop true} {wiki wiki true}]")
	for what, status := range map[string]int{ // TestAdmin_RejectsBrowsers has what browsers send
		"a form":            s.put(0, "shop", `{"enabled":false}`, "Content-Type", "text/plain"),
		"an empty object":   s.put(0, "shop", `{}`),
		"an unknown client": s.put(0, "unknown", `{"enabled":false}`),
	} {
		if status/100 != 4 {
			t.Errorf("%s: %d", what, status)
		}
	}
	if s.create(0, "shop") != http.StatusCreated || s.put(0, "shop", `{"enabled":false}`) != http.StatusNoContent || s.create(0, "shop") != http.StatusForbidden {
		t.Error("shop is off too early, or not at the node that switches it off")
	}
	s.await("shop", http.StatusForbidden)
	if s.create(1, "wiki") != http.StatusCreated {
		t.Error("wiki is off too")
	}
	s.wantStates("[{shop Shop false} {wiki wiki true}]")
	// A node that starts now applies it from its first ticket.
	s.nodes = append(s.nodes, hubtest.StartNode(t, program, settings...))
	if status := s.create(2, "shop"); status != http.StatusForbidden {
		t.Errorf("a new node: %d", status)
	}
	if status := s.put(0, "shop", `{"enabled":true}`); status != http.StatusNoContent {
		t.Fatalf("put: %d", status)
	}
	s.await("shop", http.StatusCreated)
	// The public listener does not have the route.
	a, err := hubtest.Request(s.ctx, "PUT", s.nodes[0].URL+"/clients/shop/login", `{"enabled":false}`)
	hubtest.AssertRefusal(t, "the public listener", a, err, 404, "not_found")
}

func TestAudit_HashSetting(t *testing.T) {
	t.Parallel()
	const name = "rumpelstiltskin"
	for _, hashed := range []bool{false, true} {
		n := hubtest.StartNode(t, program, fmt.Sprintf("AUDIT_HASH=%v", hashed), "LOG=debug")
		if err := login(hubtest.Context(t, 20*time.Second), name, n.URL); err != nil {
			t.Fatal(err)
		}
		log := n.Stop(t)
		if got := strings.Contains(log, name); got == hashed {
			t.Errorf("hashed %v: the log names the user: %v", hashed, got)
		}
		if got := strings.Contains(log, `"who":"sandbox:hmac:`); got != hashed {
			t.Errorf("hashed %v: %s", hashed, log)
		}
	}
}

// TestKillSwitch_NoReplica: the change applies, and the answer warns that it may be lost.
func TestKillSwitch_NoReplica(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	node := startMetered(t, "REDIS_URL="+redis.URL, "REDIS_WAIT=1")
	ctx := hubtest.Context(t, 30*time.Second)
	a, err := hubtest.Request(ctx, "PUT", node.Admin+"/clients/default/login", `{"enabled":false}`)
	if err != nil || a.Status != http.StatusServiceUnavailable || !strings.Contains(string(a.Body), "replicas") {
		t.Errorf("%+v %v", a, err)
	}
	a, err = hubtest.Request(ctx, "POST", node.URL+"/api/login/tickets", nil)
	hubtest.AssertRefusal(t, "the client is off despite the missing replica", a, err, 403, "login_disabled")
	if lines := auditLines(t, "switched", 1, node); len(lines) != 1 || lines[0]["outcome"] != "store_unavailable" || lines[0]["enabled"] != false ||
		!strings.Contains(lines[0]["reason"].(string), "0 of 1 replicas") {
		t.Errorf("audit lines %v", lines)
	}
}
