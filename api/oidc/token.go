package oidc

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/token"
	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// tokenRequest is a request to the token endpoint whose client is authenticated.
type tokenRequest struct {
	site  *client.Client
	form  url.Values
	proof *dpopProof // nil for bearer tokens
}

// token is POST /oauth2/token (RFC 6749, section 3.2).
func (h *Handlers) token(c echo.Context) (err error) {
	noStore(c)
	grant := otherGrant
	defer func() {
		outcome := "ok"
		if err != nil {
			refusal, _ := AsError(err)
			outcome = refusal.Code
		}
		h.options.Metrics.IncGrant(grant, outcome)
	}()
	form, err := readForm(c)
	if err != nil {
		return err
	}
	for name, kind := range grantTypes {
		if kind == form.Get("grant_type") {
			grant = name
		}
	}
	site, err := h.authenticate(c, form, tokenPath)
	if err != nil {
		return err
	}
	exchange := map[string]func(echo.Context, tokenRequest) (tokenResponse, error){
		client.GrantCode:    h.exchangeCode,
		client.GrantDevice:  h.devices.exchangeDevice,
		client.GrantRefresh: (&tokenEndpoints{h}).refresh,
	}
	run := exchange[grant]
	switch {
	case !form.Has("grant_type"):
		return newError("invalid_request", "grant_type is required")
	case run == nil:
		return newError("unsupported_grant_type", "see grant_types_supported in the discovery document")
	case !site.HasGrant(grant):
		return newError("unauthorized_client", "the client's settings do not list this grant")
	}
	proof, err := h.readDPoP(c, tokenPath, "")
	switch {
	case err != nil:
		return err
	case proof == nil && site.DPoPBound:
		return errDPoP("the settings of this client have dpop_bound_access_tokens: send a DPoP header")
	}
	response, err := run(c, tokenRequest{site, form, proof})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, response)
}

// errGrant is the one answer to every code that cannot be exchanged.
var errGrant = newError("invalid_grant", "the code is unknown, expired, used, or of another client, redirect URI or verifier")

// exchangeCode is the grant authorization_code (RFC 6749, section 4.1.3). What does not
// fit the code leaves it unspent. A code that comes again ends the access token that it
// gave first (section 4.1.2).
func (h *Handlers) exchangeCode(c echo.Context, r tokenRequest) (tokenResponse, error) {
	ctx, site, form := c.Request().Context(), r.site, r.form
	code := form.Get("code")
	if code == "" {
		return tokenResponse{}, newError("invalid_request", "code is required")
	}
	id, err := ticket.ParseCode(code)
	if err != nil {
		return tokenResponse{}, errGrant
	}
	t, now, err := h.gate.Hub.Redeem(ctx, id, h.gate.Addr(c).AuditAddr, func(t ticket.Ticket) error {
		if t.Client != site.ID || t.Grant == nil || t.Grant.Type != ticket.GrantCode || form.Get("redirect_uri") != t.Grant.RedirectURI ||
			!verifies(form.Get("code_verifier"), t.Grant.Challenge) {
			return errGrant
		}
		// A node that cannot sign the tokens must not spend the code.
		if _, err := gate.ConfigOf(c).Signer.KeyTag(t.Key, site.IDTokenAlg); err != nil {
			return fmt.Errorf("exchange code: %w: %w", ticket.ErrUnknownKey, err)
		}
		if err := h.gate.Hub.Keys().CheckCode(t, code); err != nil {
			return err
		}
		if err := h.checkStopped(c, t); err != nil {
			return err
		}
		if err := r.requireKey(ctx, h.gate.Log, t.Grant.DPoPKey); err != nil {
			return err
		}
		return r.proof.spend(ctx)
	})
	if errors.Is(err, ticket.ErrRedeemed) {
		if err := h.revokeFirst(c, site, t); err != nil {
			return tokenResponse{}, err
		}
	}
	if err != nil {
		return tokenResponse{}, grantError(err)
	}
	return h.issuer(c).issue(ctx, Login{Client: site, Ticket: t, Scope: strings.Fields(t.Grant.Scope), Nonce: t.Grant.Nonce, DPoPKey: r.proof.thumbprint(), Now: now})
}

// issuer returns the issuer of the request's configuration.
func (h *Handlers) issuer(c echo.Context) *issuer {
	return &issuer{url: h.issuerURL, signer: func() *token.Signer { return gate.ConfigOf(c).Signer }, states: h.states, log: h.gate.Log}
}

// revokeFirst ends the tokens that the ticket's grant gave.
func (h *Handlers) revokeFirst(c echo.Context, site *client.Client, t ticket.Ticket) error {
	sid, err := gate.SessionID(gate.ConfigOf(c).Signer, t)
	if err != nil {
		return err
	}
	return h.endSession(c.Request().Context(), site, sid)
}

// grantError returns errGrant for every error that says what the ticket is, and other
// errors unchanged.
func grantError(err error) error {
	for _, state := range []error{ticket.ErrNotFound, ticket.ErrBrokenSeal, ticket.ErrRedeemed, ticket.ErrExpired, ticket.ErrClosed, ticket.ErrNotConfirmed} {
		if errors.Is(err, state) {
			return errGrant
		}
	}
	return err
}

// verifierText matches a code verifier (RFC 7636, section 4.1).
var verifierText = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// verifies reports whether the verifier belongs to the challenge (RFC 7636, section 4.6).
// A verifier without a challenge is refused: somebody may have removed the challenge from
// the request (RFC 9700, section 4.8.2).
func verifies(verifier, challenge string) bool {
	if challenge == "" {
		return verifier == ""
	}
	sum := sha256.Sum256([]byte(verifier))
	return verifierText.MatchString(verifier) && subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}
