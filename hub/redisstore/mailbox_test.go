package redisstore

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

var mailboxCases = map[string]func(*testing.T, *fixture){
	"messages arrive once, in order, in their own mailbox": func(t *testing.T, r *fixture) {
		mine, other := r.listen(t), r.listen(t)
		var sent []string
		id := newID()
		for i := range 200 {
			sent = append(sent, fmt.Sprint("message ", i, " \x00\xff小明"))
			r.publish(t, id, mine.node, sent[i])
		}
		if got := mine.drain(t, id); !slices.Equal(got, sent) {
			t.Errorf("%d messages arrived: %q", len(got), got)
		}
		if got := other.drain(t, id); len(got) != 0 {
			t.Errorf("another's mailbox got %q", got)
		}
		if len(mine.subscribed) != 0 {
			t.Error("subscribed is called without a new subscription")
		}
	},

	"Listen ends with its context": func(t *testing.T, r *fixture) {
		b := r.listen(t)
		b.end()
		if err := await(t, b.ended, "Listen returns"); err != nil {
			t.Errorf("ended with %v", err)
		}
		hubtest.Eventually(t, 10*time.Second, "no subscriber is left", func() bool {
			n, err := r.inspect.PubSubNumSub(limit(t), r.names().mailbox(b.node)).Result()
			return err == nil && n[r.names().mailbox(b.node)] == 0
		})
	},

	"every master publishes its probe": func(t *testing.T, r *fixture) {
		b := r.listen(t)
		right := r.offset.Load()
		r.offset.Store(right + int64(time.Hour))
		masters, err := r.Probe(limit(t), b.node, "nonce")
		if err != nil || masters != r.masters {
			t.Fatalf("%d masters, %v", masters, err)
		}
		if off := r.Now().Sub(r.clock(t)); off.Abs() > 500*time.Millisecond {
			t.Errorf("after a probe the clock is off by %v", off)
		}
		heard := map[int]bool{}
		for range masters {
			nonce, master, ok := ticket.DecodeProbe([]byte(await(t, b.mail, "a probe")))
			if !ok || nonce != "nonce" || heard[master] || master < 0 || master >= masters {
				t.Errorf("heard %q of master %d (%v)", nonce, master, ok)
			}
			heard[master] = true
		}
		for _, name := range r.nodeKeys(t, b.node, masters) {
			if left := r.inspect.PTTL(limit(t), name).Val(); left <= 8*time.Second || left > 10*time.Second {
				t.Errorf("%s is there for %v", name, left)
			}
		}
		if got := b.drain(t, newID()); len(got) != 0 {
			t.Errorf("received besides the probes: %q", got)
		}
	},
}

// nodeKeys returns a node's keys on all masters. It tries every small tag and bucket.
func (r *fixture) nodeKeys(t *testing.T, node string, masters int) []string {
	t.Helper()
	var all []string
	for n := range 1000 {
		name := fmt.Sprintf("loginhub:node:{%s%d}%s", map[bool]string{true: "b"}[r.Sharded], n, node)
		if r.inspect.Exists(limit(t), name).Val() == 1 {
			all = append(all, name)
		}
	}
	if len(all) != masters {
		t.Errorf("%d masters, and node keys %q", masters, all)
	}
	return all
}

func TestMailbox_Resubscribes(t *testing.T) {
	server := hubtest.StartRedis(t)
	r := newFixture(t, server.URL, 1)
	b := r.listen(t)
	for range 3 {
		if n, err := server.Client.ClientKillByFilter(limit(t), "TYPE", "pubsub").Result(); err != nil || n != 1 {
			t.Fatalf("killed %d, %v", n, err)
		}
		await(t, b.subscribed, "subscribed again")
		if err := r.inspect.Publish(limit(t), r.names().mailbox(b.node), "hello").Err(); err != nil {
			t.Fatal(err)
		}
		if m := await(t, b.mail, "mail after a new subscription"); m != "hello" {
			t.Errorf("got %q", m)
		}
	}
	if len(b.ended) != 0 {
		t.Error("Listen gave up")
	}
}

func TestMailbox_ProbeNeedsWrites(t *testing.T) {
	server := hubtest.StartRedis(t)
	r := newFixture(t, server.URL, 1)
	b := r.listen(t)
	for setting, healthy := range map[string][2]string{"min-replicas-to-write": {"1", "0"}, "maxmemory": {"1", "0"}} {
		if err := server.Client.ConfigSet(limit(t), setting, healthy[0]).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Probe(limit(t), b.node, "refused"); !isUnavailable(err) {
			t.Errorf("%s: %v", setting, err)
		}
		if got := b.drain(t, newID()); len(got) != 0 {
			t.Errorf("%s: it refuses writes, and published %q", setting, got)
		}
		if err := server.Client.ConfigSet(limit(t), setting, healthy[1]).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Probe(limit(t), b.node, "healthy"); err != nil {
			t.Errorf("%s, after that: %v", setting, err)
		}
		await(t, b.mail, "the probe of a healthy master")
	}
}
