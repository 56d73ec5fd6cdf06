package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"loginhub/hub/ticket"
)

// probeKeyTTL is how long a node's key is kept after its last liveness probe.
const probeKeyTTL = 10 * time.Second

// probeTimeout is the limit of one liveness probe: the next one is due then.
const probeTimeout = time.Second

func (s *Store) mailbox(node string) string { return s.keyName("mail:" + node) }

// Listen subscribes to the node's mailbox and reads it until ctx ends or the connection
// breaks and the client library cannot restore it. It calls subscribed after every
// successful subscription, the first and all later ones. It calls mail once per message,
// in order and from this goroutine, so mail must not block.
func (s *Store) Listen(ctx context.Context, node string, subscribed func(), mail func([]byte)) error {
	ps := s.client.Subscribe(ctx, s.mailbox(node))
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
// number from 0). It returns how many messages must arrive. It also sets the clock.
func (s *Store) Probe(ctx context.Context, node, nonce string) (masters int, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return 1, s.probeMaster(ctx, s.client, "0", node, ticket.EncodeProbe(nonce, 0))
	}
	tags, err := s.masterTags(ctx, cluster)
	if err != nil {
		return 0, err
	}
	// All masters are probed at once: a slow one must not use up the time of the others.
	var all sync.WaitGroup
	errs := make([]error, len(tags))
	for i, tag := range tags {
		all.Go(func() {
			// The cluster client routes by the tag's slot, which belongs to that master.
			errs[i] = s.probeMaster(ctx, cluster, tag, node, ticket.EncodeProbe(nonce, i))
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return len(tags), nil
}

func (s *Store) probeMaster(ctx context.Context, c redis.Scripter, tag, node string, probe []byte) error {
	sent := time.Now()
	now, err := s.scripts.probe.Run(ctx, c, []string{s.keyName("node:{" + tag + "}" + node)},
		probeKeyTTL.Milliseconds(), s.mailbox(node), probe).Int64()
	s.observe(callProbe, sent, err)
	if err != nil {
		return unavailable(err)
	}
	s.syncClock(time.UnixMilli(now), sent)
	return nil
}

// masterTags returns for each master of the Cluster a hash tag whose slot it serves at
// present. A failover or a resharding changes that.
func (s *Store) masterTags(ctx context.Context, c *redis.ClusterClient) ([]string, error) {
	shards, err := c.ClusterShards(ctx).Result()
	if err != nil {
		return nil, unavailable(err)
	}
	var tags []string
	for _, shard := range shards {
		if len(shard.Slots) > 0 {
			tags = append(tags, tagForSlots(shard.Slots))
		}
	}
	if len(tags) == 0 {
		return nil, fmt.Errorf("redis: the cluster serves no slots: %w", ticket.ErrStoreUnavailable)
	}
	return tags, nil
}

// tagForSlots returns the smallest number, as text, whose slot is in one of the ranges.
func tagForSlots(ranges []redis.SlotRange) string {
	for n := 0; ; n++ {
		tag := strconv.Itoa(n)
		slot := int64(crc16(tag)) % 16384
		for _, r := range ranges {
			if r.Start <= slot && slot <= r.End {
				return tag
			}
		}
	}
}

// crc16 returns the CRC16-CCITT (XMODEM), which Redis Cluster uses for key slots.
func crc16(s string) (crc uint16) {
	for i := range len(s) {
		crc ^= uint16(s[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
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
