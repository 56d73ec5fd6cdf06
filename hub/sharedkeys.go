package hub

import (
	"context"
	"crypto/rsa"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"loginhub/hub/keys"
)

// The hash of the kill switches also holds one RSA key for each master key, if some
// client needs RS256. The first node that needs it makes it; all nodes read and publish
// it. It is encrypted under the master key, and it is the one key that does not derive
// from a master key. If Redis loses it, a node that has read it writes it again; if no
// such node runs, the next node makes another one, with another kid.
//
// A key signs only after publishDelay: by then every node publishes it.

// rsaName returns the field of a master key's RSA key. No client id contains a colon.
func rsaName(kid string) string { return "rsa:" + kid }

// publishDelay is how long after an RSA key was made it begins to sign. All nodes read
// it within switchInterval.
const publishDelay = switchInterval + 500*time.Millisecond

// SharedKeys is what nodes share about their master keys beside LOGINHUB_KEYS.
type SharedKeys struct {
	// RSA are the keys that sign RS256, by the id of a master key.
	RSA map[string]RSAKeys
}

// RSAKeys are the RSA keys of one master key.
type RSAKeys struct {
	Signing   *rsa.PrivateKey   // nil: none signs yet
	Published []*rsa.PrivateKey // with Signing
}

// sharedKeys reads and writes the RSA keys. All methods are called with killSwitch.opMu
// held.
type sharedKeys struct {
	store   KillSwitchStore
	now     func() time.Time
	changed func(SharedKeys) // nil: no RSA keys
	log     *slog.Logger

	rsa      map[string][]sharedRSA // by master key, newest first
	last     SharedKeys
	reported bool // changed was called
}

// sharedRSA is an RSA key with its value in Redis.
type sharedRSA struct {
	keys.RSAKey
	sealed string
}

// names returns the fields to read for these master keys.
func (s *sharedKeys) names(masters []keys.MasterKey) []string {
	if s.changed == nil {
		return nil
	}
	names := make([]string, len(masters))
	for i, m := range masters {
		names[i] = rsaName(m.ID())
	}
	return names
}

// update handles the values of names. It makes what is missing and restores what Redis
// has lost. complete is false while a needed RSA key does not sign yet.
func (s *sharedKeys) update(ctx context.Context, current *current, values []string) (complete bool, err error) {
	if s.changed == nil {
		return true, nil
	}
	for i, m := range current.Masters {
		err = errors.Join(err, s.updateRSA(ctx, m, values[i], current.NeedsRSA))
	}
	next := s.snapshot(current.Masters)
	if !s.reported || !maps.EqualFunc(s.last.RSA, next.RSA, RSAKeys.equal) {
		s.reported, s.last = true, next
		s.changed(next)
	}
	complete = true
	for _, m := range current.Masters {
		complete = complete && (!current.NeedsRSA || next.RSA[m.ID()].Signing != nil)
	}
	return complete, err
}

func (k RSAKeys) equal(other RSAKeys) bool {
	return k.Signing == other.Signing && slices.Equal(k.Published, other.Published)
}

// updateRSA handles the RSA key of one master key.
func (s *sharedKeys) updateRSA(ctx context.Context, m keys.MasterKey, value string, needed bool) error {
	known := s.rsa[m.ID()]
	if len(known) > 0 && known[0].sealed == value {
		return nil
	}
	read, err := keys.RSAKey{}, error(nil)
	if value != "" {
		if read, err = m.OpenRSA(value); err == nil {
			s.rsa[m.ID()] = slices.Insert(known, 0, sharedRSA{read, value})
			return nil
		}
		s.log.Error("the RSA key in Redis is unreadable", "kid", m.ID(), "error", err)
		if errors.Is(err, keys.ErrRSAVersion) {
			return nil
		}
	}
	if len(known) == 0 {
		if !needed {
			return nil
		}
		if read, err = keys.NewRSAKey(s.now()); err != nil {
			return err
		}
		sealed, err := m.SealRSA(read)
		if err != nil {
			return err
		}
		known = []sharedRSA{{read, sealed}}
	}
	written, err := s.store.CompareAndSet(ctx, rsaName(m.ID()), value, known[0].sealed)
	if !written {
		return err // the next read has another node's key
	}
	s.log.Warn("an RSA key was written to Redis: no node had one, or Redis had lost it", "kid", m.ID())
	s.rsa[m.ID()] = known
	return err
}

// snapshot returns the keys as they are used now.
func (s *sharedKeys) snapshot(masters []keys.MasterKey) SharedKeys {
	next := SharedKeys{RSA: map[string]RSAKeys{}}
	for _, m := range masters {
		var r RSAKeys
		for _, k := range s.rsa[m.ID()] {
			r.Published = append(r.Published, k.PrivateKey)
			if r.Signing == nil && s.now().Sub(k.Made) >= publishDelay {
				r.Signing = k.PrivateKey
			}
		}
		if len(r.Published) > 0 {
			next.RSA[m.ID()] = r
		}
	}
	return next
}
