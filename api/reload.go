package api

import (
	"github.com/labstack/echo/v4"

	"loginhub/api/qr"
	"loginhub/api/ratelimit"
	"loginhub/api/token"
	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// Reloadable is the part of a Config that Server.Reload replaces at run time.
// It must not be changed after it was passed to a Server.
type Reloadable struct {
	Signer    *token.Signer
	Clients   []*client.Client // the login page uses the first if the request names none
	Providers map[string]Provider
	// The login methods of clients that are not in LoginMethods; see type
	// LoginMethods.
	QR               string
	MiniProgramCodes MiniProgramCodes
	LaunchURL        string
	WebLogin         RedirectProvider
	LoginMethods     map[string]LoginMethods // by client id; each is complete
	QRLogo           *qr.Logo                // nil: none
	Sandbox          bool                    // /s/ serves the phone of the sandbox
}

// activeConfig is a Reloadable in use, with its indexes. A request loads it
// once at its start (Server.pinConfig) and uses it to its end.
type activeConfig struct {
	Reloadable
	publicURL     string // the public URL
	clients       map[string]*client.Client
	ownOrigins    map[string]bool // of the hub's own page
	providerSlots ratelimit.Slots
}

// Reload replaces the Reloadable for all requests that start from now on.
func (s *Server) Reload(r Reloadable) {
	c := &activeConfig{Reloadable: r, publicURL: s.PublicURL, clients: map[string]*client.Client{}, ownOrigins: map[string]bool{s.PublicURL: true}}
	var previous ratelimit.Slots
	if before := s.active.Load(); before != nil {
		previous = before.providerSlots
	}
	c.providerSlots = ratelimit.NewSlots(previous, r.called()...)
	for _, client := range r.Clients {
		c.clients[client.ID] = client
	}
	for _, origin := range s.OwnOrigins {
		c.ownOrigins[origin] = true
	}
	s.active.Store(c)
}

// Clients returns the current clients.
func (s *Server) Clients() []*client.Client { return s.active.Load().Clients }

// activeConfigKey is the key of the activeConfig in the echo.Context.
const activeConfigKey = "current"

// pinConfig stores the current activeConfig in the request, so that a reload
// does not change it in between.
func (s *Server) pinConfig(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Set(activeConfigKey, s.active.Load())
		return next(c)
	}
}

// activeConfigOf returns the activeConfig of a request.
func activeConfigOf(c echo.Context) *activeConfig { return c.Get(activeConfigKey).(*activeConfig) }

// clientOf returns the ticket's client. ErrUnknownClient means that this node
// does not have it; another node may, while nodes are reloaded one after the
// other.
func (cfg *activeConfig) clientOf(t ticket.Ticket) (*client.Client, error) {
	if client := cfg.clients[t.Client]; client != nil {
		return client, nil
	}
	return nil, ticket.ErrUnknownClient
}

// refuseUnlessUnknown returns refusal, the error of a request that names an
// unknown client or provider. It returns ErrUnknownClient instead if this node
// does not know the ticket's client either: then the node that created the
// ticket knows both.
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
