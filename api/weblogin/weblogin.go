package weblogin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/request"
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
const (
	connectPath  = "/api/connect/"
	CallbackPath = "/callback" // after the start's path

	// stateLife is how long a person may take at the provider: the lifetime of
	// WeChat's codes.
	stateLife = 10 * time.Minute
	// maxWebAuthCode bounds the code of a website login, as provider.Credential does.
	// Microsoft Entra's have over 1,000 characters.
	maxWebAuthCode = 4096
)

// Errors of a website login.
var (
	ErrStateInvalid = errors.New("unknown, used or expired state")
	ErrStateForeign = errors.New("the state belongs to another browser")
	ErrNoOrigin     = errors.New("no Origin")
	ErrNotOwnPage   = errors.New("not a page of the hub")
)

// Options configure a Handlers.
type Options struct {
	States gate.StateStore
	// Done answers the browser that has come back; confirmed is false if the user
	// has declined.
	Done func(c echo.Context, confirmed bool) error
}

// Handlers are the endpoints of the logins at the pages of providers.
type Handlers struct {
	gate   *gate.Gate
	states gate.StateStore
	done   func(c echo.Context, confirmed bool) error
}

// New returns the endpoints of the logins at the pages of providers.
func New(g *gate.Gate, o Options) *Handlers {
	return &Handlers{gate: g, states: o.States, done: o.Done}
}

// Routes returns the routes of the starts with those of their callbacks.
// The second is older, and is that of one provider only (Provider.FixedPaths).
func Routes() map[string]string {
	return map[string]string{
		connectPath + ":provider": connectPath + ":provider" + CallbackPath,
		"/api/wechat/qrconnect":   "/api/wechat/callback",
	}
}

// Paths returns the paths of a provider's start and callback.
func Paths(p *provider.Provider) (start, callback string) {
	if start, callback = p.FixedPaths(); start != "" {
		return start, callback
	}
	start = connectPath + p.ID
	return start, start + CallbackPath
}

// webLoginState is one visit to the provider's page, as the StateStore keeps it.
type webLoginState struct {
	Ticket  ticket.ID `json:"ticket"`
	Client  string    `json:"client"`
	Browser []byte    `json:"browser"` // SHA-256 of the cookie's value
	Until   time.Time `json:"until"`
	// Provider and Verifier are absent in states of earlier versions, which have
	// one provider.
	Provider string `json:"provider,omitempty"`
	Verifier string `json:"verifier,omitempty"` // see provider.Visit
}

// Start is POST /api/connect/{provider}, the form of the login page. It
// redirects the browser to the provider.
func (h *Handlers) Start(c echo.Context) error {
	form, err := request.ReadForm(c, "ticket", "secret")
	if err != nil {
		return err
	}
	id, err := ticket.ParseID(form.Get("ticket"))
	if err != nil {
		return err
	}
	t, to, cookie, err := h.startWebLogin(c, id, form.Get("secret"))
	if err != nil {
		return h.gate.AuditRefusal("qrconnect", ticket.Ticket{ID: id, Client: t.Client, Seq: t.Seq}, c, err)
	}
	c.SetCookie(cookie)
	return c.Redirect(http.StatusSeeOther, to)
}

// startWebLogin stores a state and returns the URL of the redirect and the
// cookie of the state. If it fails, t holds what is known of the ticket, for
// the audit log.
func (h *Handlers) startWebLogin(c echo.Context, id ticket.ID, secret string) (t ticket.Ticket, to string, cookie *http.Cookie, err error) {
	r := c.Request()
	if err = request.CheckSecret(secret, id); err != nil {
		return t, "", nil, err
	}
	if t, err = h.gate.Hub.Get(r.Context(), id); err != nil {
		return t, "", nil, err
	}
	p, err := h.checkWebLogin(c, t)
	if err != nil {
		return t, "", nil, err
	}
	state, browser, verifier := newState(), newState(), newState()
	sum := sha256.Sum256([]byte(browser))
	text, err := json.Marshal(webLoginState{Ticket: id, Client: t.Client, Browser: sum[:], Until: h.states.Now().Add(stateLife),
		Provider: p.ID, Verifier: verifier})
	if err != nil {
		return t, "", nil, fmt.Errorf("encode state: %w", err)
	}
	_, callback := Paths(p)
	to, err = p.Redirect.Authorize(r.Context(), provider.Visit{Callback: h.gate.PublicURL + callback, State: state, Verifier: verifier, Lang: request.Language(r)})
	if err != nil {
		return t, "", nil, err
	}
	if err := h.states.Save(r.Context(), stateKey(state), text, stateLife); err != nil {
		return t, "", nil, err
	}
	return t, to, h.stateCookie(state, browser, int(stateLife/time.Second)), nil
}

