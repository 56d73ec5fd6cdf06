package oidc

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
)

// introspection is the answer of the introspection endpoint (RFC 7662, section 2.2).
type introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Expires   int64    `json:"exp,omitempty"`
	IssuedAt  int64    `json:"iat,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  string   `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	ID        string   `json:"jti,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	ACR       string   `json:"acr,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	// Confirmation is the key that the holder must prove (RFC 9449, section 6.2). A refresh
	// token has one only if its client got it without a secret (section 5).
	Confirmation confirmation `json:"cnf,omitzero"`
}

// introspect is POST /oauth2/introspect (RFC 7662). A client learns about its own tokens
// only; every other text is not active.
func (h *tokenEndpoints) introspect(c echo.Context) error {
	noStore(c)
	form, err := readForm(c)
	if err != nil {
		return err
	}
	site, err := h.authenticate(c, form, introspectPath)
	if err != nil {
		return err
	}
	if site.Public() {
		return errClient // the caller has proven nothing (section 2.1)
	}
	text, ctx, cfg := form.Get("token"), c.Request().Context(), gate.ConfigOf(c)
	if text == "" {
		return newError("invalid_request", "token is required")
	}
	if sid, number, err := parseRefresh(cfg.Signer, text); err == nil {
		s, ok, err := h.loadSession(ctx, site, sid)
		if err != nil {
			return err
		}
		if !ok || number <= s.Used {
			return c.JSON(http.StatusOK, introspection{})
		}
		return c.JSON(http.StatusOK, introspection{Active: true, Scope: strings.Join(s.Scope, " "), ClientID: s.Client, Expires: s.Ends,
			Subject: s.Login.Subject, Issuer: h.issuerURL, AuthTime: s.Login.AuthTime, ACR: acr, AMR: s.Login.AMR, Confirmation: confirmation{s.DPoPKey}})
	}
	t, _, err := h.verifyAccess(ctx, cfg, text)
	if err != nil && !errors.Is(err, errToken) {
		return err
	}
	if err != nil || t.ClientID != site.ID {
		return c.JSON(http.StatusOK, introspection{})
	}
	return c.JSON(http.StatusOK, introspection{Active: true, Scope: t.Scope, ClientID: t.ClientID, TokenType: t.tokenType(), Expires: t.Expires, IssuedAt: t.IssuedAt,
		Subject: t.Subject, Audience: t.Audience, Issuer: t.Issuer, ID: t.ID, AuthTime: t.AuthTime, ACR: t.ACR, AMR: t.AMR, Confirmation: t.Confirmation})
}

// revoke is POST /oauth2/revoke (RFC 7009). It ends all tokens of the token's login, and
// answers 200 for a token that is not valid any more.
func (h *tokenEndpoints) revoke(c echo.Context) error {
	noStore(c)
	form, err := readForm(c)
	if err != nil {
		return err
	}
	site, err := h.authenticate(c, form, revokePath)
	if err != nil {
		return err
	}
	text, ctx, cfg := form.Get("token"), c.Request().Context(), gate.ConfigOf(c)
	if text == "" {
		return newError("invalid_request", "token is required")
	}
	sid, own := "", true
	if id, _, err := parseRefresh(cfg.Signer, text); err == nil {
		s, ok, err := h.loadSession(ctx, site, id)
		if err != nil {
			return err
		}
		if ok {
			sid = s.ID
		}
	} else {
		t, _, err := h.verifyAccess(ctx, cfg, text)
		if err != nil && !errors.Is(err, errToken) {
			return err
		}
		if err == nil {
			sid, own = t.Session, t.ClientID == site.ID
		}
	}
	if !own {
		return newError("invalid_grant", "the token was issued to another client")
	}
	if sid != "" {
		if err := h.endSession(ctx, site, sid); err != nil {
			return err
		}
	}
	return c.NoContent(http.StatusOK)
}
