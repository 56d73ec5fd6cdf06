package oidc

import (
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/notify"
	"loginhub/api/token"
	"loginhub/hub/provider/app/assertion"
	"loginhub/hub/ticket"
)

// Paths of the endpoints. AuthorizePath is a page; the others are called by sites.
const (
	AuthorizePath  = "/oauth2/authorize"
	tokenPath      = "/oauth2/token"
	parPath        = "/oauth2/par"
	userinfoPath   = "/oauth2/userinfo"
	introspectPath = "/oauth2/introspect"
	revokePath     = "/oauth2/revoke"
	LogoutPath     = "/oauth2/logout"
	devicePath     = "/oauth2/device_authorization"
)

// AnswersJSON reports whether the route answers errors as JSON (RFC 6749, section 5.2).
func AnswersJSON(route string) bool {
	return slices.Contains([]string{tokenPath, parPath, userinfoPath, introspectPath, revokePath, devicePath}, route)
}

// Page is what the page of an authorization request shows and does.
type Page struct {
	ClientID string
	Request  string // REQUEST: the page creates its tickets with it
	Host     string // of the redirect URI; "" if it is an app's own scheme
	FormPost bool   // the answer is a form
	Locales  string // BCP 47 tags with spaces between, the preferred first; "" for the browser's
}

// Options configure a Handlers.
type Options struct {
	States  gate.StateStore
	Locales []string // BCP 47 tags of the languages that the pages have
	// Page answers with the login page of an authorization request.
	Page func(c echo.Context, p Page) error
	// GoOn sends the browser to the site, by a redirect or by a form.
	GoOn func(c echo.Context, answer ticket.Answer) error
	// Failed answers with a page that says what is wrong with a request whose redirect URI
	// is not proven.
	Failed func(c echo.Context, status int, code, title, detail string) error
	// Device answers with the page where a device's code is typed. status is 200, or that
	// of the wrong code.
	Device func(c echo.Context, status int, code string) error
	// LogoutPage answers with the page of a logout.
	LogoutPage func(c echo.Context, p LogoutPage) error
	Notifier   *notify.Notifier // keeps logout tokens; nil if no client takes them
	Metrics    Metrics
}

// Handlers are the endpoints. They are safe for concurrent use.
type Handlers struct {
	gate       *gate.Gate
	options    Options
	states     gate.StateStore
	issuerURL  string
	assertions *assertions
	devices    *deviceGrant
	logouts    logoutSender // without a site
}

// New returns the endpoints.
func New(g *gate.Gate, o Options) *Handlers {
	issuer := ""
	if g.Hub != nil { // nil in a test of the routes
		issuer = g.Hub.Issuer()
	}
	h := &Handlers{gate: g, options: o, states: o.States, issuerURL: issuer,
		assertions: &assertions{states: o.States, issuer: issuer, log: g.Log, sources: map[string]*assertion.KeySource{}}}
	h.devices = &deviceGrant{Handlers: h}
	now := time.Now
	if o.States != nil {
		now = o.States.Now
	}
	h.logouts = logoutSender{issuer: issuer, signer: func() *token.Signer { return g.Current().Signer }, now: now, http: newLogoutClient(), log: g.Log}
	return h
}

// Mount registers the routes. notFound is the error of a route that does not exist: it is
// the answer while no client uses OpenID Connect.
func (h *Handlers) Mount(e *echo.Echo, notFound error) {
	enabled := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			for _, site := range gate.ConfigOf(c).Clients {
				if site.OpenID() {
					return next(c)
				}
			}
			return notFound
		}
	}
	read := []string{http.MethodGet, http.MethodHead}
	e.Match(read, "/.well-known/openid-configuration", h.discovery, enabled)
	e.Match(read, "/.well-known/oauth-authorization-server", h.discovery, enabled)
	e.GET(AuthorizePath, h.authorize, enabled) // no HEAD: the answer sets a cookie
	e.POST(AuthorizePath, h.authorize, enabled)
	e.POST(parPath, h.par, enabled)
	e.POST(tokenPath, h.token, enabled, crossOrigin)
	e.OPTIONS(tokenPath, preflight, enabled)
	e.POST(devicePath, h.devices.authorizeDevice, enabled)
	e.Match(read, DevicePage, h.devices.enterCode, enabled)
	e.POST(DevicePage, h.devices.submitCode, enabled)
	tokens := &tokenEndpoints{h}
	e.Match(read, userinfoPath, tokens.userinfo, enabled, crossOrigin)
	e.POST(userinfoPath, tokens.userinfo, enabled, crossOrigin)
	e.OPTIONS(userinfoPath, preflight, enabled)
	e.POST(introspectPath, tokens.introspect, enabled)
	e.POST(revokePath, tokens.revoke, enabled, crossOrigin)
	e.OPTIONS(revokePath, preflight, enabled)
	e.GET(LogoutPath, tokens.logout, enabled)
	e.POST(LogoutPath, tokens.logout, enabled)
}

// crossOrigin lets pages of every origin read the answer. These endpoints use no cookie:
// who calls them has the code, the token or the client's secret.
func crossOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("Access-Control-Allow-Origin", "*")
		c.Response().Header().Set("Access-Control-Expose-Headers", "Retry-After, WWW-Authenticate")
		return next(c)
	}
}

// preflight answers a CORS preflight of an endpoint that pages of every origin may call.
func preflight(c echo.Context) error {
	h := c.Response().Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP")
	h.Set("Access-Control-Max-Age", "600")
	return c.NoContent(http.StatusNoContent)
}
