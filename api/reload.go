package api

import (
	"github.com/labstack/echo/v4"

	"loginhub/api/token"
	"loginhub/hub/ticket"
)

// Reloadable is the part of a Config that Reload replaces while the node runs. It
// does not change once a Server has it.
type Reloadable struct {
	Signer    *token.Signer
	Clients   []*ticket.Client // the first is the login page's if none is named
	Providers map[string]Provider
	// The deployment's own Site, for clients that are not in Sites; see there.
	QR               string
	MiniProgramCodes MiniProgramCodes
	LaunchURL        string
	WebLogin         RedirectProvider
	LoginMethods     map[string]LoginMethods // complete, by client id
	QRLogo           *Logo                   // nil: none
	Sandbox          bool                    // /s/ is the sandbox's phone
}

// activeConfig is a Reloadable in use. A request finds it once, at its beginning
// (Server.resolve), and keeps it to its end.
type activeConfig struct {
	Reloadable
	publicURL     string // the public URL
	clients       map[string]*ticket.Client
	origins       map[string]bool // on any client's list
	providerSlots slots
}

// Reload replaces what the server has of a Reloadable, for every request that
// begins from now on.
func (s *Server) Reload(r Reloadable) {
	c := &activeConfig{Reloadable: r, publicURL: s.PublicURL, clients: map[string]*ticket.Client{}, origins: map[string]bool{}}
	var previous slots
	if before := s.active.Load(); before != nil {
		previous = before.providerSlots
	}
	c.providerSlots = newSlots(r, previous)
	for _, client := range r.Clients {
		c.clients[client.ID] = client
		for _, origin := range client.Origins {
			c.origins[origin] = true
		}
	}
	s.active.Store(c)
}

// Clients are the clients that the node has now.
func (s *Server) Clients() []*ticket.Client { return s.active.Load().Clients }

const activeConfigKey = "current"

// pinConfig gives the request what is in force at its beginning.
func (s *Server) pinConfig(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Set(activeConfigKey, s.active.Load())
		return next(c)
	}
}

// activeConfigOf is what the request goes by.
func activeConfigOf(c echo.Context) *activeConfig { return c.Get(activeConfigKey).(*activeConfig) }

// clientOf finds a ticket's client. ErrUnknownClient: this node does not have it,
// and another may, while nodes are reloaded one after the other.
func (cfg *activeConfig) clientOf(t ticket.Ticket) (*ticket.Client, error) {
	if client := cfg.clients[t.Client]; client != nil {
		return client, nil
	}
	return nil, ticket.ErrUnknownClient
}

// refuseUnlessUnknown is the refusal of a request that names what this node does not have,
// or ErrUnknownClient if its ticket is of a client that this node does not have: the
// node that made the ticket has both.
func (s *Server) refuseUnlessUnknown(c echo.Context, id ticket.ID, refusal error) error {
	t, err := s.Hub.Get(c.Request().Context(), id)
	if err != nil {
		return refusal
	}
	if _, err = activeConfigOf(c).clientOf(t); err != nil {
		return err
	}
	return refusal
}

// clientByID is hub.Call's Client, of tickets that were admitted.
func (cfg *activeConfig) clientByID(id string) *ticket.Client { return cfg.clients[id] }
