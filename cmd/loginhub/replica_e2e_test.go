package main_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// auditLines waits until the nodes have written that many audit lines of the event, and
// returns all. Lines are written later than the answer.
func auditLines(t *testing.T, event string, atLeast int, nodes ...*hubtest.Node) (lines []map[string]any) {
	t.Helper()
	hubtest.Eventually(t, 20*time.Second, fmt.Sprintf("%d audit lines of %s", atLeast, event), func() bool {
		lines = nil
		for _, n := range nodes {
			for text := range strings.Lines(n.Log()) {
				var line struct{ Audit map[string]any }
				if json.Unmarshal([]byte(text), &line) == nil && line.Audit["event"] == event {
					lines = append(lines, line.Audit)
				}
			}
		}
		return len(lines) >= atLeast
	})
	return lines
}

// TestReplica_OneAuditEvent: a confirm without a replica is stored and the browser logs in, but the
// phone is asked to repeat. The repeated call is the same event.
func TestReplica_OneAuditEvent(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	nodes := []*hubtest.Node{startMetered(t, "REDIS_URL="+redis.URL, "REDIS_WAIT=1"), startMetered(t, "REDIS_URL="+redis.URL, "REDIS_WAIT=1")}
	ctx := hubtest.Context(t, 60*time.Second)
	phone, p := hubtest.NewPhone("ann"), mustOpenWaiter(t, ctx, nodes[1].URL, nodes[1].URL)
	mustCall(t, ctx, phone, nodes[0].URL, p.ID, "scan")
	for _, node := range nodes { // the second call finds the change stored, still without a replica
		a, err := phone.Do(ctx, node.URL, p.ID, "confirm", nil)
		hubtest.AssertRefusal(t, "without a replica", a, err, 503, "store_unavailable")
	}
	if _, err := p.waitToken(ctx, nodes[0].URL, "sandbox:ann"); err != nil {
		t.Error(err)
	}
	once := func(when string) {
		t.Helper()
		var changes, missing float64
		for _, node := range nodes {
			counts := scrape(t, node)
			changes += counts[`loginhub_transitions_total{client="default",state="confirmed"}`]
			missing += counts["loginhub_redis_replicas_missing_total"]
		}
		lines := auditLines(t, "confirmed", 1, nodes...)
		if changes != 1 || len(lines) != 1 || missing == 0 {
			t.Fatalf("%s: %v changes and %v missing replicas counted, audit lines %q", when, changes, missing, lines)
		}
		reason, _ := lines[0]["reason"].(string)
		if l := lines[0]; l["who"] != "sandbox:ann" || l["outcome"] != "store_unavailable" || l["seq"] != 3.0 || !strings.Contains(reason, "0 of 1 replicas") {
			t.Errorf("%s: %v", when, l)
		}
	}
	once("without a replica")
	if lines := auditLines(t, "refused", 1, nodes...); len(lines) != 1 || lines[0]["outcome"] != "store_unavailable" {
		t.Errorf("the repeated call has the audit line %v", lines)
	}

	host, port, _ := strings.Cut(redis.Addr, ":")
	replica := hubtest.StartRedis(t, "--replicaof", host+" "+port)
	hubtest.Eventually(t, 20*time.Second, "the replica follows", func() bool {
		info, err := replica.Client.Info(ctx, "replication").Result()
		return err == nil && strings.Contains(info, "master_link_status:up")
	})
	mustCall(t, ctx, phone, nodes[0].URL, p.ID, "confirm")
	mustCall(t, ctx, phone, nodes[1].URL, p.ID, "confirm")
	once("with a replica")

	// With a replica from the start, it is a normal event.
	q := mustOpenWaiter(t, ctx, nodes[1].URL, nodes[1].URL)
	mustCall(t, ctx, phone, nodes[0].URL, q.ID, "confirm", "confirm")
	if lines := auditLines(t, "confirmed", 2, nodes...); len(lines) != 2 || lines[1]["outcome"] != "ok" || lines[1]["seq"] != 2.0 {
		t.Errorf("audit lines %v", lines)
	}
}
