package api

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/consent"
	"loginhub/api/events"
	"loginhub/api/gate"
	"loginhub/api/geoip"
	"loginhub/api/login"
	"loginhub/api/notify"
	"loginhub/api/oidc"
	"loginhub/api/qr"
	"loginhub/api/ratelimit"
	"loginhub/api/request"
	"loginhub/api/visit"
	"loginhub/api/weblogin"
	"loginhub/frontend"
	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/outbox"
	"loginhub/hub/trace"
)

// Config configures a Server. Every field is required unless its comment says
// otherwise.
type Config struct {
	Hub        *hub.Hub
	Reloadable gate.Reloadable // initial value; Server.Reload replaces it
	PublicURL  string          // without a trailing slash
	// Version is the program's, as in semver.org 2.0; /healthz and the client's package have the same.
	Version string
	// OwnOrigins are further origins under which the hub's own page is opened, such
	// as localhost. They and PublicURL may use every client.
	OwnOrigins []string
	StateStore gate.StateStore // required if a provider has a page of its own, or a client uses OpenID
	QRLevel    string          // error correction level: L, M, Q or H; "" is M
	// RenderLimiter bounds the codes that are drawn at once; nil: half of the cores.
	RenderLimiter *qr.RenderLimiter
	// VerifyName is a file served below /s/ with the content VerifyText:
	// WeChat's ownership check for ordinary-link QR codes. "" for none.
	VerifyName, VerifyText string
	TrustedProxies         []netip.Prefix // peers whose X-Forwarded-For is used; none by default
	Places                 *geoip.DB      // shown to phones with addresses; nil: none. The caller reloads it
	RateLimit              int            // new tickets per minute and address; other limits derive from it (ratelimit.Limits); 0: no limit
	MaxWaitersPerAddr      int            // waiting sockets and polls of one address; 0: no limit
	// Outbox keeps what is reported about logins, and logout tokens, which need it; nil:
	// nothing is. Remember is the longest
	// life of a ticket's record.
	Outbox        outbox.Store
	OutboxMetrics outbox.Metrics // required with Outbox
	Remember      time.Duration
	Log           *slog.Logger
	Access        AccessLog     // zero: none
	Tracer        *trace.Tracer // records the traces of logins; nil: none
	Metrics       Metrics       // nil: no metrics
	// Refused gets the calls that are answered with an error; nil: none. It must not block.
	Refused func(Refusal)
}

// Server is the http.Handler of the public listener. It is safe for concurrent
// use.
type Server struct {
	gate                   *gate.Gate
	login                  *login.Handlers
	oidc                   *oidc.Handlers
	notifier               *notify.Notifier // nil: nothing is reported
	webLogin               *weblogin.Handlers
	consent                *consent.Handlers
	events                 *events.Handlers
	metrics                Metrics
	tracer                 *trace.Tracer
	access                 AccessLog
	refusals               refusals
	version                string // of Config
	verifyName, verifyText string
	refusedOrigins         refusedOrigins
	pages                  *frontend.Pages
	clientPackage          func() (frontend.ClientPackage, error) // made at the first call
	router                 *echo.Echo
	headers, apiHeaders    http.Header // of all answers, and further ones of those under /api/
}

