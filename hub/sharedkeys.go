package hub

import (
	"cmp"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"time"

	"loginhub/hub/keys"
	"loginhub/hub/ticket"
)

// The hash of the kill switches also holds what nodes share about their master keys.
//
// Field key:KID says that the operator has revoked a key: a kill switch that is off,
// sealed under another key. All nodes drop the key, with everything that derives from it,
// within switchInterval. A value that a node cannot read counts as one, unless the node
// has read another before. A node whose keys are all revoked serves nothing.
//
// Field rsa:KID has the RSA keys of a master key, if some client needs RS256: usually
// one. The first node that needs it makes it; all nodes read and publish it. They are
// encrypted under the master key, and they are the only keys that do not derive from one.
// If Redis loses them, a node that has read them writes them again. If no such node
// writes within publishDelay, the next node makes another one, with another kid. Nodes
// that know different keys add them: all publish all, and the newest signs.
//
// A key signs only after publishDelay: by then every node publishes it.

// revokedPrefix begins the field of a revoked key, before its id.
const revokedPrefix = "key:"

// rsaName returns the field of a master key's RSA key. No client id contains a colon.
func rsaName(kid string) string { return "rsa:" + kid }

// publishDelay is how long after an RSA key was made it begins to sign. All nodes read
// it within switchInterval.
const publishDelay = switchInterval + 500*time.Millisecond

// SharedKeys is what nodes share about their master keys beside LOGINHUB_KEYS.
type SharedKeys struct {
	Revoked []string // ids of master keys, sorted
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

	revoked  map[string]bool      // by master key; keys are never removed
	rsa      map[string]sharedRSA // by master key
	last     SharedKeys
	reported bool // changed was called
}

// sharedRSA are the RSA keys of one master key.
type sharedRSA struct {
	keys    []keys.RSAKey // all that this node has read or made, newest first
	sealed  string        // the value in Redis that was read or written last
	missing time.Time     // when this node, without a key, first found none in Redis
}

// names returns the fields to read for these master keys.
func (s *sharedKeys) names(masters []keys.MasterKey) []string {
	if s.changed == nil {
		return nil
	}
	var names []string
	for _, m := range masters {
		names = append(names, revokedPrefix+m.ID(), rsaName(m.ID()))
	}
	return names
}

// readKeys handles the values of sharedKeys.names. It makes what is missing and restores
// what Redis has lost. Called with opMu held.
func (s *killSwitch) readKeys(ctx context.Context, current *current, values []string) (err error) {
	k := &s.keys
	if k.changed == nil {
		return nil
	}
	for i, m := range current.Masters {
		err = errors.Join(err, s.readRevocation(ctx, current.Keys, m.ID(), values[2*i]))
	}
	for i, m := range current.Masters {
		if !k.revoked[m.ID()] {
			err = errors.Join(err, k.updateRSA(ctx, m, values[2*i+1], current.NeedsRSA))
		}
	}
	next := k.snapshot(current.Masters)
	if !k.reported || !slices.Equal(k.last.Revoked, next.Revoked) || !maps.EqualFunc(k.last.RSA, next.RSA, RSAKeys.equal) {
		k.reported, k.last = true, next
		k.changed(next)
	}
	usable, complete := false, true
	for _, m := range current.Masters {
		usable = usable || !k.revoked[m.ID()]
		complete = complete && (!current.NeedsRSA || k.revoked[m.ID()] || next.RSA[m.ID()].Signing != nil)
	}
	if s.keysUsable.Store(usable); !usable {
		s.log.Error("every key of LOGINHUB_KEYS is revoked, or may be: this node serves nothing; give it a new key")
	}
	if complete {
		s.keysComplete.Store(true)
	}
	return err
}

// readRevocation handles the value that says whether a key is revoked.
func (s *killSwitch) readRevocation(ctx context.Context, keys *ticket.Keyring, kid, value string) error {
	others, err := keys.WithRevoked(kid) // a key does not speak for itself
	if err != nil {
		if value != "" {
			s.keys.revoked[kid] = true
		}
		return nil // the only key: there is no other to read a value with
	}
	name := revokedPrefix + kid
	readable, restore, err := s.resolve(others, name, value)
	s.reportUnreadable(name, value, err)
	if (!readable || !s.values[name].On) && !s.keys.revoked[kid] {
		s.log.Warn("key revoked: it neither signs nor verifies any more", "kid", kid)
		s.keys.revoked[kid] = true
	}
	if restore == "" {
		return nil
	}
	return s.restore(ctx, name, value, restore)
}

// Errors of KeyControl.Revoke.
var (
	ErrNoSuchKey = errors.New("no such key in LOGINHUB_KEYS")
	ErrLastKey   = errors.New("the last usable key; append another one to LOGINHUB_KEYS first")
)

