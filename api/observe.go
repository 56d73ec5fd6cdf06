package api

import (
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/labstack/echo/v4"

	"loginhub/hub/trace"
)

// requestIDHeader has the request's id in every answer.
const requestIDHeader = "X-Request-Id"

// observe gives the request its id and reports its end: to the metrics, its trace and the
// access log. It is outside of the other middleware, so that it sees the final status.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		parent := "" // more than one is as malformed as a bad one
		if all := r.Header["Traceparent"]; len(all) == 1 {
			parent = all[0]
		}
		req := s.tracer.Request(r.Context(), parent)
		c.SetRequest(r.WithContext(req))
		c.Response().Header()[requestIDHeader] = req.Header()
		err := next(c)
		if err != nil {
			s.handleError(err, c) // no other middleware may answer it again
		}
		route, status := c.Path(), c.Response().Status
		if route == "" {
			route = "other"
		}
		if err == nil && !c.Response().Committed {
			status = http.StatusSwitchingProtocols // the connection was hijacked for a socket
		}
		s.metrics.ObserveRequest(req, route, classes[min(max(status/100, 0), 5)], time.Since(req.Start))
		code := ""
		if err != nil {
			_, code = outcome(err)
		}
		if s.access.Log != nil {
			s.access.write(c, req, s.gate.Addr(c).AuditAddr, access{route, status, code})
		}
		req.End(method(r), route, status, code)
		return nil
	}
}

// methods are the methods that are named as they are.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions, http.MethodPut, http.MethodPatch, http.MethodDelete}

// method returns the request's method, or "other": anyone can invent one.
func method(r *http.Request) string {
	if slices.Contains(methods, r.Method) {
		return r.Method
	}
	return "other"
}

// AccessLog is the log of requests. It has no value of a path or query, because there may be
// secrets and codes.
type AccessLog struct {
	Log *slog.Logger // nil: no access log
	// Share is the share of requests that are logged, from 0 to 1. An answer of 500 or
	// more always is.
	Share float64
}

// access is how a request ended.
type access struct {
	route  string // pattern
	status int
	code   string // of the error; "" for none
}

// maxUserAgent bounds the User-Agent in a line, in bytes.
const maxUserAgent = 256

// write writes the line of a request. Health checks have none.
func (l AccessLog) write(c echo.Context, req *trace.Request, from netip.Addr, a access) {
	if a.status < 500 && rand.Float64() >= l.Share || a.route == "/healthz" || a.route == "/readyz" {
		return
	}
	fields := make([]slog.Attr, 0, 12)
	text := func(key, value string) {
		if value != "" {
			fields = append(fields, slog.String(key, value))
		}
	}
	text("method", method(c.Request()))
	text("route", a.route)
	fields = append(fields, slog.Int("status", a.status), slog.Int64("bytes", c.Response().Size), slog.Duration("took", time.Since(req.Start)))
	text("code", a.code)
	text("client", req.Client)
	if from.IsValid() {
		text("addr", from.String())
	}
	agent := c.Request().UserAgent()
	text("user_agent", strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return -1
	}, agent[:min(len(agent), maxUserAgent)]))
	l.Log.LogAttrs(req, slog.LevelInfo, "access", fields...)
}
