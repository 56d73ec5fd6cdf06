package hub

import (
	"context"
	"errors"
	"net/netip"
	"sync"
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
	opMu     sync.Mutex             // serializes reads and writes, so that no older one undoes a newer one
	values   map[string]switchValue // guarded by opMu: the latest value, by client
	refused  map[string]string      // guarded by opMu: the last unreadable value, by client, to log it once
	resealed time.Time              // guarded by opMu

	readNow chan struct{} // capacity 1: Reload added clients, read at once

	mu    sync.Mutex
	known map[string]bool // clients whose value was read; nil: none read yet
	off   map[string]bool
}

// CheckEnabled returns nil if the client's QR login is on, ticket.ErrLoginDisabled if it
// is off, and ticket.ErrStoreUnavailable if its value could not be read.
func (h *Hub) CheckEnabled(client string) error {
	if h.KillSwitches == nil {
		return nil
	}
	h.switches.mu.Lock()
	defer h.switches.mu.Unlock()
	switch {
	case !h.switches.known[client]:
		return ticket.ErrStoreUnavailable
	case h.switches.off[client]:
		return ticket.ErrLoginDisabled
	}
	return nil
}

// SetEnabled switches the QR login of a client on or off: at once on this node, within
// switchInterval on the others. operator is the caller's address, for the audit.
// ticket.ErrNotReplicated: done, but no replica has it yet. ErrAuditStalled: not done.
func (h *Hub) SetEnabled(ctx context.Context, client string, on bool, operator netip.Addr) (err error) {
	slot, err := h.reserveAudit()
	defer func() { h.auditSwitch(&slot, client, on, operator, err) }()
	if err != nil {
		return err
	}
	h.switches.opMu.Lock()
	defer h.switches.opMu.Unlock()
	latest := h.switches.values[client]
	next := switchValue{SwitchWord: ticket.SwitchWord{Client: client, On: on, At: max(latest.At+1, h.Store.Now().UnixMilli())}}
	keys := h.current.Load().Keys
	sealed, err := keys.SealSwitch(next.SwitchWord)
	if err != nil {
		return err
	}
	next.sealed, next.key = string(sealed), keys.Current()
	err = h.KillSwitches.WriteSwitch(ctx, client, next.sealed)
	if err != nil && !errors.Is(err, ticket.ErrNotReplicated) {
		return err
	}
	h.switches.values[client] = next
	return errors.Join(err, h.readSwitches(ctx))
}

// pollSwitches reads the switches every switchInterval until ctx ends.
func (h *Hub) pollSwitches(ctx context.Context) {
	if h.KillSwitches == nil {
		return
	}
	for failed := false; ctx.Err() == nil; {
		h.switches.opMu.Lock()
		err := h.readSwitches(ctx)
		h.switches.opMu.Unlock()
		if err != nil && !failed && ctx.Err() == nil {
			h.Log.Warn("read or restore kill switches; the last values stay valid", "error", err)
		}
		failed = err != nil
		pause := switchInterval
		if !h.switches.loaded() {
			pause = switchFirstInterval
		}
		due := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-due.C:
		case <-h.switches.readNow:
		}
		due.Stop()
	}
}

func (s *killSwitch) loaded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known != nil
}

// readSwitches reads the switches and writes again what Redis has lost. It releases the
// waiters of each client that is off or whose value is unreadable; their next request
// gets the reason. Called with opMu held.
func (h *Hub) readSwitches(ctx context.Context) error {
	s, current := &h.switches, h.current.Load()
	values, err := h.KillSwitches.ReadSwitches(ctx, current.Clients)
	if err != nil {
		return err
	}
	off, known, unread, lost := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]string{}
	for i, client := range current.Clients {
		readable, restore, err := s.resolve(current.Keys, client, values[i])
		h.reportUnreadable(client, values[i], err)
		known[client], unread[client] = readable, !readable
		off[client] = readable && !s.values[client].On
		if restore != "" {
			lost[client] = restore
		}
	}
	s.mu.Lock()
	was := s.off
	s.off, s.known = off, known
	s.mu.Unlock()
	for _, client := range current.Clients {
		if known[client] && off[client] != was[client] {
			h.Log.Warn("QR login switched", "client", client, "enabled", !off[client])
		}
	}
	h.waiters.releaseClients(off, switchedOff)
	h.waiters.releaseClients(unread, cannotServe)
	for i, client := range current.Clients {
		if lost[client] != "" {
			err = errors.Join(err, h.restore(ctx, client, values[i], lost[client]))
		}
	}
	return err
}

// reportUnreadable counts a value that this node cannot read. It logs each value once.
func (h *Hub) reportUnreadable(client, text string, err error) {
	if err == nil {
		delete(h.switches.refused, client)
		return
	}
	h.refusedSeal(InSwitch, err)
	if h.switches.refused[client] != text {
		h.switches.refused[client] = text
		h.Log.Error("the client's kill switch in Redis is unreadable; switch it again on the admin address", "client", client, "error", err)
	}
}

// restore replaces a client's value in Redis with the latest one.
func (h *Hub) restore(ctx context.Context, client, was, sealed string) error {
	written, err := h.KillSwitches.CompareAndSet(ctx, client, was, sealed)
	if !written {
		return err
	}
	v := h.switches.values[client]
	if v.sealed == was { // sealed again
		h.switches.resealed = time.Now()
		return err
	}
	h.Log.Warn("Redis had lost the client's kill switch; it is written again", "client", client, "enabled", v.On)
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
