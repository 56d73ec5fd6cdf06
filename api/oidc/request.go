package oidc

import (
	"bytes"
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
	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

const (
	// requestLife is how long an authorize page can make tickets.
	requestLife = 10 * time.Minute
	// pushedLife is how long a pushed request can be used (RFC 9126, section 2.2).
	pushedLife = 90 * time.Second
	// pushedPrefix begins the request_uri of a pushed request (RFC 9126, section 2.2).
	pushedPrefix = "urn:ietf:params:oauth:request_uri:"
)

// Purposes of sealed values.
const (
	purposeRequest = "authorize"
	purposePushed  = "par"
)

// authRequest is an authorization request that was checked. It waits sealed: as REQUEST
// in its page, or as request_uri at its site. Redis holds nothing of it, so a flood of
// requests costs no memory there.
type authRequest struct {
	ID           string    `json:"id,omitempty"` // of a pushed request, which is used once
	Client       string    `json:"client"`
	RedirectURI  string    `json:"redirect_uri"`
	State        string    `json:"state,omitempty"`
	Nonce        string    `json:"nonce,omitempty"`
	Challenge    string    `json:"challenge,omitempty"`
	DPoPKey      string    `json:"jkt,omitempty"` // as in ticket.Grant
	Scope        string    `json:"scope,omitempty"`
	ResponseMode string    `json:"mode,omitempty"`
	Prompt       string    `json:"prompt,omitempty"`  // none, or ""
	Locales      string    `json:"locales,omitempty"` // ui_locales
	Browser      []byte    `json:"browser,omitempty"` // SHA-256 of the cookie's value
	Until        time.Time `json:"until"`
}

// grant returns the grant of the request's tickets.
func (h *Handlers) grant(r authRequest) *ticket.Grant {
	return &ticket.Grant{Type: ticket.GrantCode, Issuer: h.issuerURL, RedirectURI: r.RedirectURI, State: r.State, Nonce: r.Nonce,
		Challenge: r.Challenge, DPoPKey: r.DPoPKey, Scope: r.Scope, ResponseMode: r.ResponseMode}
}

// seal returns the request as text that only nodes can read.
func (h *Handlers) seal(purpose string, r authRequest, life time.Duration) (string, error) {
	r.Until = h.states.Now().Add(life)
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // otherwise a long state could be six times as long
	if err := encoder.Encode(r); err != nil {
		return "", fmt.Errorf("encode authorization request: %w", err)
	}
	return h.gate.Hub.Keys().SealValue(purpose, text.Bytes())
}

// open returns a sealed request that has not expired.
func (h *Handlers) open(purpose, text string) (r authRequest, err error) {
	raw, err := h.gate.Hub.Keys().OpenValue(purpose, text)
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrRequestExpired, err)
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, fmt.Errorf("decode authorization request: %w", err)
	}
	if !h.states.Now().Before(r.Until) {
		return r, ErrRequestExpired
	}
	return r, nil
}

// TicketRequest returns what a ticket is made of if a page asks for one with its REQUEST:
// the client and the grant. Another browser than the one that opened the page is refused,
// and its try changes nothing.
func (h *Handlers) TicketRequest(c echo.Context, text string) (*client.Client, *ticket.Grant, error) {
	r, err := h.open(purposeRequest, text)
	if err != nil {
		if errors.Is(err, ticket.ErrBrokenSeal) {
			err = ErrRequestExpired
		}
		return nil, nil, err
	}
	if !h.sameBrowser(c.Request(), r.Browser) {
		return nil, nil, ErrRequestForeign
	}
	site := gate.ConfigOf(c).ClientByID[r.Client]
	if site == nil {
		return nil, nil, ticket.ErrUnknownClient
	}
	if !site.HasGrant(client.GrantCode) || !site.AllowsRedirect(r.RedirectURI) { // changed by a reload
		return nil, nil, ErrRequestExpired
	}
	return site, h.grant(r), nil
}

// browserLength is the length of the cookie's value: 256 bits.
const browserLength = 43

// cookieName returns the name of the cookie that binds requests to a browser. With
// __Host- no other host of the domain can set it (RFC 6265bis).
func (h *Handlers) cookieName() string {
	if h.secure() {
		return "__Host-loginhub-oidc"
	}
	return "loginhub-oidc"
}

func (h *Handlers) secure() bool { return strings.HasPrefix(h.gate.PublicURL, "https://") }

// sameBrowser reports whether the request has the cookie with that hash.
func (h *Handlers) sameBrowser(r *http.Request, want []byte) bool {
	cookies := r.CookiesNamed(h.cookieName())
	if len(cookies) != 1 {
		return false
	}
	sum := sha256.Sum256([]byte(cookies[0].Value))
	return subtle.ConstantTimeCompare(sum[:], want) == 1
}

// bindBrowser returns the hash of the browser's cookie, and sets one if it has none. All
// pages of a browser share the cookie, so that several windows do not disturb each other.
func (h *Handlers) bindBrowser(c echo.Context) []byte {
	value := ""
	if cookies := c.Request().CookiesNamed(h.cookieName()); len(cookies) == 1 && len(cookies[0].Value) == browserLength {
		value = cookies[0].Value
	} else {
		var raw [32]byte
		rand.Read(raw[:]) // never fails (crypto/rand, Go 1.24)
		value = base64.RawURLEncoding.EncodeToString(raw[:])
	}
	// SameSite=Lax: the site sends the browser here from its own origin.
	c.SetCookie(&http.Cookie{Name: h.cookieName(), Value: value, Path: "/", MaxAge: int(2 * requestLife / time.Second),
		HttpOnly: true, Secure: h.secure(), SameSite: http.SameSiteLaxMode})
	sum := sha256.Sum256([]byte(value))
	return sum[:]
}
