package redisstore

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"loginhub/hub/ticket"
)

// waitTimeout is how long WAIT waits for replicas. After it, the phone is asked to try
// again.
const waitTimeout = time.Second

// runAndWait runs one script and waits until its write has reached the replicas. Both go
// in one pipeline, because WAIT is about the last write of its own connection. If WAIT
// were sent alone, the client library could repeat it on a new connection, and it would
// report that nothing is missing. The script is sent as source: a master that has just
// received the slot may not have it loaded.
func (s *Store) runAndWait(ctx context.Context, c *call) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	master, err := s.master(ctx, c.key)
	asking := false
	for range maxRedirects {
		if err != nil {
			return unavailable(err)
		}
		pipe := master.Pipeline()
		if asking {
			pipe.Do(ctx, "ASKING")
		}
		c.evalIn(ctx, pipe)
		reached := pipe.Do(ctx, "WAIT", s.Replicas, waitTimeout.Milliseconds())
		pipe.Exec(ctx) // each command has its own error
		to, ask := redirected(c.cmd.Err())
		if to != "" {
			master, err = s.masterAt(ctx, c.key, to)
			asking = ask
			continue
		}
		if _, status, err := parseReply(c.cmd); err != nil || status != 1 {
			return err // a change that was not made need not be replicated
		}
		n, err := reached.Int()
		if err != nil {
			return fmt.Errorf("redis: wait for replicas: %w: %w", err, ticket.ErrNotReplicated)
		}
		if n < s.Replicas {
			return fmt.Errorf("redis: %d of %d replicas have the change: %w", n, s.Replicas, ticket.ErrNotReplicated)
		}
		return nil
	}
	return fmt.Errorf("redis: the slot moved more than %d times during one call: %w", maxRedirects, ticket.ErrStoreUnavailable)
}

// maxRedirects is how often one call follows a moving slot.
const maxRedirects = 4

// redirected returns the address in a MOVED or ASK error of a Cluster.
func redirected(err error) (addr string, ask bool) {
	moved := redis.HasErrorPrefix(err, "MOVED")
	ask = redis.HasErrorPrefix(err, "ASK ")
	if !moved && !ask {
		return "", false
	}
	words := strings.Fields(err.Error())
	return words[len(words)-1], ask
}

// master returns the server that holds the key.
func (s *Store) master(ctx context.Context, key string) (*redis.Client, error) {
	switch c := s.client.(type) {
	case *redis.Client:
		return c, nil
	case *redis.ClusterClient:
		return c.MasterForKey(ctx, key)
	}
	return nil, fmt.Errorf("no master in a %T", s.client)
}

// masterAt returns the Cluster's master at that address. If the client does not know it
// yet, it returns the master of the key after reloading the map.
func (s *Store) masterAt(ctx context.Context, key, addr string) (*redis.Client, error) {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return nil, fmt.Errorf("redirected to %s without a Cluster", addr)
	}
	var mu sync.Mutex
	var at *redis.Client
	err := cluster.ForEachMaster(ctx, func(_ context.Context, c *redis.Client) error {
		if c.Options().Addr == addr {
			mu.Lock()
			at = c
			mu.Unlock()
		}
		return nil
	})
	if err != nil || at != nil {
		return at, err
	}
	cluster.ReloadState(ctx)
	return cluster.MasterForKey(ctx, key)
}
