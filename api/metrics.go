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
	// IncLimited reports one hit on a limit; limit is one of ratelimit.Names.
	IncLimited(limit string)
	// IncLogoutToken reports the end of a logout token's delivery; result is one of
	// oidc.LogoutResults.
	IncLogoutToken(result string)
}

// countLimitHit counts one hit on a limit.
func (s *Server) countLimitHit(limit string) {
	if s.metrics != nil {
		s.metrics.IncLimited(limit)
	}
}

// classes are the status classes by first digit.
var classes = [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}

// metricsMiddleware observes requests. It is outside of the other middleware,
// so that it sees the final status.
func (s *Server) metricsMiddleware(next echo.HandlerFunc) echo.HandlerFunc {
	if s.metrics == nil {
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
		s.metrics.ObserveRequest(route, classes[min(max(status/100, 0), 5)], time.Since(start))
		return nil
	}
}
