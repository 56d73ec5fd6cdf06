package weblogin

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/request"
	"loginhub/api/visit"
	"loginhub/hub"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// The login at a provider's page for a ticket of this hub, such as WeChat's
// official website login (OAuth 2.0, RFC 6749, section 4.1).
//
// The threat is that an attacker makes a victim's browser confirm the
// attacker's ticket. The start needs the ticket's secret, which the attacker
// has, and a form sent by a page of the hub, which the attacker cannot make the
// victim's browser send. The end needs a state that was started in the same
// browser. If a victim opens the attacker's link to the provider, or the attacker's
// Callback URL, their browser does not have the state's cookie.

// ErrNoOrigin means that the form of a website login has no Origin.
var ErrNoOrigin = errors.New("no Origin")

// Options configure a Handlers.
type Options struct {
	Visits *visit.Visits
	// Done answers the browser that has come back; confirmed is false if the user
	// has declined.
	Done func(c echo.Context, confirmed bool) error
	// Continue answers a browser that goes on to its site by itself.
	Continue func(c echo.Context, answer ticket.Answer) error
	// Consent answers a browser whose user decides on the consent page.
	Consent func(c echo.Context, p *provider.Provider, r visit.Return) error
}

// Handlers are the endpoints of the logins at the pages of providers.
type Handlers struct {
	gate *gate.Gate
	Options
}

// New returns the endpoints of the logins at the pages of providers.
func New(g *gate.Gate, o Options) *Handlers { return &Handlers{g, o} }

// Routes returns the routes of the starts with those of their callbacks.
// The second is older, and is that of one provider only (Provider.FixedPaths).
func Routes() map[string]string {
	return map[string]string{
		"/api/connect/:provider": "/api/connect/:provider/callback",
		"/api/wechat/qrconnect":  "/api/wechat/callback",
	}
}

// Start is POST /api/connect/{provider}, the form of the login page. It
// redirects the browser to the provider.
func (h *Handlers) Start(c echo.Context) error {
	form, err := request.ReadForm(c, "ticket", "secret", "continue")
	if err != nil {
		return err
	}
	id, err := ticket.ParseID(form.Get("ticket"))
	if err != nil {
		return err
	}
	t := ticket.Ticket{ID: id}
	if err = h.start(c, &t, form.Get("secret"), form.Get("continue") == "1"); err != nil {
		return h.gate.AuditRefusal("qrconnect", ticket.Ticket{ID: id, Client: t.Client, Seq: t.Seq}, c, err)
	}
	return nil
}

// start redirects the browser. It sets t to what is known of the ticket, for the audit
// log.
func (h *Handlers) start(c echo.Context, t *ticket.Ticket, secret string, goOn bool) error {
	if err := request.CheckSecret(secret, t.ID); err != nil {
		return err
	}
	found, err := h.gate.Hub.Get(c.Request().Context(), t.ID)
	if err != nil {
		return err
	}
	*t = found
	p, err := h.checkStart(c, found)
	if err != nil {
		return err
	}
	v := visit.Visit{Ticket: t.ID, Client: t.Client, Continue: goOn, InApp: p.OpensIn(c.Request().UserAgent())}
	if v.Redirector(p) == nil { // only inside its app
		return errProvider
	}
	return h.Visits.Begin(c, p, v)
}

// errProvider refuses a provider that the ticket's client does not have for this browser.
var errProvider = request.Invalid("ticket: its client does not accept this provider")

// checkStart returns the provider of the ticket's website login, if this browser may
// start it.
func (h *Handlers) checkStart(c echo.Context, t ticket.Ticket) (*provider.Provider, error) {
	cfg := gate.ConfigOf(c)
	client, err := cfg.ClientOf(t)
	if err != nil {
		return nil, err
	}
	if err := h.requireOwnOrigin(c.Request()); err != nil {
		return nil, err
	}
	if err := h.gate.Hub.CheckEnabled(t.Client); err != nil {
		return nil, err
	}
	p := cfg.MethodsOf(t.Client).FindStart(c.Path(), c.Param("provider"))
	if p == nil || !client.AllowsProvider(p.ID) {
		return nil, errProvider
	}
	if err := h.gate.Limits.WebLogins.Allow(h.gate.Addr(c).RateKey, time.Now()); err != nil {
		return nil, err
	}
	if t.State == ticket.Scanned {
		return nil, ticket.ErrScanned // the phone that scanned decides now
	}
	return p, hub.CanConfirm(t)
}

// requireOwnOrigin checks the Origin that a browser sends with a form: only the
// hub's own page may send it.
func (h *Handlers) requireOwnOrigin(r *http.Request) error {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return ErrNoOrigin
	}
	if len(origins) > 1 || origins[0] != h.gate.PublicURL {
		return gate.ErrNotOwnPage
	}
	return nil
}

// Callback is GET /api/connect/{provider}/callback: the provider sends the
// browser back.
func (h *Handlers) Callback(c echo.Context) error {
	r, p, err := h.Visits.End(c)
	if err == nil {
		err = reported(r)
	}
	if err != nil { // after this the hub writes the audit log
		return h.gate.AuditRefusal("callback", ticket.Ticket{ID: r.Ticket, Client: r.Client}, c, err)
	}
	if r.Consent {
		return h.Consent(c, p, r)
	}
	if r.Error != "" { // the user declined, or the provider refuses them: the ticket stays as it is
		_ = h.gate.AuditRefusal("callback", ticket.Ticket{ID: r.Ticket, Client: r.Client}, c, provider.ErrUserBlocked) // returns the error that it was given
		return h.Done(c, false)
	}
	action := ticket.Confirm
	if r.Code == "" {
		action = ticket.Reject // WeChat's page sends a user who declined back without a code
	}
	call, err := h.gate.RunCall(c, &gate.Admission{PhoneCall: hub.PhoneCall{Action: action, Ticket: r.Ticket, Provider: p.ID, SameBrowser: true},
		Exchanger: r.Redirector(p), Code: r.Code, Client: r.Client, Visit: h.Visits.Credential(p, r).Visit})
	if err != nil {
		return err
	}
	if r.Continue {
		answer, err := h.gate.Hub.Keys().Answer(call.Current())
		if err != nil {
			return err
		}
		if answer.RedirectTo != "" || answer.FormPost != nil {
			return h.Continue(c, answer)
		}
	}
	return h.Done(c, r.Code != "")
}

// reported returns the error that the provider reports, except access_denied (RFC 6749,
// section 4.1.2.1). The ticket stays as it is: the user can try again.
func reported(r visit.Return) error {
	meaning := provider.ErrCodeInvalid
	switch r.Error {
	case "", "access_denied":
		return nil
	case "server_error", "temporarily_unavailable":
		meaning = provider.ErrProviderUnavailable
	case "invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope":
		meaning = provider.ErrProviderMisconfigured
	}
	return fmt.Errorf("%s returned the error %.40q: %w", r.Provider, r.Error, meaning)
}