// New returns the server of one node. It fails if the embedded pages, assets or
// API description cannot be read.
func New(c Config) (*Server, error) {
	if c.Metrics == nil {
		c.Metrics = noMetrics{}
	}
	s := &Server{metrics: c.Metrics, version: c.Version, tracer: c.Tracer, access: c.Access, verifyName: c.VerifyName, verifyText: c.VerifyText,
		refusedOrigins: refusedOrigins{seen: map[gate.OriginError]bool{}}}
	s.headers = http.Header{"X-Content-Type-Options": {"nosniff"}, "Referrer-Policy": {"no-referrer"}}
	if strings.HasPrefix(c.PublicURL, "https://") {
		s.headers.Set("Strict-Transport-Security", hsts)
	}
	s.apiHeaders = http.Header{"Cache-Control": {"no-store"}}
	s.notifier = notify.New(notify.Config{Store: c.Outbox, Remember: c.Remember, Tickets: c.Hub, Metrics: oidc.OutboxMetrics{Metrics: c.OutboxMetrics, Logout: c.Metrics}, Log: c.Log,
		Events: &notify.Events{Issuer: c.Hub.Issuer(), Place: func(a netip.Addr) (string, string) {
			place := c.Places.Lookup(a)
			return place.Text("en"), place.Country
		}},
		Others: []notify.Source{&notify.Notices{Place: func(a netip.Addr, lang string) string { return c.Places.Lookup(a).Text(lang) }}}})
	s.gate = gate.New(gate.Options{Hub: c.Hub, Notifier: s.notifier, Log: c.Log, PublicURL: c.PublicURL, OwnOrigins: c.OwnOrigins, Proxies: c.TrustedProxies, States: c.StateStore, Places: c.Places,
		Limits: ratelimit.New(c.RateLimit, c.MaxWaitersPerAddr, c.Metrics.IncLimited), Outcome: outcome, Exchanged: c.Metrics.ObserveExchange})
	s.refusals = refusals{s.gate, c.Refused}
	s.login = login.New(s.gate, c.QRLevel, c.RenderLimiter, func() { c.Metrics.IncLimited(ratelimit.QRRenders) })
	s.oidc = oidc.New(s.gate, oidc.Options{States: c.StateStore, Locales: frontend.Tags(), Page: s.authorizePage, GoOn: s.goOn, Failed: s.authorizeFailed, Device: s.devicePage,
		LogoutPage: s.logoutPage, Notifier: s.notifier, Metrics: c.Metrics})
	s.login.TicketRequest = s.oidc.TicketRequest
	s.gate.EndSession = s.oidc.EndLogin
	s.login.ClientRefused = func(client string) { s.metrics.IncClientRefused(cmp.Or(client, oidc.UnknownClient), "secret") }
	visits := visit.New(s.gate, c.StateStore)
	var err error
	if s.pages, err = frontend.NewPages(); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	s.consent = consent.New(s.gate, consent.Options{Visits: visits, States: c.StateStore, Render: s.render, Messages: s.pages.Catalogue,
		Language: func(c echo.Context) frontend.Language { return languageOf(s.pages, c) }})
	s.events = events.New(s.gate, events.Options{Outcome: outcome, Link: s.consent.Link})
	s.webLogin = weblogin.New(s.gate, weblogin.Options{Visits: visits, Continue: s.goOn, Consent: s.consent.Return,
		Done: func(c echo.Context, confirmed bool) error {
			return s.render(c, http.StatusOK, "weblogin.html", frontend.WebLoginResult{Confirmed: confirmed})
		}})
	s.Reload(c.Reloadable)
	s.clientPackage = sync.OnceValues(func() (frontend.ClientPackage, error) { return frontend.NewClientPackage(c.Version) })
	if s.router, err = s.routes(); err != nil {
		return nil, err
	}
	return s, nil
}

// Reload replaces the Reloadable for all requests that start from now on.
func (s *Server) Reload(r gate.Reloadable) {
	s.gate.Reload(r)
	queues := s.gate.NoticeQueues()
	maps.Copy(queues, s.oidc.LogoutQueues())
	s.notifier.Reload(r.Clients, queues)
}

// Close ends what the server does outside of requests: it delivers logout tokens and events.
func (s *Server) Close() { s.notifier.Close() }

// EndUser ends the tokens of a user at a site, and sends the site a logout token. With a
// sid it ends that login only. Errors are those of oidc.Handlers.EndUser.
func (s *Server) EndUser(ctx context.Context, site, sub, sid string) error {
	return s.oidc.EndUser(ctx, site, sub, sid)
}

// Clients returns the current clients.
func (s *Server) Clients() []*client.Client { return s.gate.Clients() }

// ServeHTTP implements http.Handler for the public listener.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.router.ServeHTTP(w, r) }

// ticketPath is the common part of the routes of one ticket.
const ticketPath = "/api/login/tickets/:ticket"

// crossOriginPaths are the routes that pages of other origins call. Only these
// answer a CORS preflight.
var crossOriginPaths = []string{"/api/login/tickets", ticketPath + "/ws", ticketPath + "/poll", ticketPath + "/ack", ticketPath + "/cancel"}

