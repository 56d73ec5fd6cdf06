package redisstore

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

// TestWaitReplicas_Done checks that the caller is refused until the replica has the
// change, and that the repeated change is the same one.
func TestWaitReplicas_Done(t *testing.T) {
	t.Parallel()
	server := hubtest.StartRedis(t)
	r := newFixture(t, server.URL, 1)
	r.Replicas = 1
	b := r.listen(t)
	id, old, deadline := r.created(t, time.Minute)
	r.attach(t, b.node, id)
	c := ticket.Change{ID: id, BaseTag: tag(old), Sealed: record(2, "next"), NotAfter: deadline, ExpireAt: deadline, WaitReplicas: true}

	start := time.Now()
	if _, err := r.Change(limit(t), c); !isUnavailable(err) || !errors.Is(err, ticket.ErrNotReplicated) || time.Since(start) > waitTimeout+time.Second {
		t.Errorf("without a replica: %v after %v", err, time.Since(start))
	}
	replica := hubtest.StartReplica(t, server)
	if out := r.change(t, c); !out.Done {
		t.Errorf("with a replica it became %+v", out)
	}
	if got := replica.Client.HGet(limit(t), r.ticketKey(id), "rec").Val(); got != string(c.Sealed) {
		t.Errorf("it is done, and the replica has %q", got)
	}
	if mail := b.drain(t, id); !slices.Equal(mail, []string{string(ticket.EncodeUpdate(id, c.Sealed))}) {
		t.Errorf("published %q", mail)
	}
	r.assertExpiry(t, id, deadline)
	conflict := ticket.Change{ID: id, BaseTag: []byte("1.kid.other."), Sealed: record(3, "other"), ExpireAt: deadline, WaitReplicas: true}
	if out := r.change(t, conflict); out.Done || string(out.Sealed) != string(c.Sealed) {
		t.Errorf("a change of another version became %+v", out)
	}

	// A stalled replica receives nothing.
	if err := replica.Stall(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { replica.Resume() })
	next := ticket.Change{ID: id, BaseTag: tag(c.Sealed), Sealed: record(3, "last"), ExpireAt: deadline, WaitReplicas: true}
	if _, err := r.Change(limit(t), next); !isUnavailable(err) {
		t.Errorf("with a stalled replica: %v", err)
	}
	// A repeated call through another node, on a connection without a write, must be
	// refused too.
	other := newFixture(t, server.URL, 1)
	other.Replicas = 1
	if _, err := other.Change(limit(t), next); !isUnavailable(err) {
		t.Errorf("from another node, with a stalled replica: %v", err)
	}
	if err := replica.Resume(); err != nil {
		t.Fatal(err)
	}
	if out := r.change(t, next); !out.Done {
		t.Errorf("with a replica that goes on it became %+v", out)
	}
}

func TestWaitReplicas_OnlyIfAsked(t *testing.T) {
	server := hubtest.StartRedis(t)
	r := newFixture(t, server.URL, 1)
	changed := func(lasts bool) {
		t.Helper()
		id, old, deadline := r.created(t, time.Minute)
		c := ticket.Change{ID: id, BaseTag: tag(old), Sealed: record(2, "next"), NotAfter: deadline, ExpireAt: deadline, WaitReplicas: lasts}
		if out := r.change(t, c); !out.Done {
			t.Errorf("became %+v", out)
		}
	}
	r.Replicas = 1
	changed(false)
	r.Replicas = 0
	changed(true)
	if stats := server.Client.Info(limit(t), "commandstats").Val(); strings.Contains(stats, "cmdstat_wait:") {
		t.Errorf("waited:\n%s", stats)
	}
}

// TestWaitReplicas_NotReplicated removes the right to WAIT: Redis makes the change and
// then refuses WAIT.
func TestWaitReplicas_NotReplicated(t *testing.T) {
	server := hubtest.StartRedis(t)
	r := newFixture(t, server.URL, 1)
	r.Replicas = 1
	if err := server.Client.Do(limit(t), "ACL", "SETUSER", "loginhub", "-wait").Err(); err != nil {
		t.Fatal(err)
	}
	id, old, deadline := r.created(t, time.Minute)
	c := ticket.Change{ID: id, BaseTag: tag(old), Sealed: record(2, "next"), NotAfter: deadline, ExpireAt: deadline, WaitReplicas: true}
	if _, err := r.Change(limit(t), c); !errors.Is(err, ticket.ErrNotReplicated) || !isUnavailable(err) {
		t.Errorf("got %v", err)
	}
	if got := server.Client.HGet(limit(t), r.ticketKey(id), "rec").Val(); got != string(c.Sealed) {
		t.Errorf("Redis has %q", got)
	}
}

// BenchmarkReplicatedChange measures what LOGINHUB_REDIS_WAIT adds to a confirm, with
// the replica on the same machine.
func BenchmarkReplicatedChange(b *testing.B) {
	server := hubtest.StartRedis(b)
	hubtest.StartReplica(b, server)
	s, err := Open(server.URL)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	if _, err := s.Probe(b.Context(), "bench", "nonce"); err != nil { // sets the clock
		b.Fatal(err)
	}
	for replicas, name := range []string{"waits for none", "waits for one"} {
		b.Run(name, func(b *testing.B) {
			s.Replicas = replicas
			id, record := ticket.NewSecret().ID(), make([]byte, 400)
			if made, err := s.Create(b.Context(), id, record, s.Now().Add(time.Hour), time.Hour); err != nil || !made {
				b.Fatal(made, err)
			}
			for b.Loop() {
				record[399]++
				c := ticket.Change{ID: id, BaseTag: record[:80], Sealed: record, ExpireAt: s.Now().Add(time.Hour), WaitReplicas: true}
				if out, err := s.Change(b.Context(), c); err != nil || !out[0].Done {
					b.Fatal(out, err)
				}
			}
		})
	}
}
