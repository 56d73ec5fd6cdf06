package hub

import (
	"context"
	"sync"
	"time"

	"loginhub/hub/ticket"
)

// Switchboard is where all nodes find which clients are switched off: package
// redisstore.
type Switchboard interface {
	// Off says which of these clients are switched off.
	Off(ctx context.Context, clients []string) ([]string, error)
	// Switch switches a client on or off.
	Switch(ctx context.Context, client string, on bool) error
}

// How often the switchboard is read; sooner where it has never been.
const (
	switchesEvery = 2 * time.Second
	switchesFirst = 250 * time.Millisecond
)

// switches is what this node knows of the switchboard. What it has once read
// holds until it reads something else: a Redis that does not answer switches
// nobody on or off.
type switches struct {
	turn sync.Mutex // one read or write at a time, so that none is undone by an older one

	mu    sync.Mutex
	known bool
	off   map[string]bool
}

// Enabled is nil where the client's QR login is on. A node that could not read
// the switchboard yet says that the store is unavailable.
func (h *Hub) Enabled(client string) error {
	if h.Switches == nil {
		return nil
	}
	h.switches.mu.Lock()
	defer h.switches.mu.Unlock()
	switch {
	case !h.switches.known:
		return ticket.ErrStoreUnavailable
	case h.switches.off[client]:
		return ticket.ErrLoginDisabled
	}
	return nil
}

// Switch turns the QR login of one of the node's clients on or off, on all nodes
// within switchesEvery and at once on this one.
func (h *Hub) Switch(ctx context.Context, client string, on bool) error {
	h.switches.turn.Lock()
	defer h.switches.turn.Unlock()
	if err := h.Switches.Switch(ctx, client, on); err != nil {
		return err
	}
	return h.readSwitches(ctx)
}

// follow keeps reading the switchboard.
func (h *Hub) follow(ctx context.Context) {
	if h.Switches == nil {
		return
	}
	for failed := false; ctx.Err() == nil; {
		h.switches.turn.Lock()
		err := h.readSwitches(ctx)
		h.switches.turn.Unlock()
		if err != nil && !failed && ctx.Err() == nil {
			h.Log.Warn("the switchboard cannot be read; what was last read holds", "error", err)
		}
		failed = err != nil
		pause := switchesEvery
		if !h.switches.read() {
			pause = switchesFirst
		}
		rest(ctx, pause)
	}
}

func (s *switches) read() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known
}

// readSwitches takes the switchboard over. The pages of a client that is now off
// are let go; what they ask next tells them why.
func (h *Hub) readSwitches(ctx context.Context) error {
	off, err := h.Switches.Off(ctx, h.Clients)
	if err != nil {
		return err
	}
	now := make(map[string]bool, len(off))
	for _, client := range off {
		now[client] = true
	}
	h.switches.mu.Lock()
	was := h.switches.off
	h.switches.off, h.switches.known = now, true
	h.switches.mu.Unlock()
	for _, client := range h.Clients {
		if now[client] != was[client] {
			h.Log.Warn("QR login switched", "client", client, "enabled", !now[client])
		}
	}
	if len(now) > 0 {
		h.waiters.releaseClients(now)
	}
	return nil
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
		for _, w := range append([]listener(nil), s.waiters...) {
			r.drop(s, w)
			w.released(switchedOff)
		}
	}
}
