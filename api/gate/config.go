package gate

import (
	"cmp"
	"maps"

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
	Providers map[string]provider.Exchanger
	// The login methods of clients that are not in LoginMethods; see type
	// LoginMethods.
	QR           string
	Pictures     provider.Pictures
	LaunchURL    string
	LaunchBy     string
	Listed       []*provider.Provider
	LoginMethods map[string]LoginMethods // by client id; each is complete
	QRLogo       *qr.Logo                // nil: none
	Kinds        []provider.Kind         // all that exist, to name the app that opened a link
	Sandbox      bool                    // /s/ serves the phone of the sandbox
}

// Config is a Reloadable in use, with its indexes. A request loads it
// once at its start (pin) and uses it to its end.
type Config struct {
	Reloadable
	publicURL     string // the public URL
	ClientByID    map[string]*client.Client
	ownOrigins    map[string]bool // of the hub's own page
	ProviderSlots ratelimit.Slots
	methods       map[string]LoginMethods // LoginMethods with all fields, and "" for the deployment
	scanWith      map[string][]string     // by client
}

// Reload replaces the Reloadable for all requests that start from now on.
func (g *Gate) Reload(r Reloadable) {
	c := &Config{Reloadable: r, publicURL: g.PublicURL, ClientByID: map[string]*client.Client{}, ownOrigins: map[string]bool{g.PublicURL: true}}
	var previous ratelimit.Slots
	if before := g.active.Load(); before != nil {
		previous = before.ProviderSlots
	}
	c.ProviderSlots = ratelimit.NewSlots(previous, r.called()...)
	for _, client := range r.Clients {
		c.ClientByID[client.ID] = client
	}
	c.methods = map[string]LoginMethods{"": {QR: r.QR, Pictures: r.Pictures, LaunchURL: r.LaunchURL, Providers: r.Providers, LaunchBy: r.LaunchBy, Listed: r.Listed}}
	maps.Copy(c.methods, r.LoginMethods)
	for id, methods := range c.methods {
		methods.QR = cmp.Or(methods.QR, g.PublicURL+"/s/{ticket}")
		c.methods[id] = methods
	}
	for _, origin := range g.ownOrigins {
		c.ownOrigins[origin] = true
	}
	c.scanWith = map[string][]string{}
	for _, site := range r.Clients {
		c.scanWith[site.ID] = c.appsOf(site)
	}
	g.active.Store(c)
}

// Current returns the current Config, for work outside of a request.
func (g *Gate) Current() *Config { return g.active.Load() }

// Clients returns the current clients.
func (g *Gate) Clients() []*client.Client { return g.active.Load().Clients }

// pinned is the echo.Context of a request with what is resolved once.
type pinned struct {
	echo.Context
	cfg  *Config
	from request.Addr
	has  bool // from; it is not needed before
}

// Pin stores the current Config in the request, so that a reload does not
// change it in between.
func (g *Gate) Pin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error { return next(&pinned{Context: c, cfg: g.active.Load()}) }
}

// ConfigOf returns the Config of a request.
func ConfigOf(c echo.Context) *Config { return c.(*pinned).cfg }

// Addr returns the address that a request comes from. It is resolved at the
// first use, so that a health check without a forwarding header logs nothing.
func (g *Gate) Addr(c echo.Context) request.Addr {
	p := c.(*pinned)
	if !p.has {
		p.from, p.has = g.proxies.Addr(c.Request()), true
	}
	return p.from
}

// ClientOf returns the ticket's client. ErrUnknownClient means that this node
// does not have it; another node may, while nodes are reloaded one after the
// other.
func (cfg *Config) ClientOf(t ticket.Ticket) (*client.Client, error) {
	if client := cfg.ClientByID[t.Client]; client != nil {
		return client, nil
	}
	return nil, ticket.ErrUnknownClient
}

// RefuseUnlessUnknown returns refusal, the error of a request that names an
// unknown client or provider. It returns ErrUnknownClient instead if this node
// does not know the ticket's client either: then the node that created the
// ticket knows both.
func (g *Gate) RefuseUnlessUnknown(c echo.Context, id ticket.ID, refusal error) error {
	t, err := g.Hub.Get(c.Request().Context(), id)
	if err != nil {
		return refusal
	}
	if _, err = ConfigOf(c).ClientOf(t); err != nil {
		return err
	}
	return refusal
}
