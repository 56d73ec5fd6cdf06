package api

import (
	"github.com/labstack/echo/v4"

	"loginhub/api/qr"
	"loginhub/api/ratelimit"
	"loginhub/api/request"
	"loginhub/api/token"
	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// Reloadable is the part of a Config that Reload replaces at run time.
// It must not be changed after it was passed to it.
type Reloadable struct {
	Signer    *token.Signer
	Clients   []*client.Client // the login page uses the first if the request names none
	Providers map[string]Provider
	// The login methods of clients that are not in LoginMethods; see type
	// LoginMethods.
	QR               string
	MiniProgramCodes MiniProgramCodes
	LaunchURL        string
	LaunchBy         string
	Redirects        []*provider.Provider
	LoginMethods     map[string]LoginMethods // by client id; each is complete
	QRLogo           *qr.Logo                // nil: none
	Sandbox          bool                    // /s/ serves the phone of the sandbox
}

// activeConfig is a Reloadable in use, with its indexes. A request loads it
// once at its start (pin) and uses it to its end.
type activeConfig struct {
	Reloadable
	publicURL     string // the public URL
	clients       map[string]*client.Client
	ownOrigins    map[string]bool // of the hub's own page
	providerSlots ratelimit.Slots
}

// Reload replaces the Reloadable for all requests that start from now on.
func (g *gate) Reload(r Reloadable) {
	c := &activeConfig{Reloadable: r, publicURL: g.publicURL, clients: map[string]*client.Client{}, ownOrigins: map[string]bool{g.publicURL: true}}
	var previous ratelimit.Slots
	if before := g.active.Load(); before != nil {
		previous = before.providerSlots
	}
	c.providerSlots = ratelimit.NewSlots(previous, r.called()...)
	for _, client := range r.Clients {
		c.clients[client.ID] = client
	}
	for _, origin := range g.ownOrigins {
		c.ownOrigins[origin] = true
	}
	g.active.Store(c)
}

// Clients returns the current clients.
func (g *gate) Clients() []*client.Client { return g.active.Load().Clients }

// contextKey is the key of the incoming in the echo.Context.
const contextKey = "incoming"

// incoming is what is resolved once per request.
type incoming struct {
	cfg  *activeConfig
	from *request.Addr // nil: not needed yet
}

// pin stores the current activeConfig in the request, so that a reload does not
// change it in between.
func (g *gate) pin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Set(contextKey, &incoming{cfg: g.active.Load()})
		return next(c)
	}
}

// activeConfigOf returns the activeConfig of a request.
func activeConfigOf(c echo.Context) *activeConfig { return c.Get(contextKey).(*incoming).cfg }

// addr returns the address that a request comes from. It is resolved at the
// first use, so that a health check without a forwarding header logs nothing.
func (g *gate) addr(c echo.Context) request.Addr {
	in := c.Get(contextKey).(*incoming)
	if in.from == nil {
		from := g.proxies.Addr(c.Request())
		in.from = &from
	}
	return *in.from
}

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
func (g *gate) refuseUnlessUnknown(c echo.Context, id ticket.ID, refusal error) error {
	t, err := g.hub.Get(c.Request().Context(), id)
	if err != nil {
		return refusal
	}
	if _, err = activeConfigOf(c).clientOf(t); err != nil {
		return err
	}
	return refusal
}
