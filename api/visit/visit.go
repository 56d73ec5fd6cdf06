package visit

import (
	"bytes"
	"context"
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
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

const (
	// life is how long a person may take at the provider. It is the longest lifetime of
	// a provider's code that is known, WeChat's and QQ's.
	life = 10 * time.Minute
	// maxCode bounds a provider's code, in bytes. Those of some OpenID providers have
	// over 1,000.
	maxCode = 4096
	// stateLength is the length of newState's text.
	stateLength = 43
)

// Errors of a visit.
var (
	ErrStateInvalid = errors.New("unknown, used or expired state")
	ErrStateForeign = errors.New("the state belongs to another browser")
)

// Visit is one visit of a browser to a provider's page, as the StateStore keeps it.
type Visit struct {
	Ticket   ticket.ID `json:"ticket"`
	Client   string    `json:"client"`
	Browser  []byte    `json:"browser"` // SHA-256 of the cookie's value
	Until    time.Time `json:"until"`
	Provider string    `json:"provider,omitempty"`
	Verifier string    `json:"verifier,omitempty"` // see provider.Visit
	// Consent: the user decides on the hub's consent page. Otherwise the browser is the
	// one that waits, and its return confirms.
	Consent bool `json:"consent,omitempty"`
	InApp   bool `json:"in_app,omitempty"` // by Access.InApp, not Access.Redirect
	// Fresh: the frame of the ticket's living code was good when the browser opened the link.
	// How long the user then takes at the provider does not matter.
	Fresh bool `json:"fresh,omitempty"`
	// Continue: no other window waits. After the confirm this one goes on to the site.
	Continue bool `json:"continue,omitempty"`
}

// Return is what the provider sent back with the browser.
type Return struct {
	Visit
	Code  string // "" if the user declined or the provider reports an error
	Error string // error code of the provider (RFC 6749, section 4.1.2.1); "" for none
	State string
	// Issuer names who answered (iss, RFC 9207); "" if the provider does not say.
	Issuer string
}

// Declined reports whether the user refused at the provider's page. Some providers send
// the user back without a code and without an error then.
func (r Return) Declined() bool { return r.Code == "" && (r.Error == "" || r.Error == "access_denied") }

// Visits keeps the visits of all nodes.
type Visits struct {
	gate   *gate.Gate
	states gate.StateStore
}

// New returns the visits that are kept in states.
func New(g *gate.Gate, states gate.StateStore) *Visits { return &Visits{g, states} }

// Paths returns the paths of a provider's start and callback.
func Paths(p *provider.Provider) (start, callback string) {
	if start, callback = p.FixedPaths(); start != "" {
		return start, callback
	}
	start = "/api/connect/" + p.ID
	return start, start + "/callback"
}

// Redirector returns the one that the visit uses; nil if the provider does not have it.
func (v Visit) Redirector(p *provider.Provider) provider.Redirector {
	switch {
	case p == nil:
		return nil
	case v.InApp:
		return p.InApp
	}
	return p.Redirect
}

// Begin stores a visit to p and redirects the browser there, with the visit's cookie.
func (s *Visits) Begin(c echo.Context, p *provider.Provider, v Visit) error {
	r := c.Request()
	state, browser, verifier := newState(), newState(), newState()
	sum := sha256.Sum256([]byte(browser))
	v.Provider, v.Browser, v.Verifier, v.Until = p.ID, sum[:], verifier, s.states.Now().Add(life)
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	at := s.at(p, Return{Visit: v, State: state})
	at.Lang = request.Language(r)
	to := ""
	err = s.gate.CallProvider(r.Context(), gate.ConfigOf(c), gate.Callee{Provider: p.ID, Offer: v.Redirector(p), Call: "authorize"}, func(ctx context.Context) (err error) {
		to, err = v.Redirector(p).Authorize(ctx, at)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.states.Save(r.Context(), stateKey(state), text, life); err != nil {
		return err
	}
	c.SetCookie(s.cookie(state, browser, int(life/time.Second)))
	return c.Redirect(http.StatusSeeOther, to)
}

// at returns the visit as the provider knows it.
func (s *Visits) at(p *provider.Provider, r Return) provider.Visit {
	_, callback := Paths(p)
	return provider.Visit{Callback: s.gate.PublicURL + callback, State: r.State, Verifier: r.Verifier, Issuer: r.Issuer}
}

// Credential returns what the browser brought back, for the exchange.
func (s *Visits) Credential(p *provider.Provider, r Return) provider.Credential {
	return provider.Credential{Code: r.Code, Ticket: string(r.Ticket), Visit: s.at(p, r)}
}

// End ends the visit whose browser has come back to this path, and returns its provider.
// The state is read first and deleted only for the browser that began it, at its own
// provider's path: a link with somebody's state spends nothing. Of concurrent callbacks
// one succeeds. If the visit is known, it is returned with an error too, for the audit.
func (s *Visits) End(c echo.Context) (r Return, p *provider.Provider, err error) {
	q, ctx := c.QueryParams(), c.Request().Context()
	if r.State = q.Get("state"); len(r.State) != stateLength || len(q["state"]) > 1 || s.states == nil {
		return r, nil, ErrStateInvalid
	}
	text, err := s.states.Load(ctx, stateKey(r.State))
	if err != nil {
		return r, nil, err
	}
	if text == nil || json.Unmarshal(text, &r.Visit) != nil || !s.states.Now().Before(r.Until) {
		return r, nil, ErrStateInvalid
	}
	cookie, err := c.Request().Cookie(s.cookieName(r.State))
	if err != nil {
		return r, nil, fmt.Errorf("no cookie: %w", ErrStateForeign)
	}
	if sum := sha256.Sum256([]byte(cookie.Value)); subtle.ConstantTimeCompare(sum[:], r.Browser) != 1 {
		return r, nil, ErrStateForeign
	}
	p = gate.ConfigOf(c).MethodsOf(r.Client).Find(r.Provider)
	if p == nil || r.Redirector(p) == nil {
		return r, nil, request.Invalid("provider: this client does not accept it")
	}
	if !atCallback(c, p) || !r.read(q, p.CodeParam) {
		return r, nil, ErrStateInvalid
	}
	taken, err := s.states.Take(ctx, stateKey(r.State))
	if err != nil {
		return r, nil, err
	}
	c.SetCookie(s.cookie(r.State, "", -1))
	if !bytes.Equal(taken, text) {
		return r, nil, ErrStateInvalid
	}
	return r, p, nil
}

// atCallback reports whether the request is for the provider's callback.
func atCallback(c echo.Context, p *provider.Provider) bool {
	if id := c.Param("provider"); id != "" {
		return id == p.ID
	}
	_, callback := p.FixedPaths()
	return c.Path() == callback
}

// read reads the answer of the provider, which names its code param, or code. It reports
// whether it is well-formed.
func (r *Return) read(q map[string][]string, param string) bool {
	for _, name := range []string{param, "code"} {
		if values := q[name]; r.Code == "" && len(values) > 0 {
			r.Code = values[0]
		}
	}
	if errs := q["error"]; len(errs) > 0 {
		r.Error, r.Code = errs[0], ""
	}
	if issuers := q["iss"]; len(issuers) > 0 {
		r.Issuer = issuers[0]
	}
	return len(q["iss"]) <= 1 && len(q[param]) <= 1 && len(q["code"]) <= 1 && len(q["error"]) <= 1 && len(r.Code) <= maxCode
}

// newState returns some 254 random bits as 43 letters and digits: WeCom accepts nothing
// else as a state. It is base64url, and one text of four is without a dash or underscore.
func newState() string {
	for {
		var raw [32]byte
		rand.Read(raw[:]) // never fails (crypto/rand, Go 1.24)
		if text := base64.RawURLEncoding.EncodeToString(raw[:]); !strings.ContainsAny(text, "-_") {
			return text
		}
	}
}

// stateHash identifies a state without revealing it.
func stateHash(state string) string {
	sum := sha256.Sum256([]byte(state))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// stateKey returns the name of a state in the StateStore.
func stateKey(state string) string { return "state:" + stateHash(state) }

// cookieName returns a different name for each state, so that two windows do not overwrite
// the cookie of each other.
func (s *Visits) cookieName(state string) string {
	return s.gate.CookieName(stateHash(state)[:8])
}

// cookie binds a state to this browser.
func (s *Visits) cookie(state, value string, age int) *http.Cookie {
	return s.gate.NewCookie(stateHash(state)[:8], value, age)
}
