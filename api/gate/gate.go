package gate

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"loginhub/api/ratelimit"
	"loginhub/api/request"
	"loginhub/hub"
)

// Options configure a gate. All are required unless the comment says
// otherwise.
type Options struct {
	Hub        *hub.Hub
	Log        *slog.Logger
	PublicURL  string
	OwnOrigins []string // further origins of the hub's own page; nil: none
	Limits     *ratelimit.Limits
	Proxies    []netip.Prefix // trusted; nil: none
	// Outcome returns the status and code that answer an error.
	Outcome func(error) (status int, code string)
	// Exchanged observes how long a caller waited for a provider to exchange a code.
	Exchanged func(ctx context.Context, provider string, took time.Duration)
}

// Gate checks what a request has to pass besides the ticket's rules. It is safe
// for concurrent use.
type Gate struct {
	Hub        *hub.Hub
	Log        *slog.Logger
	PublicURL  string
	ownOrigins []string
	Limits     *ratelimit.Limits
	proxies    *request.Proxies
	outcome    func(error) (status int, code string)
	exchanged  func(ctx context.Context, provider string, took time.Duration)
	active     atomic.Pointer[Config]
}

// New returns a gate. The caller must call Reload before its first request.
func New(o Options) *Gate {
	return &Gate{Hub: o.Hub, Log: o.Log, PublicURL: o.PublicURL, ownOrigins: o.OwnOrigins, Limits: o.Limits,
		proxies: request.NewProxies(o.Proxies, o.Log), outcome: o.Outcome, exchanged: o.Exchanged}
}
