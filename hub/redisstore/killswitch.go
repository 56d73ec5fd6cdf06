package redisstore

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"loginhub/hub/ticket"
)

// switchesKey is the hash of the clients' switches: client id to a word of package
// hub's. It is the only key that outlives tickets.
func (s *Store) switchesKey() string { return s.keyName("switches") }

//go:embed killswitch.lua
var switchLua string

// ReadSwitches is what stands there of each client, in their order; "" for nothing. It
// asks for these alone, so that whoever fills the hash with others fills no node.
func (s *Store) ReadSwitches(ctx context.Context, clients []string) ([]string, error) {
	if len(clients) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	start := time.Now()
	values, err := s.client.HMGet(ctx, s.switchesKey(), clients...).Result()
	s.observe(callSwitchesRead, start, err)
	if err != nil {
		return nil, unavailable(err)
	}
	if len(values) != len(clients) {
		return nil, fmt.Errorf("redis: %d switches for %d clients: %w", len(values), len(clients), ticket.ErrStoreUnavailable)
	}
	words := make([]string, len(clients))
	for i, v := range values {
		words[i], _ = v.(string)
	}
	return words, nil
}

// WriteSwitch writes a client's word, for all nodes. Where Replicas are to have it and
// have not said so, it is ticket.ErrNotLasting: written all the same.
func (s *Store) WriteSwitch(ctx context.Context, client, word string) error {
	_, err := s.write(ctx, s.Replicas > 0, client, word)
	return err
}

// CompareAndSet writes a client's word where what stands there is still was, and says
// whether it has. It waits for no replica: whoever restores looks again.
func (s *Store) CompareAndSet(ctx context.Context, client, was, word string) (bool, error) {
	return s.write(ctx, false, client, word, was)
}

func (s *Store) write(ctx context.Context, lasts bool, args ...any) (bool, error) {
	c := &call{script: s.scripts.setSwitch, key: s.switchesKey(), args: args}
	start, send := time.Now(), func() error { return s.run(ctx, []*call{c}) }
	if lasts {
		send = func() error { return s.runAndWait(ctx, c) }
	}
	err := send()
	if err == nil {
		err = unavailable(c.cmd.Err()) // that something else stands in the hash's place is no error to these two
	}
	s.observe(callSwitch, start, err)
	if err != nil {
		return false, err
	}
	_, status, err := parseReply(c.cmd)
	return status == 1, err
}

// DeleteSwitch removes a client's word: for `loginhub check`, which leaves nothing.
func (s *Store) DeleteSwitch(ctx context.Context, client string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return unavailable(s.client.HDel(ctx, s.switchesKey(), client).Err())
}
