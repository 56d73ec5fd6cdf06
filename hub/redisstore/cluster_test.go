package redisstore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

func TestCluster_Slots(t *testing.T) {
	c := hubtest.StartRedis(t, "--cluster-enabled", "yes", "--cluster-port", hubtest.FreePort(t)).Client
	if got := crc16("123456789"); got != 0x31c3 { // the test value in the specification of Redis Cluster
		t.Errorf("the check value is %#x", got)
	}
	for _, s := range []string{"", "0", "a", "foo", "16383", string(newID()), "小明", "\x00\xff"} {
		slot, err := c.ClusterKeySlot(limit(t), s).Result()
		if err != nil || int64(crc16(s))%16384 != slot {
			t.Errorf("%q lies in slot %d, and here in %d (%v)", s, slot, crc16(s)%16384, err)
		}
	}
	for _, ranges := range [][]redis.SlotRange{
		{{Start: 0, End: 16383}}, {{Start: 0, End: 5460}}, {{Start: 5461, End: 10922}}, {{Start: 10923, End: 16383}},
		{{Start: 42, End: 42}}, {{Start: 16383, End: 16383}}, {{Start: 7, End: 7}, {Start: 9000, End: 9001}},
	} {
		// The tag is between braces, in the middle of a key.
		name := fmt.Sprintf("loginhub:node:{%s}%s", tagForSlots("", ranges), newID())
		slot := c.ClusterKeySlot(limit(t), name).Val()
		in := false
		for _, r := range ranges {
			in = in || r.Start <= slot && slot <= r.End
		}
		if !in {
			t.Errorf("%s lies in slot %d, not in %v", name, slot, ranges)
		}
	}
}

// TestCluster_OneMaster flushes the scripts of one master: only the calls to that master
// are repeated. Then it kills a master: the probe fails, although the others answer.
func TestCluster_OneMaster(t *testing.T) {
	t.Parallel()
	cluster := hubtest.StartCluster(t, 0)
	checkScriptsFlushed(t, cluster)
	r := newFixture(t, cluster.URL, 3)
	if _, err := r.Probe(limit(t), "N1", "nonce"); err != nil {
		t.Fatal(err)
	}
	cluster.Nodes[2].Kill()
	start := time.Now()
	masters, err := r.Probe(t.Context(), "N1", "nonce")
	if took := time.Since(start); masters != 0 || !isUnavailable(err) || took > probeTimeout+1500*time.Millisecond {
		t.Errorf("%d masters, %v after %v", masters, err, took)
	}
}

func checkScriptsFlushed(t *testing.T, cluster *hubtest.Cluster) {
	t.Helper()
	r := newFixture(t, cluster.URL, 3)
	if err := r.Preload(limit(t)); err != nil {
		t.Fatal(err)
	}
	b := r.listen(t)
	var ids []ticket.ID
	var changes []ticket.Change
	holders := map[string]int{}
	for range 30 {
		id, old, deadline := r.created(t, time.Minute)
		ids = append(ids, id)
		changes = append(changes, ticket.Change{ID: id, BaseTag: tag(old), Sealed: record(2, "next"), NotAfter: deadline, ExpireAt: deadline})
		holders[cluster.MasterOf(t, r.ticketKey(id)).Addr]++
	}
	if len(holders) != 3 {
		t.Fatalf("the tickets lie on %v", holders)
	}
	forget := func() {
		if err := cluster.MasterOf(t, r.ticketKey(ids[0])).Client.ScriptFlush(limit(t)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	forget()
	found, err := r.Attach(limit(t), b.node, ids...)
	for i, f := range found {
		if f.Sealed == nil {
			t.Errorf("ticket %d is not found", i)
		}
	}
	if err != nil || len(found) != len(ids) {
		t.Fatalf("%d found, %v", len(found), err)
	}
	// The other masters must not have received the source of a script.
	for _, node := range cluster.Nodes {
		stats := node.Client.Info(limit(t), "commandstats").Val()
		if sent := strings.Contains(stats, "cmdstat_eval:"); sent != (node == cluster.MasterOf(t, r.ticketKey(ids[0]))) {
			t.Errorf("%s was sent a script: %v", node.Addr, sent)
		}
	}
	forget()
	out, err := r.Change(limit(t), changes...)
	if err != nil {
		t.Fatal(err)
	}
	sent := map[string]int{}
	for i, o := range out {
		if !o.Done {
			t.Errorf("change %d became %+v", i, o)
		}
		for _, m := range b.drain(t, ids[i]) {
			sent[m]++
		}
	}
	for _, c := range changes {
		if n := sent[string(ticket.EncodeUpdate(c.ID, c.Sealed))]; n != 1 {
			t.Errorf("a change was published %d times", n)
		}
	}
}

// TestCluster_MigratingSlots covers a slot that stays in migration: redis-cli was
// interrupted, or another key of the slot is large.
func TestCluster_MigratingSlots(t *testing.T) {
	t.Parallel()
	cluster := hubtest.StartCluster(t, 1)
	cluster.SetNodeTimeout(t, time.Minute)
	for mode := range 4 {
		r := newFixture(t, cluster.URL, 3)
		r.Replicas, r.Sharded = mode%2, mode/2 > 0
		id, old, deadline := r.created(t, time.Minute)
		b, from := r.listen(t), cluster.MasterOf(t, r.ticketKey(id))
		to := cluster.Nodes[0]
		if to == from {
			to = cluster.Nodes[1]
		}
		finish, err := cluster.StartSlotMigration(limit(t), r.ticketKey(id), from, to)
		if err != nil {
			t.Fatal(err)
		}
		for version, step := range []func() error{func() error { return nil }, finish} { // during the migration, and after it
			if err := step(); err != nil {
				t.Fatal(err)
			}
			if found := r.attach(t, b.node, id); string(found.Sealed) != string(old) {
				t.Errorf("found %+v", found)
			}
			c := ticket.Change{ID: id, BaseTag: tag(old), Sealed: record(version+2, "next"), NotAfter: deadline, ExpireAt: deadline, WaitReplicas: true}
			if out := r.change(t, c); !out.Done {
				t.Errorf("the change became %+v", out)
			}
			if m := await(t, b.mail, "the message"); m != string(ticket.EncodeUpdate(id, c.Sealed)) {
				t.Errorf("published %q", m)
			}
			old = c.Sealed
		}
	}
}
