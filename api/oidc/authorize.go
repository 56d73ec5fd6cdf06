package oidc

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/request"
	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// authorize is GET and POST /oauth2/authorize (RFC 6749, section 4.1.1; OpenID Connect
// Core 1.0, section 3.1.2.1): the login page of the request. Errors go to the site only if
// its redirect URI is proven; otherwise a person sees a page.
func (h *Handlers) authorize(c echo.Context) error {
	noStore(c)
	params := c.QueryParams()
	if c.Request().Method == http.MethodPost {
		var err error
		if params, err = request.ReadForm(c); err != nil {
			return err
		}
	}
	repeated := cleanParams(params)
	site := gate.ConfigOf(c).ClientByID[params.Get("client_id")]
	if site == nil || !site.HasGrant(client.GrantCode) || len(params["client_id"]) > 1 {
		return h.fail(c, errUnknownSite)
	}
	if err := h.gate.Limits.OpenID.Allow(h.gate.Addr(c).RateKey, site.ID, time.Now()); err != nil {
		return err
	}
	if uri := params.Get("request_uri"); strings.HasPrefix(uri, pushedPrefix) {
		r, err := h.openPushed(c, site, params)
		if errors.Is(err, errPushed) {
			return h.fail(c, err)
		}
		if err != nil {
			return err
		}
		return h.show(c, site, r)
	}
	if uris := params["redirect_uri"]; len(uris) != 1 || !site.AllowsRedirect(uris[0]) {
		return h.fail(c, errRedirectURI)
	}
	r, err := checkRequest(site, params, repeated)
	var wrong *Error
	if errors.As(err, &wrong) {
		return h.respond(c, r, wrong)
	}
	return h.show(c, site, r)
}

// show answers with the page of a checked request.
func (h *Handlers) show(c echo.Context, site *client.Client, r authRequest) error {
	if r.Prompt == "none" {
		return h.respond(c, r, newError("login_required", "the hub keeps no session: each login is a scan"))
	}
	r.Browser = h.bindBrowser(c)
	text, err := h.seal(purposeRequest, r, requestLife)
	if err != nil {
		return err
	}
	page := Page{ClientID: site.ID, Request: text, FormPost: r.ResponseMode == ticket.ModeFormPost, Locales: r.Locales}
	if u, err := url.Parse(r.RedirectURI); err == nil {
		page.Host = u.Host
	}
	return h.options.Page(c, page)
}

// respond sends an error to the site.
func (h *Handlers) respond(c echo.Context, r authRequest, e *Error) error {
	params := []string{"error", e.Code}
	if e.Description != "" {
		params = append(params, "error_description", e.Description)
	}
	return h.options.GoOn(c, h.grant(r).Respond(params...))
}

// Errors of a request whose redirect URI is not proven.
var (
	errUnknownSite = errors.New("this site is not registered here: client_id names no client with redirect_uris")
	errRedirectURI = errors.New("redirect_uri is missing, or is not exactly one of the client's redirect_uris")
)

// fail answers with a page for a person, who never leaves the hub.
func (h *Handlers) fail(c echo.Context, err error) error {
	return h.options.Failed(c, http.StatusBadRequest, "invalid_request", "This sign-in cannot begin",
		"Go back to the site and try again. For its developer: "+err.Error()+".")
}

