package oidc

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/hub/client"
)

// LogoutPage is what the logout page shows.
type LogoutPage struct {
	Site *client.Client // nil if none is known
	// Ask: nothing proves that the site asks. The page has a form that posts Fields.
	Ask    bool
	Fields map[string]string
}

// idTokenHint is what logout reads of an ID token.
type idTokenHint struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Session  string `json:"sid"`
}

// logout is GET and POST /oauth2/logout (OpenID Connect RP-Initiated Logout 1.0). The hub
// has no session of its own: a logout ends the tokens of the login that the id_token_hint
// names, and sends its site a logout token. Without a valid hint the page asks first, and
// then only returns to the site. The browser is sent to no address but one of the
// client's post_logout_redirect_uris.
func (h *tokenEndpoints) logout(c echo.Context) error {
	noStore(c)
	params, err := logoutParams(c)
	if err != nil {
		return h.logoutFailed(c, "The request is malformed", "Each parameter is given once; a POST is a form.")
	}
	cfg := gate.ConfigOf(c)
	hint, proven := h.readHint(cfg, params.Get("id_token_hint"))
	id := params.Get("client_id")
	if proven && id != "" && id != hint.Audience {
		return h.logoutFailed(c, "The request contradicts itself", "client_id is not the client of id_token_hint.")
	}
	if proven {
		id = hint.Audience
	}
	site := cfg.ClientByID[id]
	if site != nil && !site.OpenID() {
		site = nil
	}
	back := params.Get("post_logout_redirect_uri")
	if back != "" && (site == nil || !slices.Contains(site.PostLogoutRedirectURIs, back)) {
		return h.logoutFailed(c, "The address to return to is not allowed", "post_logout_redirect_uri must be one of the client's post_logout_redirect_uris, and id_token_hint or client_id must name the client.")
	}
	asked := c.Request().Method == http.MethodPost && params.Get("confirmed") == "1"
	if !proven && !asked {
		return h.options.LogoutPage(c, askPage(site, params))
	}
	if proven && site != nil {
		if err := h.endLogin(c.Request().Context(), site, hint); err != nil {
			return err
		}
	}
	if back != "" {
		return c.Redirect(http.StatusSeeOther, withState(back, params.Get("state")))
	}
	return h.options.LogoutPage(c, LogoutPage{})
}

func (h *tokenEndpoints) logoutFailed(c echo.Context, title, detail string) error {
	return h.options.Failed(c, http.StatusBadRequest, "invalid_request", title, detail)
}

// askPage returns the page that asks, with what a confirmed logout needs again.
func askPage(site *client.Client, params url.Values) LogoutPage {
	p := LogoutPage{Site: site, Ask: true, Fields: map[string]string{"confirmed": "1"}}
	for _, name := range []string{"client_id", "post_logout_redirect_uri", "state"} {
		if value := params.Get(name); value != "" {
			p.Fields[name] = value
		}
	}
	return p
}

// maxLogoutState bounds state, which the address returns, in bytes.
const maxLogoutState = 2048

// logoutParams returns the parameters of the query or of the form.
func logoutParams(c echo.Context) (params url.Values, err error) {
	if c.Request().Method == http.MethodPost {
		params, err = readForm(c)
	} else {
		params, err = url.ParseQuery(c.Request().URL.RawQuery)
		if err == nil {
			err = cleanParams(params)
		}
	}
	if err == nil && len(params.Get("state")) > maxLogoutState {
		err = newError("invalid_request", "state is too long")
	}
	return params, err
}

// readHint returns the ID token of a hint. It may have expired, but a key of the JWKS
// must have signed it.
func (h *tokenEndpoints) readHint(cfg *gate.Config, text string) (hint idTokenHint, ok bool) {
	if text == "" {
		return hint, false
	}
	claims, err := cfg.Signer.Verify(text, idTokenType)
	if err == nil {
		err = json.Unmarshal(claims, &hint)
	}
	ok = err == nil && hint.Issuer == h.issuerURL && hint.Subject != "" && hint.Session != ""
	if !ok {
		h.options.Metrics.IncTokenRefused(refusedHint, refusalReason(err))
	}
	return hint, ok
}

// endLogin ends the tokens of a login, and sends its site one logout token.
func (h *tokenEndpoints) endLogin(ctx context.Context, site *client.Client, hint idTokenHint) error {
	if err := h.endSession(ctx, site, hint.Session); err != nil {
		return err
	}
	name := "logout-put:" + hint.Session
	if sent, err := h.states.Load(ctx, name); err != nil || sent != nil || site.BackchannelLogoutURI == "" {
		return err
	}
	// The outbox takes a message of an id once, so that of concurrent logouts one counts. It
	// is put before it is marked: a node that dies in between loses none.
	if err := sendLogout(ctx, h.options.Notifier, site, logout{hint.Subject, hint.Session}, hint.Session); err != nil {
		return err
	}
	return h.states.Save(ctx, name, []byte("1"), sessionLife(site))
}

// withState adds the state to an address that the client's settings list.
func withState(to, state string) string {
	if state == "" {
		return to
	}
	separator := "?"
	if strings.Contains(to, "?") {
		separator = "&"
	}
	return to + separator + "state=" + url.QueryEscape(state)
}