// revokeKey revokes a master key. See KeyControl.Revoke.
func (s *killSwitch) revokeKey(ctx context.Context, kid string, operator netip.Addr) (err error) {
	slot, err := s.audit.reserve(ctx)
	defer func() { s.audit.keyRevoked(&slot, kid, operator, err) }()
	if err != nil {
		return err
	}
	s.opMu.Lock()
	defer s.opMu.Unlock()
	current := s.current.Load()
	isKey := func(m keys.MasterKey) bool { return m.ID() == kid }
	switch {
	case s.keys.changed == nil || !slices.ContainsFunc(current.Masters, isKey):
		return ErrNoSuchKey
	case s.keys.revoked[kid]:
		return nil
	case !slices.ContainsFunc(current.Masters, func(m keys.MasterKey) bool { return !isKey(m) && !s.keys.revoked[m.ID()] }):
		return ErrLastKey
	}
	others, err := current.Keys.WithRevoked(kid)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLastKey, err)
	}
	if err = s.write(ctx, others, ticket.SwitchWord{Client: revokedPrefix + kid}); err != nil && !errors.Is(err, ticket.ErrNotReplicated) {
		return err
	}
	// The first read drops the key, the second seals again what it has sealed.
	return errors.Join(err, s.read(ctx), s.read(ctx))
}

// KeyControl revokes and checks a node's master keys.
type KeyControl struct{ switches *killSwitch }

// Revoke ends a master key for good: nothing is signed with it, and nothing accepted
// that it has signed or sealed, at once on this node and within switchInterval on the
// others. operator is the caller's address, for the audit. Errors are those of
// Hub.SetEnabled, ErrNoSuchKey and ErrLastKey.
func (k KeyControl) Revoke(ctx context.Context, kid string, operator netip.Addr) error {
	return k.switches.revokeKey(ctx, kid, operator)
}

// Check returns nil if this node knows which of its keys are revoked, and has one
// that is not.
func (k KeyControl) Check() error {
	switch s := k.switches; {
	case s.store == nil || s.keys.changed == nil:
		return nil
	case !s.loaded():
		return errNoSwitch
	case !s.keysUsable.Load():
		return errNoKey
	}
	return nil
}

func (k RSAKeys) equal(other RSAKeys) bool {
	return k.Signing == other.Signing && slices.Equal(k.Published, other.Published)
}

// updateRSA handles the RSA keys of one master key. It adds to Redis what this node knows
// and Redis lacks, so that all nodes publish every key that one of them has signed with.
func (s *sharedKeys) updateRSA(ctx context.Context, m keys.MasterKey, value string, needed bool) error {
	known := s.rsa[m.ID()]
	if value != "" && known.sealed == value {
		return nil
	}
	var stored []keys.RSAKey
	if value != "" {
		var err error
		if stored, err = m.OpenRSA(value); err != nil && known.missing.IsZero() {
			s.log.Error("the RSA keys in Redis are unreadable", "kid", m.ID(), "error", err)
		}
		if errors.Is(err, keys.ErrRSAVersion) {
			return nil
		}
	}
	all := mergeRSA(known.keys, stored)
	switch {
	case len(all) > 0:
		if len(all) == len(stored) {
			s.rsa[m.ID()] = sharedRSA{keys: all, sealed: value}
			return nil
		}
		s.rsa[m.ID()] = sharedRSA{keys: all}
	case !needed:
		return nil
	case known.missing.IsZero():
		s.rsa[m.ID()] = sharedRSA{missing: time.Now()}
		return nil
	case time.Since(known.missing) < publishDelay:
		return nil // a node that knows the keys writes them in this time
	default:
		made, err := keys.NewRSAKey(s.now())
		if err != nil {
			return err
		}
		all = []keys.RSAKey{made}
	}
	sealed, err := m.SealRSA(all...)
	if err != nil {
		return err
	}
	written, err := s.store.CompareAndSet(ctx, rsaName(m.ID()), value, sealed)
	if !written {
		return err // the next read has another node's value
	}
	s.log.Warn("RSA keys were written to Redis: no node had one, or Redis had lost some", "kid", m.ID(), "keys", len(all))
	s.rsa[m.ID()] = sharedRSA{keys: all, sealed: sealed}
	return err
}

// mergeRSA returns the keys of both lists, newest first, on all nodes in the same order.
func mergeRSA(known, stored []keys.RSAKey) []keys.RSAKey {
	all := slices.Clone(known)
	for _, k := range stored {
		if !slices.ContainsFunc(all, func(other keys.RSAKey) bool { return other.Equal(k.PrivateKey) }) {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, func(a, b keys.RSAKey) int { return cmp.Or(b.Made.Compare(a.Made), a.N.Cmp(b.N)) })
	return all
}

// snapshot returns the keys as they are used now.
func (s *sharedKeys) snapshot(masters []keys.MasterKey) SharedKeys {
	next := SharedKeys{Revoked: slices.Sorted(maps.Keys(s.revoked)), RSA: map[string]RSAKeys{}}
	for _, m := range masters {
		if s.revoked[m.ID()] {
			continue
		}
		var r RSAKeys
		for _, k := range s.rsa[m.ID()].keys {
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
