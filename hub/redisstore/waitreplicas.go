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

// waitTimeout is how long replicas may take; beyond it the phone is told to come
// again.
const waitTimeout = time.Second

// runAndWait runs one script and waits until its write has reached the replicas. Both
// go as one pipeline, for WAIT speaks of its connection's own last write: sent
// alone, a client library that repeats it on a fresh connection would be told
// that nothing is missing. The script goes with its source: the master that a
// moving slot leads to need not know it.
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
		c.cmd = c.script.Eval(ctx, pipe, []string{c.key}, c.args...)
		reached := pipe.Do(ctx, "WAIT", s.Replicas, waitTimeout.Milliseconds())
		pipe.Exec(ctx) // each command has its own error
		to, ask := redirected(c.cmd.Err())
		if to != "" {
			master, err = s.masterAt(ctx, c.key, to)
			asking = ask
			continue
		}
		if _, status, err := parseReply(c.cmd); err != nil || status != 1 {
			return err // what was not changed need not last
		}
		n, err := reached.Int()
		if err != nil {
			return fmt.Errorf("redis: no word of the replicas: %w: %w", err, ticket.ErrNotReplicated)
		}
		if n < s.Replicas {
			return fmt.Errorf("redis: %d of %d replicas have the change: %w", n, s.Replicas, ticket.ErrNotReplicated)
		}
		return nil
	}
	return fmt.Errorf("redis: the slot moves on and on: %w", ticket.ErrStoreUnavailable)
}

// maxRedirects is how often one call follows a slot.
const maxRedirects = 4

// redirected reads a Cluster's MOVED or ASK: the address that it names.
func redirected(err error) (addr string, ask bool) {
	moved := redis.HasErrorPrefix(err, "MOVED")
	ask = redis.HasErrorPrefix(err, "ASK ")
	if !moved && !ask {
		return "", false
	}
	words := strings.Fields(err.Error())
	return words[len(words)-1], ask
}

// master is the server that holds the key.
func (s *Store) master(ctx context.Context, key string) (*redis.Client, error) {
	switch c := s.client.(type) {
	case *redis.Client:
		return c, nil
	case *redis.ClusterClient:
		return c.MasterForKey(ctx, key)
	}
	return nil, fmt.Errorf("no master in a %T", s.client)
}

// masterAt is the Cluster's master at that address, or where it is not known yet
// the one that the key is now said to lie on.
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
