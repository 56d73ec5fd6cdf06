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
	StateStore StateStore // needed for a Website
	QRLevel    string     // L, M ("" too), Q or H
	// VerifyName is a file below /s/ with the text VerifyText: WeChat's check
	// of the ordinary-link rule. "" for none.
	VerifyName, VerifyText string
	TrustedProxies         []netip.Prefix // whose X-Forwarded-For is believed; none by default
	RateLimit              int            // new tickets per minute and address, and all else by it (limits.go); 0: no limit
	MaxWaitersPerAddr      int            // sockets and polls that wait from one address; 0: no limit
	Log                    *slog.Logger
	Metrics                Metrics // nil: nobody hears
}

// Server answers HTTP. It is safe for concurrent use.
type Server struct {
	Config
	active          atomic.Pointer[activeConfig]
	proxies         *proxies
	ticketLimiter   *ticketLimiter
	wxacodeLimiter  *addrLimiter // of mini-program codes
	webLoginLimiter *addrLimiter // of WeChat's website login
	wxacodes        *wxacodeCache
	renderLimiter   *renderLimiter
	limits          *limits
	waiterLimiter   *waiterLimiter
	codeGuard       *codeGuard
	templates       *template.Template
	router          *echo.Echo
}

// New makes the server of one node.
func New(c Config) (*Server, error) {
	s := &Server{Config: c, proxies: newProxies(c.TrustedProxies, c.Log), ticketLimiter: newTicketLimiter(c.RateLimit),
		wxacodeLimiter: newAddrLimiter(c.RateLimit), webLoginLimiter: newAddrLimiter(c.RateLimit), wxacodes: newWxacodeCache(), renderLimiter: newRenderLimiter(runtime.GOMAXPROCS(0)),
		limits: newLimits(c.RateLimit), waiterLimiter: newWaiterLimiter(c.MaxWaitersPerAddr), codeGuard: newCodeGuard(c.RateLimit)}
	s.instrumentLimits()
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

// ticketPath is a ticket's own path.
const ticketPath = "/api/login/tickets/:ticket"

// crossOriginPaths are what pages of other origins call: only there is a
// preflight.
var crossOriginPaths = []string{"/api/login/tickets", ticketPath + "/ws", ticketPath + "/poll", ticketPath + "/ack"}

// routes is every route that there is.
func (s *Server) routes() (*echo.Echo, error) {
	assets, err := newAssets(frontend.FS())
	if err != nil {
		return nil, err
	}
	doc, err := openAPIDocuments()
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.HTTPErrorHandler = s.handleError
	e.Use(s.pinConfig, s.metricsMiddleware, s.baseMiddleware, s.rateLimitMiddleware, methodNotAllowed)

	read := []string{http.MethodGet, http.MethodHead}
	e.Match(read, "/", s.page)
	e.Match(read, "/s/:ticket", s.landing)
	e.Match(read, "/s/:ticket/", s.landing) // some scanners and link shorteners add the slash
	e.Match(read, "/assets/*", assets.serve)
	e.Match(read, "/.well-known/jwks.json", s.jwks)
	e.Match(read, "/healthz", s.healthz)
	e.Match(read, "/readyz", s.readyz)
	e.Match(read, "/openapi.yaml", doc.yaml.serve)
	e.Match(read, "/openapi.json", doc.json.serve)
	e.Match(read, "/docs", s.docs)

	// Not by a Group: echo's answers every other method on these paths, and on
	// all others, with 404 in place of 405.
	e.POST("/api/login/tickets", s.createTicket, s.cors)
	e.GET(ticketPath+"/ws", s.socket, s.cors)
	e.GET(ticketPath+"/poll", s.poll, s.cors)
	e.POST(ticketPath+"/ack", s.ack, s.cors)
	for _, path := range crossOriginPaths {
		e.OPTIONS(path, s.preflight, s.cors)
	}
	e.Match(read, ticketPath+"/qr.svg", s.qrSVG)
	e.Match(read, ticketPath+"/qr.png", s.qrPNG)

	e.POST(ticketPath+"/scan", s.scan)
	e.POST(ticketPath+"/confirm", s.confirm)
	e.POST(ticketPath+"/reject", s.reject)

	e.POST(connectPath, s.qrconnect)
	e.GET(callbackPath, s.callback) // no HEAD: it spends the state
	return e, nil
}

// baseMiddleware stands around every request: headers that all answers carry, and panics.
func (s *Server) baseMiddleware(next echo.HandlerFunc) echo.HandlerFunc {
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
