package redisstore

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"loginhub/hub/ticket"
)

// callTimeout is the limit of one call, including repeats by the client library: a phone
// waits for the result.
const callTimeout = 3 * time.Second

// Store keeps tickets in Redis. It is safe for concurrent use.
type Store struct {
	// Replicas is how many replicas must have a Change with WaitReplicas before it
	// succeeds. Set it before the first call. Without it, asynchronous replication loses
	// changes that a master acknowledged but had not replicated when it died. Each such
	// change costs one more command (WAIT) and one round trip to the replicas. Zero
	// waits for no replica.
	Replicas int
	// Prefix begins every key and channel. Set it before the first call. Stores with
	// different prefixes share nothing on the same Redis. "" means DefaultPrefix.
	Prefix string
	// Sharded keeps new tickets of a Cluster in buckets and publishes with sharded pub/sub,
	// so that a message does not pass through every master. Set it before the first call,
	// and once every node is of a release that knows it. It has no effect without a Cluster.
	Sharded bool
	// Metrics receives measurements, if it is not nil. Set it before the first call.
	Metrics Metrics

	client  redis.UniversalClient
	scripts scripts
	// batch is nil with a Cluster: one hanging master would delay the tickets of all. It
	// is nil with the embedded Redis too, which would gain nothing.
	batch *batcher
	// oneByOne is set with the embedded Redis. Its connections are pipes without a
	// buffer, and a long pipeline and its replies would block each other.
	oneByOne bool
	stop     func() // ends the embedded Redis

	start  time.Time    // with a monotonic reading
	offset atomic.Int64 // Redis's clock minus (start + time since start), ns

	// received is when a message last arrived from each bucket, in ns since start.
	received [buckets]atomic.Int64
}

// Open returns a store on the Redis at url. It accepts go-redis's own forms (redis://,
// rediss://, unix://, ?addr= for more addresses, ?master_name= for Sentinel),
// ?cluster=true for a Cluster, and "embedded" for the in-process one. It does not
// connect: a node starts without its Redis and reports that it is not ready.
func Open(url string) (*Store, error) { return OpenTLS(url, nil) }

// OpenTLS is Open with settings for a rediss:// URL: the certificate authorities
// (RootCAs) and the client certificate (GetClientCertificate). nil means the system's
// authorities and no certificate. Every server of a Sentinel or a Cluster must have a
// certificate for the name or address that the client connects to.
func OpenTLS(url string, secure *tls.Config) (*Store, error) {
	s := &Store{scripts: loadScripts(), start: time.Now(), stop: func() {}}
	var err error
	if url == Embedded {
		s.client, s.stop = embedded()
		s.oneByOne = true
	} else if s.client, err = newClient(url, secure); err != nil {
		return nil, err
	}
	if _, one := s.client.(*redis.Client); one && url != Embedded {
		s.batch = &batcher{send: s.send}
	}
	return s, nil
}

// Close closes the connections. It also drops the tickets of an embedded Redis.
func (s *Store) Close() error {
	err := s.client.Close()
	s.stop()
	if err != nil {
		return fmt.Errorf("close redis: %w", err)
	}
	return nil
}

// Now returns Redis's clock: its last known reading, advanced by this machine's
// monotonic clock. A jump of the wall clock here does not change it.
func (s *Store) Now() time.Time {
	return s.start.Add(time.Since(s.start)).Add(time.Duration(s.offset.Load())).UTC()
}

// syncClock sets the clock from a reply to a call that was sent at the given time. Redis
// read its clock between then and now. If our clock is within that range, it stays as it
// is, so that a slow reply does no harm. Otherwise it is set to the middle of the range.
func (s *Store) syncClock(now, sent time.Time) {
	received := time.Now()
	latest := now.Sub(s.start.Add(sent.Sub(s.start))) + time.Millisecond // Redis's reply is truncated to milliseconds
	earliest := now.Sub(s.start.Add(received.Sub(s.start)))
	if offset := time.Duration(s.offset.Load()); offset < earliest || offset > latest {
		s.offset.Store(int64(earliest + (latest-time.Millisecond-earliest)/2))
	}
}

