package redisstore

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// shardRetry is the pause before a master is connected again that did not accept the
	// subscriptions, because the slots are moving or it is down.
	shardRetry = 100 * time.Millisecond
	// shardCheck is how often the subscriptions are compared with the Cluster's slots.
	shardCheck = time.Second
	// shardPatience is how long a new subscription waits for those on other masters
	// before it is reported, so that all pages are read again once and not once a master.
	shardPatience = 500 * time.Millisecond
)

// shardListener keeps a node subscribed to its mailbox in every bucket, with one
// connection to each master that has buckets. A connection never changes what it is
// subscribed to: if a slot moves, both masters get another one, and the old one
// delivers until then.
//
// It does not use ClusterClient.SSubscribe: go-redis connects one PubSub to the master of
// a single channel and subscribes again with all channels in one command, which Redis
// refuses across slots (CROSSSLOT), and ignores the refusal.
type shardListener struct {
	shards
	node  string
	conns map[*shardConn]bool // that are read
	// events come from the connections.
	events chan shardEvent

	mu   sync.Mutex // one message at a time
	mail func([]byte)
}

// shardConn is one connection to one master.
type shardConn struct {
	client   *redis.Client
	channels []string // in a fixed order
	cancel   context.CancelFunc
	started  time.Time

	// Set by the listener:
	complete bool // the master has confirmed every subscription
	moved    bool // the master has ended one, because its slot moved
}

func (c *shardConn) addr() string { return c.client.Options().Addr }

// shardEvent says what happened to a connection.
type shardEvent struct {
	conn *shardConn
	what shardChange
	err  error // if the connection has ended
}

type shardChange int

const (
	shardSubscribed shardChange = iota
	shardMoved
	shardEnded
)

// shards is a store with Sharded on a Cluster.
type shards struct {
	*Store
	cluster *redis.ClusterClient
}

// listen is Listen.
func (s shards) listen(ctx context.Context, node string, subscribed func(), mail func([]byte)) error {
	ctx, cancel := context.WithCancel(ctx)
	l := &shardListener{shards: s, node: node, conns: map[*shardConn]bool{}, events: make(chan shardEvent), mail: mail}
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	unreported := false // some subscription is new
	for {
		owners, err := s.owners(ctx)
		if err == nil {
			pending := l.follow(owners, func(c *shardConn) {
				one, stop := context.WithCancel(ctx)
				c.cancel = stop
				readers.Go(func() { l.read(one, c) })
			})
			wait := shardCheck
			if len(pending) > 0 {
				wait = shardRetry
			}
			if unreported && (len(pending) == 0 || time.Since(pending[0].started) > shardPatience) {
				unreported = false
				subscribed()
			}
			var isNew bool
			if isNew, err = l.await(ctx, wait); isNew {
				unreported = true
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("mailbox: %w", unavailable(err))
		}
	}
}

// await waits for an event of a connection, for at most that time. It returns whether a
// master has confirmed new subscriptions, or an error that no other attempt changes.
func (l *shardListener) await(ctx context.Context, limit time.Duration) (isNew bool, err error) {
	due := time.NewTimer(limit)
	defer due.Stop()
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-due.C:
		return false, nil
	case e := <-l.events:
		switch e.what {
		case shardSubscribed:
			e.conn.complete = true
			return true, nil
		case shardMoved:
			e.conn.moved = true
		case shardEnded:
			e.conn.cancel()
			delete(l.conns, e.conn)
		}
		l.cluster.ReloadState(ctx)
		if isRefusal(e.err) {
			return false, e.err
		}
		return false, nil
	}
}

// isRefusal reports whether Redis refuses a command for good: the user lacks a right, or
// the server does not know it.
func isRefusal(err error) bool {
	return redis.HasErrorPrefix(err, "NOPERM") || redis.HasErrorPrefix(err, "ERR ")
}

// follow starts the connections that the owners of the buckets need, and ends those that
// others have replaced. It returns the ones that are not subscribed yet, oldest first.
func (l *shardListener) follow(owners []bucketOwner, start func(*shardConn)) (pending []*shardConn) {
	wanted, served := map[*shardConn]bool{}, map[string]bool{}
	for _, o := range owners {
		channels := l.channels(o.buckets)
		c := l.find(o.client, channels)
		if c == nil {
			c = &shardConn{client: o.client, channels: channels, started: time.Now()}
			l.conns[c] = true
			start(c)
		}
		wanted[c], served[c.addr()] = true, c.complete
		if !c.complete {
			pending = append(pending, c)
		}
	}
	for c := range l.conns {
		if !wanted[c] && (len(pending) == 0 || served[c.addr()]) { // it delivers until those that replace it do
			delete(l.conns, c)
			c.cancel()
		}
	}
	slices.SortFunc(pending, func(a, b *shardConn) int { return a.started.Compare(b.started) })
	return pending
}

