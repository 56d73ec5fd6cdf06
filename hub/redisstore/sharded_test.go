package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

// TestSharded_RollingChange has nodes with and without Sharded on one Cluster: whichever node
// creates a ticket, waits for it and changes it, the waiting node gets one message.
func TestSharded_RollingChange(t *testing.T) {
	t.Parallel()
	cluster := hubtest.StartCluster(t, 0)
	with := map[bool]*fixture{false: newFixture(t, cluster.URL, 3), true: newFixture(t, cluster.URL, 3)}
	with[true].Sharded = true
	boxes := map[bool]*inbox{false: with[false].listen(t), true: with[true].listen(t)}
	for mode := range 8 {
		creates, waits, changes := mode&1 > 0, mode&2 > 0, mode&4 > 0
		t.Run(fmt.Sprintf("created %v, waits %v, changed %v", creates, waits, changes), func(t *testing.T) {
			id, old, deadline := with[creates].created(t, time.Minute)
			b := boxes[waits]
			if found := with[waits].attach(t, b.node, id); string(found.Sealed) != string(old) {
				t.Errorf("found %+v", found)
			}
			with[changes].attach(t, "changer", id)
			c := ticket.Change{ID: id, BaseTag: tag(old), Sealed: record(2, "next"), NotAfter: deadline, ExpireAt: deadline, ExcludeNode: "changer"}
			if out := with[changes].change(t, c); !out.Done {
				t.Errorf("the change became %+v", out)
			}
			if got := await(t, b.mail, "the message"); got != string(ticket.EncodeUpdate(id, c.Sealed)) {
				t.Errorf("the waiting node got %q", got)
			}
		})
	}
	for sharded, b := range boxes {
		if len(b.mail) > 0 {
			t.Errorf("sharded %v: another message: %q", sharded, <-b.mail)
		}
	}
}

// TestSharded_Subscriptions breaks and moves the subscriptions of a node: it subscribes
// again by itself, in every bucket.
func TestSharded_Subscriptions(t *testing.T) {
	t.Parallel()
	cluster := hubtest.StartCluster(t, 1)
	cluster.SetNodeTimeout(t, time.Minute)
	r := newFixture(t, cluster.URL, 3)
	r.Sharded = true
	b := r.listen(t)
	first, second := cluster.Nodes[0], cluster.Nodes[1]
	move := func(from, to *hubtest.Redis) error {
		finish, err := cluster.StartSlotMigration(limit(t), r.names().shardMailbox(0, b.node), from, to)
		if err != nil {
			return err
		}
		return finish()
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"connections killed", func() error {
			for _, one := range cluster.Nodes {
				if err := one.Client.ClientKillByFilter(limit(t), "TYPE", "pubsub").Err(); err != nil {
					return err
				}
			}
			return nil
		}},
		{"a slot moved", func() error { return move(first, second) }},
		{"it moved back", func() error { return move(second, first) }},
		{"it moved again", func() error { return move(first, second) }},
		{"it moved back, away and back", func() error { return errors.Join(move(second, first), move(first, second), move(second, first)) }},
		{"a master stepped down", func() error {
			replica := cluster.ReplicaOf(t, first)
			if err := replica.Client.ClusterFailover(limit(t)).Err(); err != nil {
				return err
			}
			hubtest.Eventually(t, 10*time.Second, "it is a replica", func() bool {
				return strings.Contains(first.Client.Info(limit(t), "replication").Val(), "role:slave")
			})
			return nil
		}},
		{"a master died", func() error {
			second.Kill()
			cluster.FailOver(t, second)
			return nil
		}},
	} {
		for len(b.subscribed) > 0 {
			<-b.subscribed
		}
		must(t, step.do())
		hubtest.Eventually(t, 10*time.Second, "every bucket has one subscriber after "+step.name, func() bool {
			for bucket := range buckets {
				for len(b.mail) > 0 {
					<-b.mail
				}
				if n, err := r.inspect.Eval(limit(t), "return redis.call('SPUBLISH', KEYS[1], ARGV[1])", []string{r.names().shardMailbox(bucket, b.node)}, "message").Int(); n != 1 || err != nil {
					return false
				}
			}
			return true
		})
		await(t, b.subscribed, "subscribed after "+step.name)
	}
	if len(b.ended) != 0 {
		t.Error("Listen gave up")
	}
}

// TestSharded_ProbesEveryBucket ends the subscription to one bucket unnoticed, as a fault
// in Redis would: the probes find it.
func TestSharded_ProbesEveryBucket(t *testing.T) {
	t.Parallel()
	r := newFixture(t, hubtest.StartCluster(t, 0).URL, 3)
	r.Sharded = true
	b := r.listen(t)
	probed := map[string]bool{}
	targets := func() []probeTarget {
		all, err := shards{r.Store, r.client.(*redis.ClusterClient)}.probes(limit(t), b.node)
		must(t, err)
		return all
	}
	for range buckets { // more than any master has
		for i, at := range targets() {
			probed[at.mailbox] = true
			must(t, r.probeMaster(limit(t), r.client, at, ticket.EncodeProbe("nonce", i)))
			await(t, b.mail, "the probe through "+at.mailbox)
		}
	}
	if len(probed) != buckets {
		t.Errorf("%d of %d buckets were probed", len(probed), buckets)
	}
	b.end()
	await(t, b.ended, "Listen returns")
	first := targets()
	if _, err := r.Probe(limit(t), b.node, "lost"); err != nil {
		t.Fatal(err)
	}
	if again := targets(); !slices.Equal(again, first) {
		t.Errorf("a bucket that does not deliver is not probed again: %v, then %v", first, again)
	}
}

// TestSharded_MissingRight reports a right that the Redis user lacks.
func TestSharded_MissingRight(t *testing.T) {
	t.Parallel()
	cluster := hubtest.StartCluster(t, 0)
	r := newFixture(t, cluster.URL, 3)
	r.Sharded = true
	for _, one := range cluster.Nodes {
		must(t, one.Client.Do(limit(t), "ACL", "SETUSER", "loginhub", "-ssubscribe").Err())
	}
	ctx, cancel := context.WithTimeout(limit(t), 10*time.Second)
	defer cancel()
	if err := r.Listen(ctx, "N1", func() {}, func([]byte) {}); err == nil || !isUnavailable(err) || !IsMissingRight(err) {
		t.Errorf("Listen returned %v", err)
	}
}
