package hub

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"loginhub/hub/ticket"
)

// The kill switch. Redis carries it from node to node, and the nodes remember it.
// Of each client Redis holds one word, sealed as records are: off or on, and when
// (ticket.SwitchWord). No word: the client was never switched, or Redis has lost it.
//
// The latest word that a node has read counts for it. If Redis holds an older one, a
// forged one or none (FLUSHALL, a restart without a log, a failover that lost the
// write, somebody who writes in Redis), the node writes the latest again, unless
// another node was faster.
//
// A word under a key, or in a version, that the node does not have leaves it without
// an answer: the client's logins get 503 here, for the word may say off. So does a
// forged word, and the unsealed "off" of earlier versions, on a node that has read
// no other since its start. Whoever writes in Redis can refuse logins in this way,
// as by deleting tickets, but can switch no client on or off at a node that knows it.
//
// What remains: no node is left that knows. Redis has lost the word, or holds an
// older one that somebody has put back, and every node that had read the latest is
// gone or has restarted (a node reads every two seconds). LOGINHUB_REDIS_WAIT makes
// the operator's call wait until replicas have the word.

// KillSwitchStore is where all nodes find their clients' words: package redisstore.
type KillSwitchStore interface {
	// ReadSwitches is what stands there of each client, in their order; "" for nothing.
	ReadSwitches(ctx context.Context, clients []string) ([]string, error)
	// WriteSwitch writes a client's word. One that is written and may yet be lost is
	// ticket.ErrNotReplicated.
	WriteSwitch(ctx context.Context, client, word string) error
	// CompareAndSet writes a client's word where what stands there is still was.
	CompareAndSet(ctx context.Context, client, was, word string) (bool, error)
}

// How often the switchboard is read; sooner where it has never been.
const (
	switchInterval      = 2 * time.Second
	switchFirstInterval = 250 * time.Millisecond
)

// killSwitch is what this node knows of the switchboard. What it has once read
// holds until it reads something else: a Redis that does not answer switches
// nobody on or off.
type killSwitch struct {
	opMu     sync.Mutex        // one read or write at a time, so that none is undone by an older one
	words    map[string]word   // guarded by opMu: the latest that was read or written, by client
	refused  map[string]string // guarded by opMu: what was refused last, by client, to log it once
	resealed time.Time         // guarded by opMu

	readNow chan struct{} // capacity 1: clients have come, read at once

	mu    sync.Mutex
	known map[string]bool // whose word was read; nil: nobody's yet
	off   map[string]bool
}

// CheckEnabled is nil where the client's QR login is on. A node that could not read
// the client's word yet says that the store is unavailable.
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

// SetEnabled turns the QR login of one of the node's clients on or off, on all nodes
// within switchInterval and at once on this one, and notes who did: operator is the
// address that it came from. ticket.ErrNotReplicated: done, but no replica has it yet. ErrAuditStalled: not done.
func (h *Hub) SetEnabled(ctx context.Context, client string, on bool, operator netip.Addr) (err error) {
	slot, err := h.reserveAudit()
	defer func() { h.auditSwitch(&slot, client, on, operator, err) }()
	if err != nil {
		return err
	}
	h.switches.opMu.Lock()
	defer h.switches.opMu.Unlock()
	latest := h.switches.words[client]
	next := word{SwitchWord: ticket.SwitchWord{Client: client, On: on, At: max(latest.At+1, h.Store.Now().UnixMilli())}}
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
	h.switches.words[client] = next
	return errors.Join(err, h.readSwitches(ctx))
}

// pollSwitches keeps reading the switchboard.
func (h *Hub) pollSwitches(ctx context.Context) {
	if h.KillSwitches == nil {
		return
	}
	for failed := false; ctx.Err() == nil; {
		h.switches.opMu.Lock()
		err := h.readSwitches(ctx)
		h.switches.opMu.Unlock()
		if err != nil && !failed && ctx.Err() == nil {
			h.Log.Warn("the switchboard cannot be read or written; what was last read holds", "error", err)
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

// readSwitches takes the switchboard over, and writes again what Redis has lost.
// The pages of a client that is now off, or whose word cannot be read, are let go;
// what they ask next tells them why. Called with opMu held.
func (h *Hub) readSwitches(ctx context.Context) error {
	s, current := &h.switches, h.current.Load()
	words, err := h.KillSwitches.ReadSwitches(ctx, current.Clients)
	if err != nil {
		return err
	}
	off, known, unread, lost := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]string{}
	for i, client := range current.Clients {
		readable, restore, err := s.judge(current.Keys, client, words[i])
		h.refuseWord(client, words[i], err)
		known[client], unread[client] = readable, !readable
		off[client] = readable && !s.words[client].On
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
			err = errors.Join(err, h.restore(ctx, client, words[i], lost[client]))
		}
	}
	return err
}

// refuseWord logs and meters a word that this node cannot read, each once in the
// log.
func (h *Hub) refuseWord(client, text string, err error) {
	if err == nil {
		delete(h.switches.refused, client)
		return
	}
	h.refusedSeal(InSwitch, err)
	if h.switches.refused[client] != text {
		h.switches.refused[client] = text
		h.Log.Error("the client's switch in Redis cannot be read; switch it again on the admin address", "client", client, "error", err)
	}
}

// restore writes a client's latest word in place of what Redis says.
func (h *Hub) restore(ctx context.Context, client, was, sealed string) error {
	written, err := h.KillSwitches.CompareAndSet(ctx, client, was, sealed)
	if !written {
		return err
	}
	w := h.switches.words[client]
	if w.sealed == was { // sealed again
		h.switches.resealed = time.Now()
		return err
	}
	h.Log.Warn("Redis had lost this client's switch; it is written again", "client", client, "enabled", w.On)
	return err
}

// releaseClients lets go of all who wait for tickets of clients that are true. A waiter is
// registered before it is admitted: it is found here, or finds itself refused.
func (r *registry) releaseClients(clients map[string]bool, why reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.slots {
		if !s.known || !clients[s.latest.Client] {
			continue
		}
		for _, w := range append([]waiter(nil), s.waiters...) {
			r.drop(s, w)
			w.release(why)
		}
	}
}