// find returns the connection to that master with exactly these channels, or nil.
func (l *shardListener) find(client *redis.Client, channels []string) *shardConn {
	for c := range l.conns {
		if c.addr() == client.Options().Addr && !c.moved && slices.Equal(c.channels, channels) {
			return c
		}
	}
	return nil
}

// channels returns the node's mailboxes in these buckets. With the first bucket comes the
// mailbox outside the buckets: change.lua publishes there if the ticket is not in a
// bucket, or if it finds no subscription in its slot.
func (l *shardListener) channels(all []int) []string {
	var names []string
	for _, b := range all {
		if b == 0 {
			names = append(names, l.names().mailbox(l.node))
		}
		names = append(names, l.names().shardMailbox(b, l.node))
	}
	return names
}

// read subscribes and reads the connection until it breaks or ctx ends.
func (l *shardListener) read(ctx context.Context, c *shardConn) {
	err := l.receive(ctx, c)
	retry := time.NewTimer(time.Until(c.started.Add(shardRetry))) // not more often than that
	defer retry.Stop()
	select {
	case <-ctx.Done():
	case <-retry.C:
	}
	l.report(ctx, shardEvent{c, shardEnded, err})
}

// report passes an event to the listener.
func (l *shardListener) report(ctx context.Context, e shardEvent) {
	select {
	case l.events <- e:
	case <-ctx.Done():
	}
}

// receive subscribes to each channel in a command of its own, as slots require, and
// passes the messages on. Any error ends it: go-redis would subscribe again on its own,
// with one command.
func (l *shardListener) receive(ctx context.Context, c *shardConn) error {
	ps := c.client.Subscribe(ctx)
	// Receive ignores ctx while it waits. Closing the subscription ends it.
	stop := context.AfterFunc(ctx, func() { ps.Close() })
	defer func() {
		if stop() {
			ps.Close()
		}
	}()
	for _, name := range c.channels {
		subscribe := ps.SSubscribe
		if name == l.names().mailbox(l.node) {
			subscribe = ps.Subscribe
		}
		if err := subscribe(ctx, name); err != nil {
			return err
		}
	}
	for confirmed := 0; ; {
		got, err := ps.Receive(ctx)
		if err != nil {
			return err
		}
		switch m := got.(type) {
		case *redis.Subscription:
			if m.Kind == "sunsubscribe" {
				l.report(ctx, shardEvent{c, shardMoved, nil})
				continue
			}
			if confirmed++; confirmed == len(c.channels) {
				l.report(ctx, shardEvent{c, shardSubscribed, nil})
			}
		case *redis.Message:
			l.deliver(m)
		}
	}
}

// deliver passes on one message, and notes that its bucket delivers.
func (l *shardListener) deliver(m *redis.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := bucketOfMailbox(m.Channel); ok {
		l.received[b].Store(int64(time.Since(l.start)))
	}
	l.mail([]byte(m.Payload))
}

// bucketOwner is a master and the buckets that it serves, in ascending order.
type bucketOwner struct {
	client  *redis.Client
	buckets []int
}

// owners returns the masters that have buckets, as the client library knows them at
// present, ordered by their first bucket.
func (s shards) owners(ctx context.Context) ([]bucketOwner, error) {
	var owners []bucketOwner
	for b, tag := range bucketTags {
		master, err := s.cluster.MasterForKey(ctx, "{"+tag+"}")
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(owners, func(o bucketOwner) bool { return o.client.Options().Addr == master.Options().Addr })
		if at < 0 {
			at, owners = len(owners), append(owners, bucketOwner{client: master})
		}
		owners[at].buckets = append(owners[at].buckets, b)
	}
	return owners, nil
}

// probes returns a probe for each master that has buckets, through the bucket that
// has been silent longest: in turn each subscription is checked, and one that does not
// deliver is checked again and again.
func (s shards) probes(ctx context.Context, node string) ([]probeTarget, error) {
	owners, err := s.owners(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	targets := make([]probeTarget, len(owners))
	for i, o := range owners {
		b := slices.MinFunc(o.buckets, func(a, b int) int { return int(s.received[a].Load() - s.received[b].Load()) })
		targets[i] = probeTarget{s.names().key("node:{" + bucketTags[b] + "}" + node), s.names().shardMailbox(b, node), "SPUBLISH"}
	}
	return targets, nil
}
