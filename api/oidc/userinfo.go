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
	sent, err := readAccessToken(c)
	if err != nil {
		return sent.challenge(c, http.StatusBadRequest, "invalid_request", "one access token, in the Authorization header or in the form")
	}
	if sent.text == "" {
		return sent.challenge(c, http.StatusUnauthorized, "invalid_request", "")
	}
	t, site, err := h.verifyAccess(c.Request().Context(), gate.ConfigOf(c), sent.text)
	if err == nil {
		err = h.proveKey(c, &sent, t)
	}
	var proof *Error
	switch {
	case errors.As(err, &proof):
		h.options.Metrics.IncTokenRefused(refusedAccess, reasonNoProof)
		return sent.challenge(c, http.StatusUnauthorized, proof.Code, proof.Description)
	case errors.Is(err, errToken):
		return sent.challenge(c, http.StatusUnauthorized, "invalid_token", "the access token is malformed, expired, revoked or of another kind")
	case err != nil:
		return err
	}
	scope := strings.Fields(t.Scope)
	if !slices.Contains(scope, scopeOpenID) {
		return sent.challenge(c, http.StatusForbidden, "insufficient_scope", "the scope openid is needed")
	}
	claims := userClaims(site, t.login(), scope)
	claims["sub"] = t.Subject
	return c.JSON(http.StatusOK, claims)
}

// sentToken is the access token of a request, as it was sent.
type sentToken struct {
	text string
	dpop bool // with the scheme DPoP (RFC 9449, section 7.1), otherwise Bearer or a form (RFC 6750)
}

// readAccessToken returns the token of a request (RFC 6750, section 2): of the header or
// of the form, never of the query, which logs keep. "" means none; two are an error.
func readAccessToken(c echo.Context) (sent sentToken, err error) {
	scheme, text, _ := strings.Cut(strings.Join(c.Request().Header.Values(echo.HeaderAuthorization), ","), " ")
	sent.dpop = strings.EqualFold(scheme, "DPoP")
	if sent.dpop || strings.EqualFold(scheme, "Bearer") {
		sent.text = strings.TrimSpace(text)
	}
	if c.Request().Method != http.MethodPost || c.Request().ContentLength == 0 {
		return sent, nil
	}
	form, err := readForm(c)
	switch {
	case errors.Is(err, request.ErrForm):
		return sent, nil // a POST without a form
	case err != nil:
		return sent, err
	case sent.text != "" && form.Has("access_token"):
		return sent, request.ErrRequest
	case sent.text == "":
		sent = sentToken{text: form.Get("access_token")}
	}
	return sent, nil
}

// proveKey checks the proof of a token that is bound to a key. A bound token is no bearer
// token, and a bearer token is no bound one (RFC 9449, sections 7.1 and 7.2).
func (h *tokenEndpoints) proveKey(c echo.Context, sent *sentToken, t accessToken) error {
	bound := t.Confirmation.Thumbprint
	switch {
	case bound == "" && !sent.dpop:
		return nil
	case bound == "":
		return newError("invalid_token", "the access token is not bound to a key: send it with the scheme Bearer")
	case !sent.dpop:
		sent.dpop = true // for the challenge
		return newError("invalid_token", "the access token is bound to a key: send it with the scheme DPoP and a proof")
	}
	proof, err := h.readDPoP(c, userinfoPath, sent.text)
	switch {
	case err != nil:
		return err
	case proof == nil:
		return errDPoP("send a DPoP header with a proof of the token's key")
	case proof.key != bound:
		return newError("invalid_token", "the access token is bound to another key than that of the DPoP proof")
	}
	return proof.spend(c.Request().Context())
}

// challenge answers with an error of a protected resource (RFC 6750, section 3; RFC 9449,
// section 7.1). Without a description the header only names the schemes: the request had
// no token.
func (sent sentToken) challenge(c echo.Context, status int, code, description string) error {
	params := ""
	if description != "" {
		params = `, error="` + code + `", error_description="` + description + `"`
	}
	header := c.Response().Header()
	if !sent.dpop {
		header.Add("WWW-Authenticate", `Bearer realm="loginhub"`+params)
	}
	if sent.dpop || description == "" {
		header.Add("WWW-Authenticate", `DPoP realm="loginhub"`+params+`, algs="`+joinAlgorithms()+`"`)
	}
	return c.JSON(status, errorBody{code, description, request.ID(c)})
}
