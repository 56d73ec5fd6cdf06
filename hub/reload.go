package hub

import (
	"sync/atomic"

	"loginhub/hub/keys"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// Reloadable is the part of a Config that Reload replaces while the node runs. Do not
// change a value after passing it to a Hub.
type Reloadable struct {
	Keys   *ticket.Keyring
	Signer Signer
	// Clients are the ids of the clients that this node serves, with their kill
	// switches; nil: all clients, without kill switches.
	Clients []string
	// Masters are the master keys, newest first, and NeedsRSA says that some client needs
	// RS256; for Config.KeysChanged.
	Masters  []keys.MasterKey
	NeedsRSA bool
	// UserLabel names a user in the audit; nil: provider and subject.
	UserLabel func(provider.Identity) string
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

// reloadable holds the Reloadable in use. An operation loads it once.
type reloadable = atomic.Pointer[current]

// Reload replaces the node's Reloadable for every operation that starts afterwards.
// Each waiting ticket is read again at once. If this node no longer has its key or
// client, its sockets are closed with 1013 and its polls get ErrUnknownKey, so that
// their browsers connect to another node. Reload returns when the kill switches of added
// clients were read, or after a second.
func (h *Hub) Reload(r Reloadable) {
	h.current.Store(newCurrent(r))
	h.waiters.scheduleSoon(nil, 0)
	h.switches.readAdded(r.Clients)
}

// hasClient reports whether this node serves the client.
func (c *current) hasClient(client string) bool { return c.Clients == nil || c.knownClients[client] }