// DefaultPrefix is used if Store.Prefix is "".
const DefaultPrefix = "loginhub"

// names returns the names of this store's keys and channels.
func (s *Store) names() names { return names(cmp.Or(s.Prefix, DefaultPrefix)) }

// Create stores a new ticket's sealed record. made is false if the deadline was computed
// with a clock that differs from Redis's. Now is correct after that, and the caller must
// build the record again.
func (s *Store) Create(ctx context.Context, id ticket.ID, sealed []byte, deadline time.Time, life time.Duration) (made bool, err error) {
	sent := time.Now()
	c := newTicketCall(s.scripts.create, s.names().place(id, s.places()[0]).key)
	c.raw[0] = sealed
	c.numbers = [...]int64{deadline.UnixMilli(), life.Milliseconds(), deadline.Add(ticket.Tombstone).UnixMilli()}
	c.sha = append(c.sha, &c.raw[0], &c.numbers[0], &c.numbers[1], &c.numbers[2])
	err = s.run(ctx, c.alone())
	s.observe(ctx, callCreate, sent, err)
	if err != nil {
		return false, err
	}
	reply, err := c.cmd.Int64Slice()
	if err != nil || len(reply) != 2 {
		return false, fmt.Errorf("redis: create script replied %v: %w", c.cmd.Val(), ticket.ErrStoreUnavailable)
	}
	switch reply[0] {
	case 1:
		return true, nil
	case 0:
		return false, fmt.Errorf("redis: ticket id %s is taken", id.Short())
	}
	s.syncClock(time.UnixMilli(reply[1]), sent)
	return false, nil
}

// Attach reads tickets and records node as waiting for them; node "" only reads. The
// results are in the order of ids.
func (s *Store) Attach(ctx context.Context, node string, ids ...ticket.ID) ([]ticket.Stored, error) {
	start, all := time.Now(), make([]ticket.Stored, len(ids))
	err := s.runTickets(ctx, len(ids), s.run, func(i int, inBucket bool) *call {
		c := newTicketCall(s.scripts.attach, s.names().place(ids[i], inBucket).key)
		c.texts[0] = node
		c.sha = append(c.sha, &c.texts[0])
		return c
	}, func(i int, found ticket.Stored, _ bool) { all[i] = found })
	s.observe(ctx, callName(len(ids), callAttach, callAttachMany), start, err)
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Change makes changes, each in one atomic step, and publishes them to the recorded
// nodes. The outcomes are in the order of the changes.
func (s *Store) Change(ctx context.Context, changes ...ticket.Change) ([]ticket.Outcome, error) {
	all := make([]ticket.Outcome, len(changes))
	start, name, run := time.Now(), callName(len(changes), callChange, callChangeMany), s.run
	if s.Replicas > 0 && len(changes) == 1 && changes[0].WaitReplicas {
		name = callChangeReplicated
		run = func(ctx context.Context, calls []*call) error { return s.runAndWait(ctx, calls[0]) }
	}
	err := s.runTickets(ctx, len(changes), run, func(i int, inBucket bool) *call {
		change, at := &changes[i], s.names().place(changes[i].ID, inBucket)
		c := newTicketCall(s.scripts.change, at.key)
		c.raw = [...]rawArg{change.BaseTag, change.Sealed}
		c.numbers = [...]int64{unixMilli(change.NotBefore), unixMilli(change.NotAfter), change.ExpireAt.UnixMilli()}
		c.texts = [...]string{change.ExcludeNode, ticket.UpdateHead(change.ID), s.names().mailbox("")}
		c.sha = append(c.sha, &c.raw[0], &c.raw[1], &c.numbers[0], &c.numbers[1], &c.numbers[2],
			&c.texts[0], &c.texts[1], &c.texts[2], at.mailboxes)
		return c
	}, func(i int, found ticket.Stored, done bool) { all[i] = ticket.Outcome{Done: done, Stored: found} })
	s.observe(ctx, name, start, err)
	if err != nil {
		return nil, err
	}
	return all, nil
}

func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
