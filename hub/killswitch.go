package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"time"

	"loginhub/hub/ticket"
)

// The kill switch. Redis carries it from node to node, and the nodes remember it:
// a Redis that has lost it (FLUSHALL, a restart without a log, a failover that lost
// the write) turns nobody on. Of each client Redis holds one word:
//
//	off        its QR login is switched off
//	on RANDOM  it was switched on again, once: the word is another each time
//	nothing    it was never switched, or Redis has lost its word
//
// A node that knows a client as off turns it on by an "on" that it has not seen
// before, and by nothing else. Where Redis says nothing, something unreadable, or
// the old "on" that the "off" had followed, the node keeps "off" and writes it
// again, unless another was faster.
//
// What remains: nobody is left who knows. That is, Redis has lost the word and
// every node that had read it is gone or has started anew since (a node reads it
// every two seconds; one that starts within two seconds after the loss can be the
// first to read, and is on until another has written "off" again); or a failover
// brings back an old "on" and all nodes have started since. And an "on" that is lost
// leaves the client off: the operator repeats it. LOGINHUB_REDIS_WAIT makes the
// operator's call wait until replicas have the word.
const (
	wordOff = "off"
	wordOn  = "on "
	maxWord = 64 // bytes; longer is none of ours
)

// KillSwitchStore is where all nodes find their clients' words: package redisstore.
type KillSwitchStore interface {
	// Switches is what stands there of each client, in their order; "" for nothing.
	Switches(ctx context.Context, clients []string) ([]string, error)
	// Switch writes a client's word. One that is written and may yet be lost is
	// ticket.ErrNotLasting.
	Switch(ctx context.Context, client, word string) error
	// CompareAndSet writes a client's word where what stands there is still was.
	CompareAndSet(ctx context.Context, client, was, word string) (bool, error)
}

// How often the switchboard is read; sooner where it has never been.
const (
	switchesEvery = 2 * time.Second
	switchesFirst = 250 * time.Millisecond
)

// killSwitch is what this node knows of the switchboard. What it has once read
// holds until it reads something else: a Redis that does not answer switches
// nobody on or off.
type killSwitch struct {
	opMu sync.Mutex        // one read or write at a time, so that none is undone by an older one
	on   map[string]string // guarded by turn: the last "on" that was read, by client

	soon chan struct{} // capacity 1: clients have come, read at once

	mu    sync.Mutex
	known map[string]bool // whose word was read; nil: nobody's yet
	off   map[string]bool
}

// Enabled is nil where the client's QR login is on. A node that could not read
// the client's word yet says that the store is unavailable.
func (h *Hub) Enabled(client string) error {
	if h.Switches == nil {
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

// Switch turns the QR login of one of the node's clients on or off, on all nodes
// within switchesEvery and at once on this one, and notes who did: operator is the
// address that it came from. ticket.ErrNotLasting: done, but no replica has it yet. ErrAuditStalled: not done.
func (h *Hub) Switch(ctx context.Context, client string, on bool, operator netip.Addr) (err error) {
	slot, err := h.reserveAudit()
	defer func() { h.auditSwitch(&slot, client, on, operator, err) }()
	if err != nil {
		return err
	}
	h.switches.opMu.Lock()
	defer h.switches.opMu.Unlock()
	word := wordOff
	if on {
		word = wordOn + rand.Text()
	}
	err = h.Switches.Switch(ctx, client, word)
	if err != nil && !errors.Is(err, ticket.ErrNotReplicated) {
		return err
	}
	return errors.Join(err, h.readSwitches(ctx))
}

// pollSwitches keeps reading the switchboard.
func (h *Hub) pollSwitches(ctx context.Context) {
	if h.Switches == nil {
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
		pause := switchesEvery
		if !h.switches.loaded() {
			pause = switchesFirst
		}
		due := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-due.C:
		case <-h.switches.soon:
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
// The pages of a client that is now off are let go; what they ask next tells them
// why.
func (h *Hub) readSwitches(ctx context.Context) error {
	current := h.current.Load()
	words, err := h.Switches.Switches(ctx, current.Clients)
	if err != nil {
		return err
	}
	h.switches.mu.Lock()
	was := h.switches.off
	h.switches.mu.Unlock()
	now, lost := h.switches.resolve(current.Clients, words, was)
	h.switches.mu.Lock()
	h.switches.off, h.switches.known = now, current.known
	h.switches.mu.Unlock()
	for _, client := range current.Clients {
		if now[client] != was[client] {
			h.Log.Warn("QR login switched", "client", client, "enabled", !now[client])
		}
	}
	if len(now) > 0 {
		h.waiters.releaseClients(now)
	}
	for client, word := range lost {
		written, e := h.Switches.CompareAndSet(ctx, client, word, wordOff)
		if written {
			h.Log.Warn("Redis had lost that this QR login is switched off; it is written again", "client", client)
		}
		err = errors.Join(err, e)
	}
	return err
}

// resolve says which clients are off, and for which of them Redis must be told so
// again, with what it says now.
func (s *killSwitch) resolve(clients, words []string, was map[string]bool) (off map[string]bool, lost map[string]string) {
	off, lost = map[string]bool{}, map[string]string{}
	if s.on == nil {
		s.on = map[string]string{}
	}
	for i, client := range clients {
		word := words[i]
		on := strings.HasPrefix(word, wordOn) && len(word) <= maxWord
		switch {
		case word == wordOff:
			off[client] = true
		case on && !(was[client] && word == s.on[client]):
			s.on[client] = word
		case was[client]:
			off[client], lost[client] = true, word
		}
	}
	return off, lost
}

// releaseClients lets go of all who wait for these clients' tickets. A waiter is
// registered before it is admitted: it is found here, or finds itself refused.
func (r *registry) releaseClients(clients map[string]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.slots {
		if !s.known || !clients[s.latest.Client] {
			continue
		}
		for _, w := range append([]waiter(nil), s.waiters...) {
			r.drop(s, w)
			w.release(switchedOff)
		}
	}
}
