package api

import (
	"log/slog"
	"net/netip"
	"sync/atomic"

	"loginhub/api/ratelimit"
	"loginhub/api/request"
	"loginhub/hub"
)

// gateOptions configure a gate. All are required unless the comment says
// otherwise.
type gateOptions struct {
	Hub        *hub.Hub
	Log        *slog.Logger
	PublicURL  string
	OwnOrigins []string // further origins of the hub's own page; nil: none
	Limits     *ratelimit.Limits
	Proxies    []netip.Prefix // trusted; nil: none
	// Outcome returns the status and code that answer an error.
	Outcome func(error) (status int, code string)
}

// gate checks what a request has to pass besides the ticket's rules. It is safe
// for concurrent use.
type gate struct {
	hub        *hub.Hub
	log        *slog.Logger
	publicURL  string
	ownOrigins []string
	limits     *ratelimit.Limits
	proxies    *request.Proxies
	outcome    func(error) (status int, code string)
	active     atomic.Pointer[activeConfig]
}

// newGate returns a gate. The caller must call Reload before its first request.
func newGate(o gateOptions) *gate {
	return &gate{hub: o.Hub, log: o.Log, publicURL: o.PublicURL, ownOrigins: o.OwnOrigins, limits: o.Limits,
		proxies: request.NewProxies(o.Proxies, o.Log), outcome: o.Outcome}
}
