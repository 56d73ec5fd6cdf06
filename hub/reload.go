package hub

import "loginhub/hub/ticket"

// Reloadable is the part of a Config that Reload replaces while the node runs. It
// does not change once a Hub has it.
type Reloadable struct {
	Keys   *ticket.Keyring
	Signer Signer
	// Clients are the ids of the clients whose kill switches the node follows and
	// whose pages it holds; nil: no kill switch, and any client's.
	Clients []string
	// UserLabel names a user in the audit; nil: by provider and subject.
	UserLabel func(ticket.Identity) string
}

// current is a Reloadable in use.
type current struct {
	Reloadable
	knownClients map[string]bool // Clients
}

func newCurrent(r Reloadable) *current {
	c := &current{Reloadable: r, knownClients: map[string]bool{}}
	for _, id := range r.Clients {
		c.knownClients[id] = true
	}
	return c
}

// Reload replaces what the node has of a Reloadable, for every operation that
// begins from now on. Each waiting ticket is read again soon: if this node no
// longer has its key or its client, its sockets are closed with 1013 and its polls
// get ErrUnknownKey, so that their pages go to another node.
func (h *Hub) Reload(r Reloadable) {
	h.current.Store(newCurrent(r))
	select {
	case h.switches.readNow <- struct{}{}:
	default:
	}
	h.waiters.scheduleSoon(nil, 0)
}

// hasClient reports whether this node has the ticket's client.
func (c *current) hasClient(client string) bool { return c.Clients == nil || c.knownClients[client] }