// checkWebLogin returns the provider of the ticket's website login, if this
// browser may start it.
func (h *Handlers) checkWebLogin(c echo.Context, t ticket.Ticket) (*provider.Provider, error) {
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
	p := cfg.FindRedirect(c.Path(), c.Param("provider"))
	if p != nil {
		p = cfg.MethodsOf(t.Client).Redirect(p.ID)
	}
	if p == nil || !client.AllowsProvider(p.ID) {
		return nil, request.Invalid("ticket: its client does not accept this provider")
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
		return ErrNotOwnPage
	}
	return nil
}

// Callback is GET /api/connect/{provider}/callback: the provider sends the
// browser back.
func (h *Handlers) Callback(c echo.Context) error {
	id, param := c.Param("provider"), "code"
	if p := gate.ConfigOf(c).FindRedirect(c.Path(), id); p != nil {
		id = p.ID
		if p.CodeParam != "" {
			param = p.CodeParam
		}
	}
	v, err := h.consumeState(c, id, param)
	if err != nil { // after this the hub writes the audit log
		return h.gate.AuditRefusal("callback", ticket.Ticket{ID: v.Ticket, Client: v.Client}, c, err)
	}
	// Without a code the user has declined.
	code, action := c.QueryParam(param), ticket.Confirm
	if code == "" {
		action = ticket.Reject
	}
	if _, err := h.gate.RunCall(c, &gate.Admission{PhoneCall: hub.PhoneCall{Action: action, Ticket: v.Ticket, SameBrowser: true},
		Provider: id, Code: code, Client: v.Client,
		Visit: provider.Visit{Callback: h.gate.PublicURL + c.Request().URL.Path, State: c.QueryParam("state"), Verifier: v.Verifier}}); err != nil {
		return err
	}
	return h.done(c, code != "")
}

// consumeState deletes the state in every case and returns it if this browser
// started it. If another browser did, or the state is too old, it returns the
// state with an error, for the audit log.
func (h *Handlers) consumeState(c echo.Context, provider, codeParam string) (v webLoginState, err error) {
	q := c.QueryParams()
	state, code := q.Get("state"), q.Get(codeParam)
	if len(state) != stateLength || len(code) > maxWebAuthCode || len(q["state"]) > 1 || len(q[codeParam]) > 1 || h.states == nil {
		return v, ErrStateInvalid
	}
	r := c.Request()
	text, err := h.states.Take(r.Context(), stateKey(state))
	if err != nil {
		return v, err
	}
	if text == nil || json.Unmarshal(text, &v) != nil || !h.states.Now().Before(v.Until) {
		return v, ErrStateInvalid
	}
	if v.Provider != "" && v.Provider != provider {
		return v, ErrStateInvalid
	}
	cookie, err := r.Cookie(h.cookieName(state))
	if err != nil {
		return v, fmt.Errorf("no cookie: %w", ErrStateForeign)
	}
	c.SetCookie(h.stateCookie(state, "", -1))
	if sum := sha256.Sum256([]byte(cookie.Value)); subtle.ConstantTimeCompare(sum[:], v.Browser) != 1 {
		return v, ErrStateForeign
	}
	return v, nil
}

// stateLength is the length of newState's text.
const stateLength = 43

// newState returns 256 random bits, base64url.
func newState() string {
	var raw [32]byte
	rand.Read(raw[:]) // never fails (crypto/rand, Go 1.24)
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// stateHash identifies a state without revealing it.
func stateHash(state string) string {
	sum := sha256.Sum256([]byte(state))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// stateKey returns the name of a state in the StateStore.
func stateKey(state string) string { return "state:" + stateHash(state) }

// cookieName returns a different name for each state, so that two windows do
// not overwrite the cookie of each other. With __Host- no other host of the
// domain can set it (RFC 6265bis).
func (h *Handlers) cookieName(state string) string {
	name := "loginhub-" + stateHash(state)[:8]
	if strings.HasPrefix(h.gate.PublicURL, "https://") {
		name = "__Host-" + name
	}
	return name
}

// stateCookie binds a state to this browser. It is SameSite=Lax because
// the provider's page returns from another site by a top-level GET.
func (h *Handlers) stateCookie(state, value string, age int) *http.Cookie {
	return &http.Cookie{Name: h.cookieName(state), Value: value, Path: "/", MaxAge: age, HttpOnly: true,
		Secure: strings.HasPrefix(h.gate.PublicURL, "https://"), SameSite: http.SameSiteLaxMode}
}
