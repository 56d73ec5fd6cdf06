package redisstore

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

func isUnavailable(err error) bool { return errors.Is(err, ticket.ErrStoreUnavailable) }

// everyCall returns all calls of a store, single and in batches.
func everyCall(s *Store) map[string]func(context.Context) error {
	one := ticket.Change{ID: newID(), BaseTag: tag(record(1, "a")), Sealed: record(2, "a"), ExpireAt: time.Now().Add(time.Minute)}
	return map[string]func(context.Context) error{
		"make": func(ctx context.Context) error {
			_, err := s.Create(ctx, newID(), record(1, "a"), time.Now().Add(time.Minute), time.Minute)
			return err
		},
		"attach":  func(ctx context.Context) error { _, err := s.Attach(ctx, "N1", newID()); return err },
		"look":    func(ctx context.Context) error { _, err := s.Attach(ctx, "", newID()); return err },
		"sweep":   func(ctx context.Context) error { _, err := s.Attach(ctx, "N1", newID(), newID(), newID()); return err },
		"change":  func(ctx context.Context) error { _, err := s.Change(ctx, one); return err },
		"expire":  func(ctx context.Context) error { _, err := s.Change(ctx, one, one); return err },
		"prove":   func(ctx context.Context) error { _, err := s.Probe(ctx, "N1", "nonce"); return err },
		"preload": s.Preload,
	}
}

// refuses makes every call at once, with a context that ends after patience. Each must
// return ErrStoreUnavailable within its limit: a call in flight is completed, but not
// beyond callTimeout.
func refuses(t *testing.T, s *Store, patience time.Duration) {
	t.Helper()
	const slack = 1500 * time.Millisecond // for a busy machine; the library's next attempt is later
	var all sync.WaitGroup
	defer all.Wait()
	for name, do := range everyCall(s) {
		all.Go(func() {
			limit := callTimeout
			if name == "prove" {
				limit = probeTimeout
			}
			ctx, cancel := hubtest.WithTimeout(patience)
			defer cancel()
			start := time.Now()
			err := do(ctx)
			if took := time.Since(start); !isUnavailable(err) || took > limit+slack {
				t.Errorf("%s, within %v: %v after %v", name, patience, err, took)
			}
		})
	}
}

func TestBroken_ConnectionRefused(t *testing.T) {
	t.Parallel()
	server := hubtest.StartRedis(t)
	r := newFixture(t, server.URL, 1)
	b := r.listen(t)
	server.Kill()
	refuses(t, r.Store, time.Minute)
	if err := await(t, b.ended, "Listen gives up"); err == nil {
		t.Error("Listen ended without an error")
	}
	if err := r.Listen(limit(t), "N1", func() { t.Error("subscribed") }, nil); err == nil {
		t.Error("Listen on a dead Redis ended without an error")
	}
	// The store recovers by itself as soon as the server is back.
	server.Start(t)
	for name, do := range everyCall(r.Store) {
		hubtest.Eventually(t, 5*time.Second, name+" on a Redis that is back", func() bool { return do(limit(t)) == nil })
	}
}

func TestBroken_Timeout(t *testing.T) {
	t.Parallel()
	server := hubtest.StartRedis(t)
	r, cold := newFixture(t, server.URL, 1), openStore(t, server.URL)
	warm := r.Store
	if err := warm.Preload(limit(t)); err != nil {
		t.Fatal(err)
	}
	b := r.listen(t)
	if err := server.Stall(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Resume() })
	var both sync.WaitGroup
	for _, some := range []*Store{warm, cold} {
		for _, patience := range []time.Duration{time.Minute, 100 * time.Millisecond} {
			both.Go(func() { refuses(t, some, patience) })
		}
	}
	// A silent connection looks like an idle one. Listen must end without waiting for
	// Redis.
	b.end()
	if err := await(t, b.ended, "Listen returns"); err != nil {
		t.Errorf("ended with %v", err)
	}
	both.Wait()
}

func TestBroken_OutOfMemory(t *testing.T) {
	server := hubtest.StartRedis(t)
	r := newFixture(t, server.URL, 1)
	id, old, deadline := r.created(t, time.Minute)
	if err := server.Client.ConfigSet(limit(t), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Create(limit(t), newID(), record(1, "a"), deadline, time.Minute); !isUnavailable(err) {
		t.Errorf("make: %v", err)
	}
	c := ticket.Change{ID: id, BaseTag: tag(old), Sealed: record(2, "a"), ExpireAt: deadline}
	if _, err := r.Change(limit(t), c); !isUnavailable(err) {
		t.Errorf("change: %v", err)
	}
	if _, err := r.Change(limit(t), c, c); !isUnavailable(err) {
		t.Errorf("two changes: %v", err)
	}
	if got := r.storedRecord(t, id); string(got) != string(old) {
		t.Errorf("stored is %q", got)
	}
}

// lossy is a connection that drops one reply of Redis and breaks, each time that it is
// armed. The call was made, but its caller does not know.
type lossy struct {
	net.Conn
	armed *atomic.Int32
}

func (l lossy) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if err == nil && l.armed.Add(-1) >= 0 {
		l.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}

// TestBroken_LostAnswerRepeated checks that the client library repeats a script whose
// reply was lost, with the same result.
func TestBroken_LostAnswerRepeated(t *testing.T) {
	server := hubtest.StartRedis(t)
	heard := newFixture(t, server.URL, 1) // over a connection that loses nothing
	b := heard.listen(t)
	r, armed := heard.losing(t, server)

	for lost := range int32(3) {
		id, sealed, deadline := newID(), record(1, "made"), r.clock(t).Add(time.Minute)
		armed.Store(lost)
		if made, err := r.Create(limit(t), id, sealed, deadline, time.Minute); err != nil || !made {
			t.Errorf("make, %d answers lost: %v %v", lost, made, err)
		}
		armed.Store(lost)
		if found := r.attach(t, b.node, id); string(found.Sealed) != string(sealed) || r.recordedNodes(t, id) != b.node {
			t.Errorf("attach, %d answers lost: %+v, recorded nodes %q", lost, found, r.recordedNodes(t, id))
		}
		c := ticket.Change{ID: id, BaseTag: tag(sealed), Sealed: record(2, "next"), NotAfter: deadline, ExpireAt: deadline}
		armed.Store(lost)
		if out := r.change(t, c); !out.Done {
			t.Errorf("change, %d answers lost: %+v", lost, out)
		}
		if mail := b.drain(t, id); !slices.Equal(mail, []string{string(ticket.EncodeUpdate(id, c.Sealed))}) {
			t.Errorf("change, %d answers lost: published %q", lost, mail)
		}
	}
}

// losing returns a store on the same Redis over a connection that loses as many replies
// as armed says.
func (r *fixture) losing(t *testing.T, server *hubtest.Redis) (*fixture, *atomic.Int32) {
	t.Helper()
	armed := &atomic.Int32{}
	o := &redis.Options{PoolSize: 1, Username: "loginhub", Password: hubtest.HubPassword, Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", server.Addr)
		if err != nil {
			return nil, err
		}
		return lossy{conn, armed}, nil
	}}
	setTimeouts(o)
	s := openStore(t, server.URL)
	s.client.Close()
	s.client = redis.NewClient(o)
	if err := s.Preload(limit(t)); err != nil {
		t.Fatal(err)
	}
	return &fixture{s, 1, r.inspect}, armed
}
