package hub

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"loginhub/hub/ticket"
)

// The kill switch switches a client's QR login off on all nodes. Redis holds one value
// for each client, sealed like a record: off or on, and the time of the switch
// (ticket.SwitchWord). No value: the client was never switched, or Redis lost it.
//
// Each node keeps the latest value that it has read. If Redis holds an older value, a
// forged one or none, the node writes the latest again, unless another node was first.
// Causes are FLUSHALL, a restart without AOF, a failover that lost the write, or an
// attacker who writes in Redis.
//
// A value under a key or in a version that the node lacks may say off: the client's
// logins get 503 on this node. The same holds for a forged value, and for the unsealed
// "off" of earlier versions, on a node that has read no other value since its start.
// An attacker in Redis can refuse logins in this way, as by deleting tickets. They
// cannot switch a client on or off on a node that has read its value.
//
// A value can still be lost, or replaced by an older one, if every node that had read
// the latest has stopped or restarted (a node reads every two seconds). With
// LOGINHUB_REDIS_WAIT the operator's call waits until replicas have the value.

// KillSwitchStore stores the switch values of all clients. Package redisstore
// implements it.
type KillSwitchStore interface {
	// ReadSwitches returns the value of each client, in their order; "" for none.
	ReadSwitches(ctx context.Context, clients []string) ([]string, error)
	// WriteSwitch writes a client's value. ticket.ErrNotReplicated: written, but no
	// replica has it yet.
	WriteSwitch(ctx context.Context, client, value string) error
	// CompareAndSet writes a client's value if the present one is still was.
	CompareAndSet(ctx context.Context, client, was, value string) (bool, error)
}

// How often the switches are read, and how often until the first read succeeds.
const (
	switchInterval      = 2 * time.Second
	switchFirstInterval = 250 * time.Millisecond
)

// killSwitch holds the switches that this node has read. They stay valid until it reads
// others: an unreachable Redis switches no client on or off.
type killSwitch struct {
	store   KillSwitchStore  // nil: no kill switch
	now     func() time.Time // the store's clock
	current *reloadable
	audit   *auditor
	waiters *registry
	metrics Metrics
	log     *slog.Logger

	opMu     sync.Mutex             // serializes reads and writes, so that no older one undoes a newer one
	values   map[string]switchValue // guarded by opMu: the latest value, by client
	refused  map[string]string      // guarded by opMu: the last unreadable value, by client, to log it once
	resealed time.Time              // guarded by opMu
	keys     sharedKeys             // guarded by opMu
	// keysComplete is true once the keys were read and each needed one signs. Later ones
	// do not make the node unready.
	keysComplete atomic.Bool
	keysUsable   atomic.Bool // a key is not revoked

	readNow chan struct{} // capacity 1: Reload added clients, read at once

	mu      sync.Mutex
	known   map[string]bool // whether each client's value was readable; nil: none read yet
	off     map[string]bool
	changed chan struct{} // closed, and replaced, after each read
}

func newKillSwitch(c Config, current *reloadable, audit *auditor, waiters *registry) *killSwitch {
	s := &killSwitch{store: c.KillSwitches, now: c.Store.Now, current: current, audit: audit, waiters: waiters, metrics: c.Metrics, log: c.Log,
		values: map[string]switchValue{}, refused: map[string]string{}, readNow: make(chan struct{}, 1), changed: make(chan struct{}),
		keys: sharedKeys{store: c.KillSwitches, now: c.Store.Now, changed: c.KeysChanged, log: c.Log, rsa: map[string]sharedRSA{}, revoked: map[string]bool{}}}
	s.keysComplete.Store(c.KillSwitches == nil || c.KeysChanged == nil)
	s.keysUsable.Store(true)
	return s
}

// check returns nil if the client's QR login is on, ticket.ErrLoginDisabled if it
// is off, and ticket.ErrStoreUnavailable if its value could not be read.
func (s *killSwitch) check(client string) error {
	if s.store == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.known[client], !s.keysUsable.Load():
		return ticket.ErrStoreUnavailable
	case s.off[client]:
		return ticket.ErrLoginDisabled
	}
	return nil
}

// set switches the QR login of a client on or off. See Hub.SetEnabled.
func (s *killSwitch) set(ctx context.Context, client string, on bool, operator netip.Addr) (err error) {
	slot, err := s.audit.reserve(ctx)
	defer func() { s.audit.switched(&slot, client, on, operator, err) }()
	if err != nil {
		return err
	}
	s.opMu.Lock()
	defer s.opMu.Unlock()
	err = s.write(ctx, s.current.Load().Keys, ticket.SwitchWord{Client: client, On: on})
	if err != nil && !errors.Is(err, ticket.ErrNotReplicated) {
		return err
	}
	return errors.Join(err, s.read(ctx))
}

