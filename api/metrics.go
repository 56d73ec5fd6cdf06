package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// Metrics hears what the edge does, for the metrics. Its methods are called from
// many goroutines and do not block. Every word they get is one of ours.
type Metrics interface {
	// ObserveRequest is one request: the route's pattern ("other" for none of ours),
	// the status's class, such as "4xx", and how long it took, a long poll with
	// its wait, a socket (1xx) up to its upgrade.
	ObserveRequest(route, class string, took time.Duration)
	// IncLimited is one hit on a limit, by one of Limits' names.
	IncLimited(limit string)
}

// The limits' names (limits.go, ticketlimit.go, codeguard.go, wxacode.go, renderlimit.go).
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
	limitWxacodes            = "wxacodes" // of mini-program codes: the link is shown instead
	limitWaiters             = "waiters"
	limitCalls               = "provider_calls" // maxCalls at once to one of them: 503 in place of 429
	limitDrawings            = "qr_renders"     // of codes, at once on this node: 503
)

// Limits are all limits' names.
func Limits() []string {
	return []string{limitRequests, limitTickets, limitTicketsNetwork, limitTicketsNode, limitPhones,
		limitRefusedCodes, limitRefusedCodesNetwork, limitRefusedCodesTicket, limitUsers, limitRefused, limitWrong, limitWebLogins,
		limitWxacodes, limitWaiters, limitCalls, limitDrawings}
}

// instrumentLimits has every limit tell the meter of its hits.
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
	s.renderLimiter.onReject = count(limitDrawings)
}

func (s *Server) countLimitHit(limit string) {
	if s.Metrics != nil {
		s.Metrics.IncLimited(limit)
	}
}

// classes of statuses, by their first digit.
var classes = [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}

// metricsMiddleware stands around everything else, so that it sees the answer as it left.
func (s *Server) metricsMiddleware(next echo.HandlerFunc) echo.HandlerFunc {
	if s.Metrics == nil {
		return next
	}
	return func(c echo.Context) error {
		start := time.Now()
		err := next(c)
		if err != nil {
			c.Error(err) // answered here; nobody answers it again
		}
		route, status := c.Path(), c.Response().Status
		if route == "" {
			route = "other"
		}
		if err == nil && !c.Response().Committed {
			status = http.StatusSwitchingProtocols // the hub has taken the connection over
		}
		s.Metrics.ObserveRequest(route, classes[min(max(status/100, 0), 5)], time.Since(start))
		return nil
	}
}
