package redisstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"loginhub/hub/ticket"
)

// probeKeyTTL is how long a node's key is kept after its last liveness probe.
const probeKeyTTL = 10 * time.Second

// probeTimeout is the limit of one liveness probe: the next one is due then.
const probeTimeout = time.Second

// Listen subscribes to the node's mailbox and reads it until ctx ends or the connection
// breaks and the client library cannot restore it. It calls subscribed after every
// successful subscription, the first and all later ones. It calls mail once per message,
// one at a time and in the order of each master, so mail must not block.
func (s *Store) Listen(ctx context.Context, node string, subscribed func(), mail func([]byte)) error {
	if cluster, ok := s.client.(*redis.ClusterClient); ok && s.Sharded {
		return shards{s, cluster}.listen(ctx, node, subscribed, mail)
	}
	ps := s.client.Subscribe(ctx, s.names().mailbox(node))
	// Receive ignores ctx while it waits. Closing the subscription ends it.
	stop := context.AfterFunc(ctx, func() { ps.Close() })
	defer func() {
		if stop() {
			ps.Close()
		}
	}()
	failures := 0
	for {
		got, err := ps.Receive(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			// The next Receive connects again. Repeated failures are returned to the
			// caller, which waits before it calls Listen again.
			if failures++; failures > 1 {
				return fmt.Errorf("mailbox: %w", unavailable(err))
			}
			continue
		}
		failures = 0
		switch m := got.(type) {
		case *redis.Subscription:
			subscribed()
		case *redis.Message:
			mail([]byte(m.Payload))
		}
	}
}

// Probe writes the node's key on every master and publishes a liveness probe from there
// to the node's own mailbox: one message per master (ticket.EncodeProbe of nonce and a
// number from 0). With Sharded these are the masters that have a bucket. It returns how
// many messages must arrive. It also sets the clock.
func (s *Store) Probe(ctx context.Context, node, nonce string) (masters int, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return 1, s.probeMaster(ctx, s.client, s.names().probe(node, "0"), ticket.EncodeProbe(nonce, 0))
	}
	targets, err := s.probeTargets(ctx, cluster, node)
	if err != nil {
		return 0, err
	}
	// All masters are probed at once: a slow one must not use up the time of the others.
	var all sync.WaitGroup
	errs := make([]error, len(targets))
	for i, target := range targets {
		all.Go(func() {
			// The cluster client routes by the key's slot, which belongs to that master.
			errs[i] = s.probeMaster(ctx, cluster, target, ticket.EncodeProbe(nonce, i))
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return len(targets), nil
}

// probeTarget is what probe.lua uses on one master.
type probeTarget struct{ key, mailbox, command string }

// probeTargets returns one target per master of the Cluster.
func (s *Store) probeTargets(ctx context.Context, cluster *redis.ClusterClient, node string) ([]probeTarget, error) {
	if s.Sharded {
		return shards{s, cluster}.probes(ctx, node)
	}
	tags, err := masterTags(ctx, cluster)
	targets := make([]probeTarget, len(tags))
	for i, tag := range tags {
		targets[i] = s.names().probe(node, tag)
	}
	return targets, err
}

func (s *Store) probeMaster(ctx context.Context, c redis.Scripter, at probeTarget, probe []byte) error {
	sent := time.Now()
	now, err := s.scripts.probe.Run(ctx, c, []string{at.key}, probeKeyTTL.Milliseconds(), at.mailbox, probe, at.command).Int64()
	s.observe(ctx, callProbe, sent, err)
	if err != nil {
		return unavailable(err)
	}
	s.syncClock(time.UnixMilli(now), sent)
	return nil
}

// masterTags returns for each master of the Cluster a hash tag whose slot it serves at
// present. A failover or a resharding changes that.
func masterTags(ctx context.Context, c *redis.ClusterClient) ([]string, error) {
	shards, err := c.ClusterShards(ctx).Result()
	if err != nil {
		return nil, unavailable(err)
	}
	var tags []string
	for _, shard := range shards {
		if len(shard.Slots) > 0 {
			tags = append(tags, tagForSlots("", shard.Slots))
		}
	}
	if len(tags) == 0 {
		return nil, fmt.Errorf("redis: the cluster serves no slots: %w", ticket.ErrStoreUnavailable)
	}
	return tags, nil
}

// Preload loads the scripts on every master.
func (s *Store) Preload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		return unavailable(cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
			return s.scripts.preload(ctx, c)
		}))
	}
	return unavailable(s.scripts.preload(ctx, s.client))
}
