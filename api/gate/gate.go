package gate

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"loginhub/api/geoip"
	"loginhub/api/notify"
	"loginhub/api/ratelimit"
	"loginhub/api/request"
	"loginhub/hub"
	"loginhub/hub/client"
)

// Options configure a gate. All are required unless the comment says
// otherwise.
type Options struct {
	Hub        *hub.Hub
	Log        *slog.Logger
	PublicURL  string
	OwnOrigins []string // further origins of the hub's own page; nil: none
	Limits     *ratelimit.Limits
	Proxies    []netip.Prefix   // trusted; nil: none
	Places     *geoip.DB        // of addresses; nil: none is known
	States     StateStore       // nil: no login can be disputed
	Notifier   *notify.Notifier // nil: nothing is reported
	// Outcome returns the status and code that answer an error.
	Outcome func(error) (status int, code string)
	// Exchanged observes how long a caller waited for a provider to exchange a code.
	Exchanged func(ctx context.Context, provider string, took time.Duration)
}

// Gate checks what a request has to pass besides the ticket's rules. It is safe
// for concurrent use.
type Gate struct {
	Hub       *hub.Hub
	Log       *slog.Logger
	PublicURL string
	// EndSession ends a login at its site, if the site uses OpenID: with its sid, or, for a
	// login without one, all logins of the user if the site takes logout tokens. Set it
	// before the first request; nil: no site does.
	EndSession func(ctx context.Context, site *client.Client, sub, sid string) error
	states     StateStore
	ownOrigins []string
	Limits     *ratelimit.Limits
	proxies    *request.Proxies
	places     *geoip.DB
	notifier   *notify.Notifier
	notices    notices
	outcome    func(error) (status int, code string)
	exchanged  func(ctx context.Context, provider string, took time.Duration)
	active     atomic.Pointer[Config]
}

// New returns a gate. The caller must call Reload before its first request.
func New(o Options) *Gate {
	g := &Gate{Hub: o.Hub, Log: o.Log, PublicURL: o.PublicURL, states: o.States, ownOrigins: o.OwnOrigins, Limits: o.Limits,
		proxies: request.NewProxies(o.Proxies, o.Log), places: o.Places, notifier: o.Notifier, outcome: o.Outcome, exchanged: o.Exchanged}
	g.notices.gate = g
	return g
}

// Places returns the database of places; nil if there is none, which knows no address.
func (g *Gate) Places() *geoip.DB { return g.places }
