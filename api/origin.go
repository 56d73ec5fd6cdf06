package api

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
)

// cors lets a page of any origin read why it was refused. The handlers send data
// only after allowsOrigin has accepted the origin for the ticket's client.
func (s *Server) cors(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		crossOrigin(c)
		return next(c)
	}
}

// originText matches what a browser sends as Origin, but not "null": sandboxed
// frames of every site share it.
var originText = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://[^\s"',;<>\\]{0,300}$`)

// crossOrigin sets the CORS headers of an answer. It reports whether the page
// may read the answer.
func crossOrigin(c echo.Context) bool {
	h := c.Response().Header()
	h.Add("Vary", "Origin")
	origins := c.Request().Header.Values("Origin")
	if len(origins) != 1 || !originText.MatchString(origins[0]) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origins[0])
	h.Set("Access-Control-Expose-Headers", "Retry-After")
	return true
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

// preflight is OPTIONS. It permits the request of every origin but "null", because
// a page cannot read a refused preflight. The request itself is refused. Without
// an Origin it is no browser's request, and is answered as well.
func (s *Server) preflight(c echo.Context) error {
	if !crossOrigin(c) && len(c.Request().Header.Values("Origin")) > 0 {
		return gate.ErrOrigin
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

const (
	maxRefusedOrigins = 100 // then the log is quiet, because strangers choose the names
)

// refusedOrigins logs each refused origin once: the developer of a site looks
// there for the reason. The audit log has a line for each refusal.
type refusedOrigins struct {
	mu   sync.Mutex
	seen map[gate.OriginError]bool
}

func (o *refusedOrigins) log(ctx context.Context, to *slog.Logger, refused gate.OriginError) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen[refused] || len(o.seen) >= maxRefusedOrigins {
		return
	}
	o.seen[refused] = true
	to.WarnContext(ctx, "a page was refused: its origin is not on the client's list; add it to origins in the clients file",
		"code", "origin_not_allowed", "origin", refused.Origin, "client", refused.Client)
}