// checkRequest checks the parameters of a request with a proven redirect URI. The
// returned request always has what an error response needs.
func checkRequest(site *client.Client, params url.Values, repeated error) (authRequest, error) {
	r := authRequest{Client: site.ID, RedirectURI: params.Get("redirect_uri")}
	if state := params.Get("state"); len(params["state"]) == 1 && isText(state, ticket.MaxState) {
		r.State = state
	}
	if params.Get("response_mode") == ticket.ModeFormPost && isWeb(r.RedirectURI) {
		r.ResponseMode = ticket.ModeFormPost
	}
	if repeated != nil {
		return r, repeated
	}
	for _, name := range []string{"request", "request_uri", "registration"} {
		if params.Has(name) {
			return r, newError(name+"_not_supported", "send the parameters themselves")
		}
	}
	switch params.Get("response_type") {
	case "code":
	case "":
		return r, newError("invalid_request", "response_type is required")
	default:
		return r, newError("unsupported_response_type", "response_type must be code")
	}
	switch mode := params.Get("response_mode"); {
	case !slices.Contains([]string{"", "query", ticket.ModeFormPost}, mode):
		return r, newError("invalid_request", "response_mode must be query or form_post")
	case mode == ticket.ModeFormPost && r.ResponseMode == "":
		return r, newError("invalid_request", "response_mode form_post needs a redirect_uri with http or https")
	}
	if params.Has("state") && r.State == "" {
		return r, newError("invalid_request", fmt.Sprintf("state must be text of at most %d bytes", ticket.MaxState))
	}
	if r.Nonce = params.Get("nonce"); !isText(r.Nonce, ticket.MaxGrantNonce) {
		return r, newError("invalid_request", fmt.Sprintf("nonce must be text of at most %d bytes", ticket.MaxGrantNonce))
	}
	var err error
	if r.Challenge, err = checkChallenge(site, params); err != nil {
		return r, err
	}
	if r.Scope, err = checkScope(site, params.Get("scope")); err != nil {
		return r, err
	}
	if r.DPoPKey = params.Get("dpop_jkt"); r.DPoPKey != "" && !isThumbprint(r.DPoPKey) {
		return r, newError("invalid_request", "dpop_jkt must be the SHA-256 thumbprint of the DPoP key in base64url")
	}
	if locales := params.Get("ui_locales"); isText(locales, maxLocales) { // others are ignored
		r.Locales = locales
	}
	// login, consent and select_account are what each login is anyway. max_age is met by
	// each login too; hints do not change one.
	if prompts := strings.Fields(params.Get("prompt")); slices.Contains(prompts, "none") {
		if r.Prompt = "none"; len(prompts) > 1 {
			return r, newError("invalid_request", "prompt none excludes other values")
		}
	}
	return r, nil
}

// checkChallenge returns the code challenge: S256 only, and required of clients without
// credentials (RFC 7636; RFC 9700, section 2.1.1).
func checkChallenge(site *client.Client, params url.Values) (string, error) {
	challenge, method := params.Get("code_challenge"), params.Get("code_challenge_method")
	switch {
	case challenge == "" && method != "":
		return "", newError("invalid_request", "code_challenge_method without code_challenge")
	case challenge == "" && site.Public():
		return "", newError("invalid_request", "code_challenge is required of a public client")
	case challenge == "":
		return "", nil
	case method != "S256":
		return "", newError("invalid_request", "code_challenge_method must be S256")
	}
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(challenge); err != nil || len(raw) != 32 {
		return "", newError("invalid_request", "code_challenge must be the SHA-256 of the verifier in base64url")
	}
	return challenge, nil
}

// checkScope returns the requested scopes, each once and without those that the client
// may not have.
func checkScope(site *client.Client, text string) (string, error) {
	if len(text) > ticket.MaxScope || strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }) {
		return "", newError("invalid_scope", fmt.Sprintf("at most %d bytes of names with spaces between", ticket.MaxScope))
	}
	var scopes []string
	for _, scope := range strings.Fields(text) {
		if !slices.Contains(scopes, scope) && (scope != scopeOffline || site.OfflineAccess) {
			scopes = append(scopes, scope)
		}
	}
	return strings.Join(scopes, " "), nil
}

// maxLocales bounds ui_locales, in bytes.
const maxLocales = 256

// isText reports whether the text has at most that many bytes and no control characters.
func isText(text string, limit int) bool {
	return len(text) <= limit && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// isWeb reports whether a browser can post a form to the URI.
func isWeb(uri string) bool {
	return strings.HasPrefix(uri, "https://") || strings.HasPrefix(uri, "http://")
}
