package redisstore

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"loginhub/hub/ticket"
)

// switchesKey returns the key of the hash of kill switches, by client id. The hash is
// the only key that does not expire. Package hub writes and reads the values.
func (s *Store) switchesKey() string { return s.names().key("switches") }

//go:embed killswitch.lua
var switchLua string

// ReadSwitches returns the values of the given clients, in their order; "" means none.
// It reads only these clients, so that a node's memory stays bounded whatever else is in
// the hash.
func (s *Store) ReadSwitches(ctx context.Context, clients []string) ([]string, error) {
	if len(clients) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	start := time.Now()
	values, err := s.client.HMGet(ctx, s.switchesKey(), clients...).Result()
	s.observe(ctx, callSwitchesRead, start, err)
	if err != nil {
		return nil, unavailable(err)
	}
	if len(values) != len(clients) {
		return nil, fmt.Errorf("redis: %d switches for %d clients: %w", len(values), len(clients), ticket.ErrStoreUnavailable)
	}
	all := make([]string, len(clients))
	for i, v := range values {
		all[i], _ = v.(string)
	}
	return all, nil
}

// WriteSwitch writes a client's value, for all nodes. If fewer than Replicas replicas
// have it in time, it returns ticket.ErrNotReplicated; the value is written all the
// same.
func (s *Store) WriteSwitch(ctx context.Context, client, value string) error {
	_, err := s.write(ctx, s.Replicas > 0, client, value)
	return err
}

// CompareAndSet writes a client's value if the stored one is still was, and reports
// whether it did. It does not wait for replicas: the caller reads again later.
func (s *Store) CompareAndSet(ctx context.Context, client, was, value string) (bool, error) {
	return s.write(ctx, false, client, value, was)
}

func (s *Store) write(ctx context.Context, wait bool, args ...any) (bool, error) {
	c := newCall(s.scripts.setSwitch, []string{s.switchesKey()}, args...)
	start, send := time.Now(), func() error { return s.run(ctx, []*call{c}) }
	if wait {
		send = func() error { return s.runAndWait(ctx, c) }
	}
	err := send()
	if err == nil {
		err = unavailable(c.cmd.Err()) // parseReply ignores a key of another type, but here it is an error
	}
	s.observe(ctx, callSwitch, start, err)
	if err != nil {
		return false, err
	}
	_, status, err := parseReply(c.cmd)
	return status == 1, err
}

// DeleteSwitch removes a client's value. Only `loginhub check` calls it, to leave
// nothing behind.
func (s *Store) DeleteSwitch(ctx context.Context, client string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return unavailable(s.client.HDel(ctx, s.switchesKey(), client).Err())
}
