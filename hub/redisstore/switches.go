package redisstore

import (
	"context"
	"time"
)

// switchesKey is the hash of the clients whose QR login is switched off: client
// id to "off". It is the only key that outlives tickets.
const (
	switchesKey = "loginhub:switches"
	switchedOff = "off"
)

// Off says which of the clients are switched off. It asks for these alone, so
// that whoever fills the hash with others fills no node.
func (s *Store) Off(ctx context.Context, clients []string) ([]string, error) {
	if len(clients) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	start := time.Now()
	values, err := s.client.HMGet(ctx, switchesKey, clients...).Result()
	s.called(callOff, start, err)
	if err != nil {
		return nil, failure(err)
	}
	var off []string
	for i, v := range values {
		if v == switchedOff && i < len(clients) {
			off = append(off, clients[i])
		}
	}
	return off, nil
}

// Switch switches a client's QR login on or off, for all nodes.
func (s *Store) Switch(ctx context.Context, client string, on bool) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	start := time.Now()
	var err error
	if on {
		err = s.client.HDel(ctx, switchesKey, client).Err()
	} else {
		err = s.client.HSet(ctx, switchesKey, client, switchedOff).Err()
	}
	s.called(callSwitch, start, err)
	return failure(err)
}
