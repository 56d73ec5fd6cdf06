package api

import (
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"loginhub/frontend"
	"loginhub/hub"
)

// Config is what a Server is made of. Every field is needed unless it says
// otherwise.
type Config struct {
	Hub        *hub.Hub
	Reloadable Reloadable // at first
	PublicURL  string     // without a trailing slash
	Vault      Vault      // needed for a Website
	QRLevel    string     // L, M ("" too), Q or H
	// VerifyName is a file below /s/ with the text VerifyText: WeChat's check
	// of the ordinary-link rule. "" for none.
	VerifyName, VerifyText string
	TrustedProxies         []netip.Prefix // whose X-Forwarded-For is believed; none by default
	RateLimit              int            // new tickets per minute and address, and all else by it (throttle.go); 0: no limit
	Seats                  int            // sockets and polls that wait from one address; 0: no limit
	Log                    *slog.Logger
	Meter                  Meter // nil: nobody hears
}

// Server answers HTTP. It is safe for concurrent use.
type Server struct {
	Config
	current   atomic.Pointer[current]
	proxies   *proxies
	making    *ticketLimiter
	drawing   *limiter // of mini-program codes
	visiting  *limiter // of WeChat's website login
	suns      *suns
	easel     *easel
	throttle  *throttle
	seats     *seats
	codes     *codeGuard
	templates *template.Template
	router    *echo.Echo
}

// New makes the server of one node.
func New(c Config) (*Server, error) {
	s := &Server{Config: c, proxies: newProxies(c.TrustedProxies, c.Log), making: newTicketLimiter(c.RateLimit),
		drawing: newLimiter(c.RateLimit), visiting: newLimiter(c.RateLimit), suns: newSuns(), easel: newEasel(runtime.GOMAXPROCS(0)),
		throttle: newThrottle(c.RateLimit), seats: newSeats(c.Seats), codes: newCodeGuard(c.RateLimit)}
	s.count()
	s.Reload(c.Reloadable)
	var err error
	if s.templates, err = frontend.Templates(); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	if s.router, err = s.routes(); err != nil {
		return nil, err
	}
	return s, nil
}

// ServeHTTP is the public listener's.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.router.ServeHTTP(w, r) }

// one is a ticket's own path.
const one = "/api/login/tickets/:ticket"

// crossOriginPaths are what pages of other origins call: only there is a
// preflight.
var crossOriginPaths = []string{"/api/login/tickets", one + "/ws", one + "/poll", one + "/ack"}

// routes is every route that there is.
func (s *Server) routes() (*echo.Echo, error) {
	assets, err := newAssets(frontend.FS())
	if err != nil {
		return nil, err
	}
	doc, err := documents()
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.HTTPErrorHandler = s.answer
	e.Use(s.resolve, s.measure, s.guard, s.general, methods)

	read := []string{http.MethodGet, http.MethodHead}
	e.Match(read, "/", s.page)
	e.Match(read, "/s/:ticket", s.landing)
	e.Match(read, "/s/:ticket/", s.landing) // some scanners and link shorteners add the slash
	e.Match(read, "/assets/*", assets.serve)
	e.Match(read, "/.well-known/jwks.json", s.jwks)
	e.Match(read, "/healthz", s.alive)
	e.Match(read, "/readyz", s.ready)
	e.Match(read, "/openapi.yaml", doc.yaml.serve)
	e.Match(read, "/openapi.json", doc.json.serve)
	e.Match(read, "/docs", s.docs)

	// Not by a Group: echo's answers every other method on these paths, and on
	// all others, with 404 in place of 405.
	e.POST("/api/login/tickets", s.makeTicket, s.cors)
	e.GET(one+"/ws", s.socket, s.cors)
	e.GET(one+"/poll", s.poll, s.cors)
	e.POST(one+"/ack", s.ack, s.cors)
	for _, path := range crossOriginPaths {
		e.OPTIONS(path, s.preflight, s.cors)
	}
	e.Match(read, one+"/qr.svg", s.qrSVG)
	e.Match(read, one+"/qr.png", s.qrPNG)

	e.POST(one+"/scan", s.scan)
	e.POST(one+"/confirm", s.confirm)
	e.POST(one+"/reject", s.reject)

	e.POST(connectPath, s.qrconnect)
	e.GET(callbackPath, s.callback) // no HEAD: it spends the state
	return e, nil
}

// guard stands around every request: headers that all answers carry, and panics.
func (s *Server) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		h := c.Response().Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		if strings.HasPrefix(c.Request().URL.Path, "/api/") {
			h.Set("Cache-Control", "no-store")
		}
		// Decided when the answer leaves: a poll may have waited until now. The
		// load balancer, or the page, then looks for another node.
		c.Response().Before(func() {
			if s.Hub.Draining() {
				h.Set("Connection", "close")
			}
		})
		if strings.HasPrefix(s.PublicURL, "https://") {
			h.Set("Strict-Transport-Security", hsts)
		}
		boundBody(c)
		defer func() {
			if p := recover(); p != nil {
				err = newPanic(p)
			}
		}()
		return next(c)
	}
}
