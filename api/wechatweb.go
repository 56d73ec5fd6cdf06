package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/frontend"
	"loginhub/hub"
	"loginhub/hub/ticket"
)

// WeChat's official website login for a ticket of this hub (contract 4.6).
//
// The danger is a victim's browser that is led to confirm an attacker's ticket.
// To begin takes the ticket's secret, which the attacker has, and a form that a
// page of the hub itself has sent, which he cannot make a victim's browser do. To
// end takes a state that was begun in this very browser: an attacker's link to
// WeChat, or his callback URL, meets a browser without the state's cookie.
const (
	connectPath  = "/api/wechat/qrconnect"
	callbackPath = "/api/wechat/callback"

	// stateLife is how long a person may take at WeChat: as its codes live.
	stateLife = 10 * time.Minute
	// maxWebCode bounds a website's code. Those seen have 32 characters.
	maxWebCode = 512
)

// trip is one trip to WeChat's page, as the vault keeps it.
type trip struct {
	Ticket  ticket.ID `json:"ticket"`
	Client  string    `json:"client"`
	Browser []byte    `json:"browser"` // SHA-256 of the cookie's value
	Until   time.Time `json:"until"`
}

// qrconnect is POST /api/wechat/qrconnect, the form of the login page: it sends
// the browser to WeChat.
func (s *Server) qrconnect(c echo.Context) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	id, err := ticket.ParseID(form.Get("ticket"))
	if err != nil {
		return err
	}
	if err := opens(form.Get("secret"), id); err != nil {
		return err
	}
	r := c.Request()
	t, err := s.Hub.Look(r.Context(), id)
	if err != nil {
		return err
	}
	if err := s.ownPage(r, t); err != nil {
		return err
	}
	if err := s.Hub.Enabled(t.Client); err != nil {
		return err
	}
	website := s.site(t.Client).Website
	if website == nil || !s.clientOf(t.Client).Takes("wechat_web") {
		return invalid("ticket: its client does not take wechat_web")
	}
	if err := s.visiting.allow(s.proxies.observe(r).counted, time.Now()); err != nil {
		return err
	}
	if t.State == ticket.Scanned {
		return ticket.ErrScanned // by a phone, which now decides
	}
	if err := hub.Hopeless(t); err != nil {
		return err
	}
	state, browser := random(), random()
	sum := sha256.Sum256([]byte(browser))
	text, err := json.Marshal(trip{Ticket: id, Client: t.Client, Browser: sum[:], Until: s.Vault.Now().Add(stateLife)})
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	if err := s.Vault.Save(r.Context(), stateName(state), text, stateLife); err != nil {
		return err
	}
	c.SetCookie(s.stateCookie(state, browser, int(stateLife/time.Second)))
	lang := "en"
	if language(r) == "zh" {
		lang = "cn"
	}
	return c.Redirect(http.StatusSeeOther, website.Authorize(s.PublicURL+callbackPath, state, lang))
}

// ownPage demands the Origin that a browser sends with a form: of the hub's own
// page, and on the list of the ticket's client.
func (s *Server) ownPage(r *http.Request, t ticket.Ticket) error {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return errNoOrigin
	}
	client := s.clients[t.Client]
	if len(origins) > 1 || origins[0] != s.PublicURL || client == nil || !allowed(client, r) {
		return errOrigin
	}
	return nil
}

// readForm reads the one body that is not JSON.
func readForm(c echo.Context) (url.Values, error) {
	r := c.Request()
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, errForm
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, invalid("body: it ended early")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, invalid("body: not a form")
	}
	for _, name := range []string{"ticket", "secret"} {
		if len(form[name]) > 1 {
			return nil, invalid(name + ": given twice")
		}
	}
	return form, nil
}

// callback is GET /api/wechat/callback: WeChat sends the browser back. The state
// is spent first, whatever comes of it.
func (s *Server) callback(c echo.Context) error {
	q := c.QueryParams()
	state, code := q.Get("state"), q.Get("code")
	if len(state) != stateLength || len(code) > maxWebCode || len(q["state"]) > 1 || len(q["code"]) > 1 || s.Vault == nil {
		return errState
	}
	r := c.Request()
	text, err := s.Vault.Take(r.Context(), stateName(state))
	if err != nil {
		return err
	}
	var v trip
	if text == nil || json.Unmarshal(text, &v) != nil || !s.Vault.Now().Before(v.Until) {
		return errState
	}
	cookie, err := r.Cookie(s.cookieName(state))
	if err != nil {
		return fmt.Errorf("no cookie: %w", errBrowser)
	}
	c.SetCookie(s.stateCookie(state, "", -1))
	if sum := sha256.Sum256([]byte(cookie.Value)); subtle.ConstantTimeCompare(sum[:], v.Browser) != 1 {
		return errBrowser
	}
	outcome := frontend.Returned{Done: code != ""}
	if err := s.decide(c, v, code); err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "wechat.html", outcome)
}

// decide confirms the visit's ticket; without a code, the user has refused.
func (s *Server) decide(c echo.Context, v trip, code string) error {
	website := s.site(v.Client).Website
	guest := &visitor{server: s, from: s.proxies.observe(c.Request()), action: ticket.Confirm}
	if code == "" {
		guest.action = ticket.Reject
	}
	ctx := c.Request().Context()
	call := hub.Call{Phone: guest.from.shown, Done: guest.done, Ticket: v.Ticket, Bound: true, Client: s.clientOf,
		Admit: func(t ticket.Ticket) error {
			if website == nil || t.Client != v.Client || !s.clientOf(t.Client).Takes("wechat_web") {
				return invalid("provider: this client does not take wechat_web")
			}
			return guest.admit(t)
		},
		Exchange: func(ctx context.Context) (ticket.Identity, error) {
			if code == "" {
				return ticket.Identity{Provider: "wechat_web"}, nil
			}
			return guest.known(s.exchange(ctx, website, Proof{Code: code, Ticket: v.Ticket}))
		}}
	if code == "" {
		_, err := s.Hub.Reject(ctx, call)
		return err
	}
	_, err := s.Hub.Confirm(ctx, call)
	return err
}

// stateLength is that of random's text.
const stateLength = 43

// random is 256 bits, base64url.
func random() string {
	var raw [32]byte
	rand.Read(raw[:]) // never fails (crypto/rand, Go 1.24)
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// hashOf names a state without telling it.
func hashOf(state string) string {
	sum := sha256.Sum256([]byte(state))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func stateName(state string) string { return "state:" + hashOf(state) }

// cookieName has a name for every visit, so that two windows do not take each
// other's. With __Host- no other host of the domain can set it (RFC 6265bis).
func (s *Server) cookieName(state string) string {
	name := "loginhub-" + hashOf(state)[:8]
	if strings.HasPrefix(s.PublicURL, "https://") {
		name = "__Host-" + name
	}
	return name
}

// stateCookie is for this browser alone. Lax: WeChat's page comes back from
// another site, by a top-level GET.
func (s *Server) stateCookie(state, value string, age int) *http.Cookie {
	return &http.Cookie{Name: s.cookieName(state), Value: value, Path: "/", MaxAge: age, HttpOnly: true,
		Secure: strings.HasPrefix(s.PublicURL, "https://"), SameSite: http.SameSiteLaxMode}
}