// routes registers all routes.
func (s *Server) routes() (*echo.Echo, error) {
	if _, err := frontend.Assets(); err != nil {
		return nil, err
	}
	e := echo.New()
	e.HTTPErrorHandler = s.handleError
	// echo would apply each middleware again for every request.
	all := s.gate.Pin(s.observe(s.baseMiddleware(s.rateLimitMiddleware(methodNotAllowed(
		func(c echo.Context) error { return c.Handler()(c) })))))
	e.Use(func(echo.HandlerFunc) echo.HandlerFunc { return all })

	read := []string{http.MethodGet, http.MethodHead}
	e.Match(read, "/", s.page)
	e.Match(read, "/s/:ticket", s.landing)
	e.Match(read, "/s/:ticket/", s.landing) // some scanners and link shorteners add the slash
	e.Match(read, "/s/:ticket/consent", s.consent.Page)
	e.POST("/s/:ticket/confirm", s.consent.Confirm)
	e.POST("/s/:ticket/reject", s.consent.Reject)
	e.POST("/s/:ticket/open", s.consent.Open)
	e.Match(read, "/assets/*", asset)
	e.Match(read, "/client.tgz", s.serveClientPackage)
	e.Match(read, "/.well-known/jwks.json", s.jwks)
	e.Match(read, "/healthz", s.healthz)
	e.Match(read, "/readyz", s.readyz)
	e.Match(read, "/openapi.yaml", openAPIYAML)
	e.Match(read, "/openapi.json", openAPIJSON)
	e.Match(read, "/asyncapi.yaml", asyncAPIYAML)
	e.Match(read, "/docs", s.docs)

	// Routes are registered one by one, not in an echo Group. A Group answers
	// all other methods on its paths, and on all other paths, with 404 instead
	// of 405.
	e.POST("/api/login/tickets", s.cors(s.login.CreateTicket))
	e.GET(ticketPath+"/ws", s.cors(s.login.Socket))
	e.GET(ticketPath+"/poll", s.cors(s.login.Poll))
	e.POST(ticketPath+"/ack", s.cors(s.login.Ack))
	e.POST(ticketPath+"/cancel", s.cors(s.login.Cancel))
	e.POST(ticketPath+"/remember", s.login.Remember) // of the hub's own pages only
	for _, path := range crossOriginPaths {
		e.OPTIONS(path, s.preflight)
	}
	e.Match(read, ticketPath+"/qr.svg", s.login.QrSVG)
	e.Match(read, ticketPath+"/qr.png", s.login.QrPNG)

	e.POST("/api/login/exchange", s.login.Exchange)
	e.Match(read, "/api/login/providers", s.login.Providers)
	e.POST(ticketPath+"/scan", s.login.Scan)
	e.POST(ticketPath+"/confirm", s.login.Confirm)
	e.POST(ticketPath+"/reject", s.login.Reject)
	e.POST(ticketPath+"/dispute", s.login.Dispute)

	s.oidc.Mount(e, errRoute)
	for start, callback := range weblogin.Routes() {
		e.POST(start, s.webLogin.Start)
		e.GET(callback, s.webLogin.Callback) // no HEAD: the request consumes the state
	}
	for _, path := range []string{events.Path, events.NamedPath} {
		e.GET(path, s.events.Receive) // the check of the address, no HEAD
		e.POST(path, s.events.Receive)
	}
	return e, nil
}

// baseMiddleware sets the headers that all answers have, bounds the time of the
// body, and turns a panic into an error.
func (s *Server) baseMiddleware(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		h := c.Response().Header()
		maps.Copy(h, s.headers)
		if strings.HasPrefix(c.Request().URL.Path, "/api/") {
			maps.Copy(h, s.apiHeaders)
		}
		// Checked when the answer is sent, because a long poll may have waited
		// until now. "Connection: close" makes the load balancer or the page
		// open its next connection to another node.
		c.Response().Before(func() {
			if s.gate.Hub.Draining() {
				h.Set("Connection", "close")
			}
		})
		request.BoundBody(c)
		defer func() {
			if p := recover(); p != nil {
				err = newPanic(p)
			}
		}()
		return next(c)
	}
}

// rateLimitMiddleware applies the limit of all requests, before every other
// check. Health checks are exempt: if they were refused, the load balancer
// would take the node out of service. Events of providers have a limit of their own.
func (s *Server) rateLimitMiddleware(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		path := c.Request().URL.Path
		if path == "/healthz" || path == "/readyz" || strings.HasPrefix(path, events.Path) {
			return next(c)
		}
		if err := s.gate.Limits.Requests.Allow(s.gate.Addr(c).RateKey, time.Now()); err != nil {
			if strings.HasPrefix(path, "/api/login/tickets") {
				crossOrigin(c) // lets the page read Retry-After
			}
			return err
		}
		return next(c)
	}
}
