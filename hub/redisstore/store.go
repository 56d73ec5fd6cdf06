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

// callTimeout bounds one call with all repeats of the client library: a phone
// waits for the answer.
const callTimeout = 3 * time.Second

// Store is tickets in Redis. It is safe for concurrent use.
type Store struct {
	// Replicas is how many replicas must have a lasting change before it is
	// done; set it before the first call. Asynchronous replication otherwise
	// loses what a master had acknowledged and not yet passed on when it died.
	// Each such change costs one command (WAIT) and one round trip to the
	// replicas more. The zero value waits for none.
	Replicas int
	// Prefix begins every key and every channel; set it before the first call.
	// Stores with different prefixes on one Redis share nothing. "" is
	// DefaultPrefix.
	Prefix string
	// Metrics hears how Redis does; set it before the first call. nil: nobody does.
	Metrics Metrics

	client  redis.UniversalClient
	scripts scripts
	// batch is nil with a Cluster, where one master that hangs would hold up the
	// tickets of all, and with the embedded Redis, where nothing is to be gained.
	batch *batcher
	// oneByOne is set with the embedded Redis: its connections are pipes without
	// a buffer, where a long pipeline and its answers block each other.
	oneByOne bool
	stop     func() // ends the embedded Redis

	start  time.Time    // with its monotonic reading
	offset atomic.Int64 // Redis's clock minus (start + time since start), ns
}

// Open makes a store on the Redis at url: go-redis's own forms (redis://,
// rediss://, unix://, ?addr= for more addresses, ?master_name= for Sentinel),
// ?cluster=true for a Cluster, or "embedded" for one within the process. It
// does not connect: a node starts without its Redis, and says that it is not
// ready.
func Open(url string) (*Store, error) { return OpenTLS(url, nil) }

// OpenTLS is Open with the authorities (RootCAs) and the client certificate
// (GetClientCertificate) for a rediss:// URL; nil for the system's and none.
// Every server of a Sentinel or a Cluster is held to the name or address that it
// is reached by.
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
		s.batch = &batcher{send: func(until time.Time, calls []*call) {
			// Not the context of one of them: whose page leaves must not take
			// the others with it.
			ctx, cancel := context.WithDeadline(context.Background(), until)
			defer cancel()
			s.send(ctx, calls)
		}}
	}
	return s, nil
}

// Close gives up the connections, and the tickets of an embedded Redis.
func (s *Store) Close() error {
	err := s.client.Close()
	s.stop()
	if err != nil {
		return fmt.Errorf("close redis: %w", err)
	}
	return nil
}

// Now is Redis's clock, as last heard and run on by this machine's monotonic
// one: a jump of the wall clock here does not move it.
func (s *Store) Now() time.Time {
	return s.start.Add(time.Since(s.start)).Add(time.Duration(s.offset.Load())).UTC()
}

// syncClock sets the clock by an answer to a call that was sent at the given time.
// Redis looked at its clock somewhere between then and now: a clock that fits
// stays as it is, so that a slow answer spoils nothing; one that does not is set
// to the middle.
func (s *Store) syncClock(now, sent time.Time) {
	heard := time.Now()
	latest := now.Sub(s.start.Add(sent.Sub(s.start))) + time.Millisecond // Redis's answer is cut to milliseconds
	earliest := now.Sub(s.start.Add(heard.Sub(s.start)))
	if offset := time.Duration(s.offset.Load()); offset < earliest || offset > latest {
		s.offset.Store(int64(earliest + (latest-time.Millisecond-earliest)/2))
	}
}

// DefaultPrefix is Store.Prefix if it is not set.
const DefaultPrefix = "loginhub"

// keyName is a key or a channel of the store's.
func (s *Store) keyName(rest string) string { return cmp.Or(s.Prefix, DefaultPrefix) + ":" + rest }

func (s *Store) ticketKey(id ticket.ID) string { return s.keyName("{" + string(id) + "}") }

// Create stores a new ticket's sealed record. made is false where the deadline was
// reckoned with a clock that is not Redis's: Now is right after that, and the
// caller makes the record anew.
func (s *Store) Create(ctx context.Context, id ticket.ID, sealed []byte, deadline time.Time, life time.Duration) (made bool, err error) {
	sent := time.Now()
	c := &call{script: s.scripts.create, key: s.ticketKey(id), args: []any{
		sealed, deadline.UnixMilli(), life.Milliseconds(), deadline.Add(ticket.Tombstone).UnixMilli()}}
	err = s.run(ctx, []*call{c})
	s.observe(callCreate, sent, err)
	if err != nil {
		return false, err
	}
	answer, err := c.cmd.Int64Slice()
	if err != nil || len(answer) != 2 {
		return false, fmt.Errorf("redis: make answered %v: %w", c.cmd.Val(), ticket.ErrStoreUnavailable)
	}
	switch answer[0] {
	case 1:
		return true, nil
	case 0:
		return false, fmt.Errorf("redis: ticket id %s is taken", id.Short())
	}
	s.syncClock(time.UnixMilli(answer[1]), sent)
	return false, nil
}

// Attach reads tickets and notes node as waiting for them; node "" only reads.
// The answers stand in the order of ids.
func (s *Store) Attach(ctx context.Context, node string, ids ...ticket.ID) ([]ticket.Stored, error) {
	calls := make([]*call, len(ids))
	for i, id := range ids {
		calls[i] = &call{script: s.scripts.attach, key: s.ticketKey(id), args: []any{node}}
	}
	start := time.Now()
	err := s.run(ctx, calls)
	s.observe(callName(len(ids), callAttach, callAttachMany), start, err)
	if err != nil {
		return nil, err
	}
	all := make([]ticket.Stored, len(ids))
	for i, c := range calls {
		if all[i], _, err = parseReply(c.cmd); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Change makes changes, each in one atomic step, and tells the noted nodes. The
// outcomes stand in the order of the changes.
func (s *Store) Change(ctx context.Context, changes ...ticket.Change) ([]ticket.Outcome, error) {
	calls := make([]*call, len(changes))
	for i, c := range changes {
		calls[i] = &call{script: s.scripts.change, key: s.ticketKey(c.ID), args: []any{
			c.BaseTag, c.Sealed, unixMilli(c.NotBefore), unixMilli(c.NotAfter), c.ExpireAt.UnixMilli(),
			c.ExcludeNode, ticket.EncodeUpdate(c.ID, c.Sealed), s.mailbox("")}}
	}
	var err error
	start, name := time.Now(), callName(len(changes), callChange, callChangeMany)
	if s.Replicas > 0 && len(changes) == 1 && changes[0].WaitReplicas {
		name = callChangeReplicated
		err = s.runAndWait(ctx, calls[0])
	} else {
		err = s.run(ctx, calls)
	}
	s.observe(name, start, err)
	if err != nil {
		return nil, err
	}
	all := make([]ticket.Outcome, len(changes))
	for i, c := range calls {
		f, status, err := parseReply(c.cmd)
		if err != nil {
			return nil, err
		}
		all[i] = ticket.Outcome{Done: status == 1, Stored: f}
	}
	return all, nil
}

func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
