package login

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/request"
	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// Errors of an exchange.
var (
	// ErrClientSecret means that a site's back end did not show its client's secret.
	ErrClientSecret = errors.New("the client's secret is missing or wrong")
	// ErrCode means that a site's back end sent a code that is not its client's, or too late.
	ErrCode = errors.New("the code is not known")
)

// exchangeResponse is the answer to an exchange: what a view has without delivery by code.
type exchangeResponse struct {
	Token          string `json:"token"`
	TokenType      string `json:"token_type"`
	TokenExpiresIn int64  `json:"token_expires_in"` // seconds
}

// Exchange is POST /api/login/exchange: the back end of a site with delivery by code gives
// the code that its page got, and receives the token. A code works once. A refused exchange
// does not spend it.
func (l *Handlers) Exchange(c echo.Context) error {
	body, err := request.ReadBody(c)
	if err != nil {
		return err
	}
	var in struct {
		Code  string `json:"code"`
		Nonce string `json:"nonce"`
	}
	if err := request.DecodeBody(body, &in); err != nil {
		return err
	}
	if in.Code == "" {
		return request.Invalid("code: required, the code of the confirmed view")
	}
	cfg := gate.ConfigOf(c)
	site, named := siteOf(cfg, c.Request())
	if site == nil {
		c.Response().Header().Set("WWW-Authenticate", `Basic realm="loginhub"`)
		l.ClientRefused(named)
		return l.gate.AuditRefusal("exchange", ticket.Ticket{Client: named}, c, ErrClientSecret)
	}
	id, err := ticket.ParseCode(in.Code)
	if err != nil {
		return l.gate.AuditRefusal("exchange", ticket.Ticket{Client: site.ID}, c, fmt.Errorf("%w: %w", ErrCode, err))
	}
	var token string // signed before the code is spent
	var claims ticket.Claims
	_, now, err := l.gate.Hub.Redeem(c.Request().Context(), id, l.gate.Addr(c).AuditAddr, func(t ticket.Ticket) error {
		if t.Client != site.ID || t.Grant == nil || t.Grant.Type != ticket.GrantExchange || t.Grant.Seq == 0 {
			return ticket.ErrNotFound
		}
		if err := l.gate.Hub.Keys().CheckCode(t, in.Code); err != nil {
			return err
		}
		if in.Nonce != t.Nonce {
			return request.Invalid("nonce: it is not the one with which the page asked for the ticket")
		}
		if err := l.gate.Hub.CheckEnabled(site.ID); err != nil || t.Claims == nil { // without claims Redeem refuses
			return err
		}
		if err := json.Unmarshal(t.Claims, &claims); err != nil {
			return fmt.Errorf("exchange code: read claims: %w", err)
		}
		token, err = cfg.Signer.SignLogin(t.Key, t.SignKey, t.Claims)
		if err != nil {
			return fmt.Errorf("exchange code: %w: %w", ticket.ErrUnknownKey, err)
		}
		return nil
	})
	switch {
	case errors.Is(err, ticket.ErrRedeemed):
		err = fmt.Errorf("%w: %w", ticket.ErrClosed, err)
	case errors.Is(err, ticket.ErrNotFound):
		err = fmt.Errorf("%w: %w", ErrCode, err)
	}
	if err != nil {
		return l.gate.AuditRefusal("exchange", ticket.Ticket{ID: id, Client: site.ID}, c, err)
	}
	left := ticket.Seconds(time.Unix(claims.Expires, 0).Sub(now))
	return c.JSON(http.StatusOK, exchangeResponse{Token: token, TokenType: "Bearer", TokenExpiresIn: left})
}

// siteOf returns the client whose id and secret the request has (RFC 7617), or nil and the
// configured client that it names, if any. A client may have left delivery by code while a
// login was under way. Libraries of OAuth encode id and secret as in a form (RFC 6749,
// section 2.3.1), others do not.
func siteOf(cfg *gate.Config, r *http.Request) (site *client.Client, named string) {
	id, secret, _ := r.BasicAuth()
	for _, decode := range []func(string) (string, error){asIs, url.QueryUnescape} {
		name, err := decode(id)
		if err != nil {
			return nil, named
		}
		plain, err := decode(secret)
		if err != nil {
			return nil, named
		}
		if site := cfg.ClientByID[name]; site != nil {
			if named = site.ID; site.HasSecret(plain) {
				return site, named
			}
		}
	}
	return nil, named
}

func asIs(text string) (string, error) { return text, nil }
