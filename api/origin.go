package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"loginhub/hub"
	"loginhub/hub/ticket"
)

// cors lets pages of allowed origins read the answers, errors included. Whether
// the origin may use this ticket is decided later, by the list of the ticket's
// client.
func (s *Server) cors(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		s.crossOrigin(c)
		return next(c)
	}
}

// crossOrigin sets the CORS headers of an answer.
func (s *Server) crossOrigin(c echo.Context) {
	h := c.Response().Header()
	h.Add("Vary", "Origin")
	if origin := c.Request().Header.Get("Origin"); origin != "" && activeConfigOf(c).origins[origin] {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "Retry-After")
	}
}

// allowedHeaders are those that the hub reads, and those that tracing libraries
// add to every request of a site's page. The hub ignores the latter, but
// without them in this list the browser would block the request. Browsers
// compare names without case (Fetch standard, section 4.8).
const allowedHeaders = "Authorization, Content-Type, " +
	"traceparent, tracestate, baggage, " + // W3C, OpenTelemetry
	"sentry-trace, newrelic, elastic-apm-traceparent, uber-trace-id, sw8, x-honeycomb-trace, x-dtpc, " +
	"b3, x-b3-traceid, x-b3-spanid, x-b3-parentspanid, x-b3-sampled, x-b3-flags, " + // Zipkin
	"x-datadog-trace-id, x-datadog-parent-id, x-datadog-origin, x-datadog-sampling-priority, x-datadog-tags, " +
	"x-amzn-trace-id, x-cloud-trace-context, request-id, request-context, " + // AWS, Google, Azure
	"eagleeye-traceid, eagleeye-sessionid, eagleeye-pappname, " + // Alibaba
	"x-request-id, x-correlation-id, x-trace-id"

// preflight is OPTIONS: it permits the request if the origin is on the list of
// any client.
func (s *Server) preflight(c echo.Context) error {
	if !activeConfigOf(c).origins[c.Request().Header.Get("Origin")] {
		return errOrigin
	}
	h := c.Response().Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", allowedHeaders)
	h.Set("Access-Control-Max-Age", "600")
	return c.NoContent(http.StatusNoContent)
}

// methodNotAllowed answers a wrong method with 405. echo itself answers OPTIONS
// on every route with 204, and lists it in Allow.
func methodNotAllowed(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		allow, refused := c.Get(echo.ContextKeyHeaderAllow).(string)
		if !refused {
			return next(c)
		}
		if !slices.Contains(crossOriginPaths, c.Path()) {
			allow = strings.TrimPrefix(allow, "OPTIONS, ")
		}
		c.Response().Header().Set("Allow", allow)
		return errMethod
	}
}

// checkOrigin returns a check of the request's origin against the list of the
// ticket's client.
func (s *Server) checkOrigin(c echo.Context) func(ticket.Ticket) error {
	return func(t ticket.Ticket) error {
		client, err := activeConfigOf(c).clientOf(t)
		if err == nil && !originAllowed(client, c.Request()) {
			err = errOrigin
		}
		return err
	}
}

// browser returns the request's browser with its check authorize.
func (s *Server) browser(c echo.Context, authorize func(ticket.Ticket) error) hub.Browser {
	return hub.Browser{Authorize: authorize, Addr: s.proxies.clientAddr(c.Request()).auditAddr}
}

// originAllowed reports whether the client allows every Origin header of the
// request. A request without one is not a cross-site request of a browser and
// is allowed.
func originAllowed(client *ticket.Client, r *http.Request) bool {
	for _, origin := range r.Header.Values("Origin") {
		if origin == "" || !client.AllowsOrigin(origin) {
			return false
		}
	}
	return true
}
