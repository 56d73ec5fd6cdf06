package oidc

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/hub/client"
)

// par is POST /oauth2/par (RFC 9126): the site sends its request itself, and the browser
// only carries its name. The name is the sealed request: nothing is stored.
func (h *Handlers) par(c echo.Context) error {
	noStore(c)
	form, err := readForm(c)
	if err != nil {
		return err
	}
	site, err := h.authenticate(c, form, parPath)
	if err != nil {
		return err
	}
	if err := h.gate.Limits.OpenID.Allow(h.gate.Addr(c).RateKey, site.ID, time.Now()); err != nil {
		return err
	}
	switch {
	case !site.HasGrant(client.GrantCode):
		return newError("unauthorized_client", "the client has no redirect_uris")
	case form.Has("request_uri"):
		return newError("invalid_request", "request_uri is not allowed here")
	case form.Has("client_id") && form.Get("client_id") != site.ID:
		return newError("invalid_request", "client_id is another client")
	case !site.AllowsRedirect(form.Get("redirect_uri")):
		return newError("invalid_request", errRedirectURI.Error())
	}
	r, err := checkRequest(site, form, nil)
	if err != nil {
		return err
	}
	if err := h.bindPushed(c, &r); err != nil {
		return err
	}
	r.ID = rand.Text()
	text, err := h.seal(purposePushed, r, pushedLife)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, struct {
		RequestURI string `json:"request_uri"`
		ExpiresIn  int    `json:"expires_in"`
	}{pushedPrefix + text, int(pushedLife / time.Second)})
}

// bindPushed binds the code to the key of the request's DPoP proof, if it has one (RFC
// 9449, section 10.1).
func (h *Handlers) bindPushed(c echo.Context, r *authRequest) error {
	proof, err := h.readDPoP(c, parPath, "")
	if proof == nil || err != nil {
		return err
	}
	if r.DPoPKey != "" && r.DPoPKey != proof.key {
		return errDPoP("the key of the proof is not that of dpop_jkt")
	}
	r.DPoPKey = proof.key
	return proof.spend(c.Request().Context())
}

// errPushed is the error of a request_uri that cannot be used.
var errPushed = errors.New("request_uri is unknown, expired, used, or of another client")

// openPushed returns the pushed request that the browser brings. It is used once: somebody
// who sees the address afterwards cannot begin the same login.
func (h *Handlers) openPushed(c echo.Context, site *client.Client, params url.Values) (authRequest, error) {
	text, _ := strings.CutPrefix(params.Get("request_uri"), pushedPrefix)
	r, err := h.open(purposePushed, text)
	if errors.Is(err, ErrRequestExpired) || err == nil && (r.Client != site.ID || len(params["request_uri"]) > 1 || !site.AllowsRedirect(r.RedirectURI)) {
		return r, errPushed
	}
	if err != nil {
		return r, err
	}
	first, err := h.states.SetNX(c.Request().Context(), "par:"+r.ID, pushedLife)
	if err != nil {
		return r, err
	}
	if !first {
		return r, errPushed
	}
	r.ID = ""
	return r, nil
}
