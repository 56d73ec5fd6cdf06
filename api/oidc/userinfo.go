package oidc

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/request"
)

// userinfo is GET and POST /oauth2/userinfo (OpenID Connect Core 1.0, section 5.3). It
// takes an access token only: an ID token or a login token has another typ.
func (h *tokenEndpoints) userinfo(c echo.Context) error {
	noStore(c)
	text, err := bearerToken(c)
	if err != nil {
		return challenge(c, http.StatusBadRequest, "invalid_request", "one access token, in the Authorization header or in the form")
	}
	if text == "" {
		return challenge(c, http.StatusUnauthorized, "invalid_request", "")
	}
	t, site, err := h.verifyAccess(c.Request().Context(), gate.ConfigOf(c), text)
	switch {
	case errors.Is(err, errToken):
		return challenge(c, http.StatusUnauthorized, "invalid_token", "the access token is malformed, expired, revoked or of another kind")
	case err != nil:
		return err
	}
	scope := strings.Fields(t.Scope)
	if !slices.Contains(scope, scopeOpenID) {
		return challenge(c, http.StatusForbidden, "insufficient_scope", "the scope openid is needed")
	}
	claims := userClaims(site, t.login(), scope)
	claims["sub"] = t.Subject
	return c.JSON(http.StatusOK, claims)
}

// bearerToken returns the token of a request (RFC 6750, section 2): of the header or of
// the form, never of the query, which logs keep. "" means none; two are an error.
func bearerToken(c echo.Context) (string, error) {
	headers := c.Request().Header.Values(echo.HeaderAuthorization)
	scheme, text, _ := strings.Cut(strings.Join(headers, ","), " ")
	if text = strings.TrimSpace(text); len(headers) > 0 && (!strings.EqualFold(scheme, "Bearer") || text == "") {
		text = ""
	}
	if c.Request().Method != http.MethodPost || c.Request().ContentLength == 0 {
		return text, nil
	}
	form, err := readForm(c)
	switch {
	case errors.Is(err, request.ErrForm):
		return text, nil // a POST without a form
	case err != nil:
		return "", err
	case text != "" && form.Has("access_token"):
		return "", request.ErrRequest
	case text == "":
		text = form.Get("access_token")
	}
	return text, nil
}

// challenge answers with an error of a protected resource (RFC 6750, section 3). Without
// a description the header only names the scheme: the request had no token.
func challenge(c echo.Context, status int, code, description string) error {
	header := `Bearer realm="loginhub"`
	if description != "" {
		header += `, error="` + code + `", error_description="` + description + `"`
	}
	c.Response().Header().Set("WWW-Authenticate", header)
	return c.JSON(status, errorBody{code, description, request.ID(c)})
}