// write seals a value and writes it, for all nodes. ticket.ErrNotReplicated: written.
// Called with opMu held.
func (s *killSwitch) write(ctx context.Context, keys *ticket.Keyring, word ticket.SwitchWord) error {
	word.At = max(s.values[word.Client].At+1, s.now().UnixMilli())
	sealed, err := keys.SealSwitch(word)
	if err != nil {
		return err
	}
	err = s.store.WriteSwitch(ctx, word.Client, string(sealed))
	if err == nil || errors.Is(err, ticket.ErrNotReplicated) {
		s.values[word.Client] = switchValue{word, string(sealed), keys.Current()}
	}
	return err
}

// poll reads the switches every switchInterval until ctx ends.
func (s *killSwitch) poll(ctx context.Context) {
	if s.store == nil {
		return
	}
	for failed := false; ctx.Err() == nil; {
		s.opMu.Lock()
		err := s.read(ctx)
		s.opMu.Unlock()
		if err != nil && !failed && ctx.Err() == nil {
			s.log.Warn("read or restore kill switches; the last values stay valid", "error", err)
		}
		failed = err != nil
		pause := switchInterval
		if !s.loaded() || !s.keysComplete.Load() {
			pause = switchFirstInterval
		}
		due := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-due.C:
		case <-s.readNow:
		}
		due.Stop()
	}
}

// readAdded reads the switches at once. It waits up to a second for those of added
// clients, whose logins get 503 until then.
func (s *killSwitch) readAdded(clients []string) {
	select {
	case s.readNow <- struct{}{}:
	default:
	}
	limit := time.NewTimer(time.Second)
	defer limit.Stop()
	for {
		s.mu.Lock()
		missing, changed := s.known != nil && slices.ContainsFunc(clients, func(id string) bool { _, read := s.known[id]; return !read }), s.changed
		s.mu.Unlock()
		if !missing {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			return
		}
	}
}

// loaded reports whether the switches were read, or there are none.
func (s *killSwitch) loaded() bool {
	if s.store == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known != nil
}

// read reads the switches and writes again what Redis has lost. It releases the
// waiters of each client that is off or whose value is unreadable; their next request
// gets the reason. Called with opMu held.
func (s *killSwitch) read(ctx context.Context) error {
	current := s.current.Load()
	values, err := s.store.ReadSwitches(ctx, slices.Concat(current.Clients, s.keys.names(current.Masters)))
	if err != nil {
		return err
	}
	keysErr := s.readKeys(ctx, current, values[len(current.Clients):])
	current = s.current.Load() // without the keys that were revoked just now
	off, known, unread, lost := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]string{}
	for i, client := range current.Clients {
		readable, restore, err := s.resolve(current.Keys, client, values[i])
		s.reportUnreadable(client, values[i], err)
		known[client], unread[client] = readable, !readable
		off[client] = readable && !s.values[client].On
		if restore != "" {
			lost[client] = restore
		}
	}
	s.mu.Lock()
	was := s.off
	s.off, s.known = off, known
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	for _, client := range current.Clients {
		if known[client] && off[client] != was[client] {
			s.log.Warn("QR login switched", "client", client, "enabled", !off[client])
		}
	}
	s.waiters.releaseClients(off, switchedOff)
	s.waiters.releaseClients(unread, cannotServe)
	for i, client := range current.Clients {
		if lost[client] != "" {
			err = errors.Join(err, s.restore(ctx, client, values[i], lost[client]))
		}
	}
	return errors.Join(err, keysErr)
}

// reportUnreadable counts a value that this node cannot read. It logs each value once.
func (s *killSwitch) reportUnreadable(client, text string, err error) {
	if err == nil {
		delete(s.refused, client)
		return
	}
	rejectSeal(s.metrics, InSwitch, err)
	if s.refused[client] != text {
		s.refused[client] = text
		s.log.Error("the client's kill switch in Redis is unreadable; switch it again on the admin address", "client", client, "error", err)
	}
}

// restore replaces a client's value in Redis with the latest one.
func (s *killSwitch) restore(ctx context.Context, client, was, sealed string) error {
	written, err := s.store.CompareAndSet(ctx, client, was, sealed)
	if !written {
		return err
	}
	v := s.values[client]
	if v.sealed == was { // sealed again
		s.resealed = time.Now()
		return err
	}
	s.log.Warn("Redis had lost the client's kill switch; it is written again", "client", client, "enabled", v.On)
	return err
}

// releaseClients releases the waiters of all clients that are true in the map. A waiter
// is registered before it is authorized, so it is either found here or refused there.
func (r *registry) releaseClients(clients map[string]bool, why reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.slots {
		if s.latest == nil || !clients[s.latest.Client] {
			continue
		}
		for _, w := range append([]waiter(nil), s.waiters...) {
			r.drop(s, w)
			w.release(why)
		}
	}
}
