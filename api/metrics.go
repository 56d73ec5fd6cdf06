package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// Metrics receives the events that the api counts. Its methods are called from
// many goroutines and must not block. All strings are from fixed sets, so the
// number of label values is bounded.
type Metrics interface {
	// ObserveRequest reports one request: the route's pattern ("other" for
	// none), the status class such as "4xx", and its duration. The duration of
	// a long poll includes its wait; that of a socket (1xx) ends at the
	// upgrade.
	ObserveRequest(route, class string, took time.Duration)
	// IncLimited reports one hit on a limit; limit is one of Limits.
	IncLimited(limit string)
}

// The names of the limits. See limits.go, ticketlimit.go, codeguard.go,
// wxacode.go and renderlimit.go.
const (
	limitRequests            = "requests"
	limitTickets             = "tickets"
	limitTicketsNetwork      = "tickets_network" // of an IPv6 /48
	limitTicketsNode         = "tickets_node"    // of all addresses
	limitPhones              = "phones"
	limitRefusedCodes        = "refused_auth_codes"         // of an address, by provider
	limitRefusedCodesNetwork = "refused_auth_codes_network" // of an IPv6 /48
	limitRefusedCodesTicket  = "refused_auth_codes_ticket"  // of an address, by ticket
	limitUsers               = "users"
	limitRefused             = "refused_calls"
	limitWrong               = "wrong_matches"
	limitWebLogins           = "website_logins"
	limitWxacodes            = "wxacodes" // calls for mini-program codes: the link is shown instead
	limitWaiters             = "waiters"
	limitCalls               = "provider_calls" // maxProviderCalls concurrent calls to one provider: 503, not 429
	limitQRRenders           = "qr_renders"     // concurrent renderings of QR codes on this node: 503
)

// Limits returns the names of all limits.
func Limits() []string {
	return []string{limitRequests, limitTickets, limitTicketsNetwork, limitTicketsNode, limitPhones,
		limitRefusedCodes, limitRefusedCodesNetwork, limitRefusedCodesTicket, limitUsers, limitRefused, limitWrong, limitWebLogins,
		limitWxacodes, limitWaiters, limitCalls, limitQRRenders}
}

// instrumentLimits makes every limit count its hits in the metrics.
func (s *Server) instrumentLimits() {
	count := func(limit string) func() { return func() { s.countLimitHit(limit) } }
	s.limits.requests.onReject = count(limitRequests)
	s.limits.phones.onReject = count(limitPhones)
	s.limits.users.onReject = count(limitUsers)
	s.limits.refusedCalls.onReject = count(limitRefused)
	s.limits.wrongMatches.onReject = count(limitWrong)
	s.ticketLimiter.addresses.onReject = count(limitTickets)
	s.ticketLimiter.networks.onReject = count(limitTicketsNetwork)
	s.ticketLimiter.node.onReject = count(limitTicketsNode)
	s.codeGuard.addresses.onReject = count(limitRefusedCodes)
	s.codeGuard.networks.onReject = count(limitRefusedCodesNetwork)
	s.codeGuard.tickets.onReject = count(limitRefusedCodesTicket)
	s.webLoginLimiter.onReject = count(limitWebLogins)
	s.wxacodeLimiter.onReject = count(limitWxacodes)
	s.waiterLimiter.onReject = count(limitWaiters)
	s.renderLimiter.onReject = count(limitQRRenders)
}

// countLimitHit counts one hit on a limit.
func (s *Server) countLimitHit(limit string) {
	if s.Metrics != nil {
		s.Metrics.IncLimited(limit)
	}
}

// classes are the status classes by first digit.
var classes = [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}

// metricsMiddleware observes requests. It is outside of the other middleware,
// so that it sees the final status.
func (s *Server) metricsMiddleware(next echo.HandlerFunc) echo.HandlerFunc {
	if s.Metrics == nil {
		return next
	}
	return func(c echo.Context) error {
		start := time.Now()
		err := next(c)
		if err != nil {
			c.Error(err) // answers with the error; no other middleware may answer it again
		}
		route, status := c.Path(), c.Response().Status
		if route == "" {
			route = "other"
		}
		if err == nil && !c.Response().Committed {
			status = http.StatusSwitchingProtocols // the connection was hijacked for a socket
		}
		s.Metrics.ObserveRequest(route, classes[min(max(status/100, 0), 5)], time.Since(start))
		return nil
	}
}
