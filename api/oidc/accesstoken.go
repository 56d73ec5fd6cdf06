package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// accessTokenType is the typ of access tokens (RFC 9068, section 2.1).
const accessTokenType = "at+jwt"

// times are the claims of every token about its life.
type times struct {
	IssuedAt int64 `json:"iat"`
	Expires  int64 `json:"exp"`
}

// accessToken is the payload of an access token (RFC 9068, section 2.2). Its audience is
// this hub: an audience that is a client id would let a site take it for an ID token
// (section 5).
type accessToken struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	ClientID string   `json:"client_id"`
	ID       string   `json:"jti"`
	Session  string   `json:"sid"`
	Scope    string   `json:"scope,omitempty"`
	AuthTime int64    `json:"auth_time"`
	ACR      string   `json:"acr"`
	AMR      []string `json:"amr"`
	// Confirmed is the time of the confirm in microseconds, to compare with endUser's.
	Confirmed int64 `json:"confirmed"`
	// User is what userinfo needs beside sub: the hub keeps nothing of a login.
	User userPart `json:"user,omitzero"`
	// Confirmation is the key that the token is bound to.
	Confirmation confirmation `json:"cnf,omitzero"`
	times
}

// confirmation is a key that the holder of a token must prove (RFC 7800, section 3.1;
// RFC 9449, section 6).
type confirmation struct {
	Thumbprint string `json:"jkt"`
}

// tokenType is the token_type of the access token (RFC 9449, section 5).
func (t accessToken) tokenType() string {
	if t.Confirmation != (confirmation{}) {
		return "DPoP"
	}
	return "Bearer"
}

// userPart is the part of a login's claims that userinfo answers with.
type userPart struct {
	OpenID   string `json:"openid,omitempty"`
	UnionID  string `json:"unionid,omitempty"`
	Nickname string `json:"nickname,omitempty"`
	Picture  string `json:"picture,omitempty"`
	Phone    string `json:"phone_number,omitempty"`
}

// newUserPart returns what the client's userinfo can need of a login.
func newUserPart(c *client.Client, login ticket.Claims, scope []string) (u userPart) {
	templates, _ := json.Marshal(c.Claims) // parsed from YAML: it has no other types
	needs := func(name string) bool { return strings.Contains(string(templates), name) }
	profile := slices.Contains(scope, scopeProfile)
	if needs("{openid}") {
		u.OpenID = login.OpenID
	}
	if needs("{unionid}") {
		u.UnionID = login.UnionID
	}
	if profile || needs("{nickname}") {
		u.Nickname = login.Nickname
	}
	if profile {
		u.Picture = login.Picture
	}
	if slices.Contains(scope, scopePhone) {
		u.Phone = login.PhoneNumber
	}
	return u
}

// login returns the claims of the login, as far as the token has them.
func (t accessToken) login() ticket.Claims {
	return ticket.Claims{Subject: t.Subject, OpenID: t.User.OpenID, UnionID: t.User.UnionID, Nickname: t.User.Nickname, Picture: t.User.Picture,
		PhoneNumber: t.User.Phone, PhoneVerified: t.User.Phone != ""}
}

// tokenEndpoints are the endpoints that take tokens.
type tokenEndpoints struct{ *Handlers }

// errToken means that a token is not valid: malformed, of another type or hub, expired or
// revoked.
var errToken = errors.New("the access token is invalid")

// errEnded is an errToken of a token that has expired, or whose login was ended.
var errEnded = fmt.Errorf("%w: it has ended", errToken)

// verifyAccess returns an access token that is valid now, and its client.
func (h *tokenEndpoints) verifyAccess(ctx context.Context, cfg *gate.Config, text string) (t accessToken, site *client.Client, err error) {
	defer func() {
		if errors.Is(err, errToken) {
			h.options.Metrics.IncTokenRefused(refusedAccess, refusalReason(err))
		}
	}()
	if err := h.gate.Hub.MasterKeys.Check(); err != nil {
		return t, nil, err // a starting node may have a key that was revoked
	}
	claims, err := cfg.Signer.Verify(text, accessTokenType)
	if err != nil {
		return t, nil, fmt.Errorf("%w: %w", errToken, err)
	}
	if err := json.Unmarshal(claims, &t); err != nil {
		return t, nil, fmt.Errorf("%w: %w", errToken, err)
	}
	site = cfg.ClientByID[t.ClientID]
	if t.Issuer != h.issuerURL || t.Audience != h.issuerURL || site == nil || !site.OpenID() {
		return t, site, errToken
	}
	if h.states.Now().Unix() >= t.Expires {
		return t, site, errEnded
	}
	ended, err := h.sessionEnded(ctx, t.ClientID, t.Subject, t.Session, t.Confirmed)
	if err != nil {
		return t, site, err
	}
	if ended {
		return t, site, errEnded
	}
	return t, site, nil
}

// Names of the values that end sessions. The name of a user is hashed: Redis shows names.
func endedSession(sid string) string { return "ended:" + sid }
func endedUser(site, sub string) string {
	return "ended-user:" + leftHalfHash(client.AlgRS256, site+"\x00"+sub)
}

// sessionEnded reports whether a session was ended by its id, or with all of its user's
// earlier ones. confirmed is the time of its confirm in microseconds. It costs two commands.
func (h *Handlers) sessionEnded(ctx context.Context, site, sub, sid string, confirmed int64) (bool, error) {
	one, err := h.states.Load(ctx, endedSession(sid))
	if one != nil || err != nil {
		return one != nil, err
	}
	all, err := h.states.Load(ctx, endedUser(site, sub))
	if all == nil || err != nil {
		return false, err
	}
	var end int64
	if err := json.Unmarshal(all, &end); err != nil {
		return true, nil // written by a later release
	}
	return confirmed <= end, nil
}

// checkStopped returns an error for a login that the operator has stopped before its grant
// was redeemed: errGrant if it has ended, ticket.ErrLoginDisabled if the client is switched
// off. Checked before the redemption, so that an error spends nothing.
func (h *Handlers) checkStopped(c echo.Context, t ticket.Ticket) error {
	if !t.WasConfirmed() || t.Claims == nil {
		return nil // Redeem refuses it
	}
	if err := h.gate.Hub.CheckEnabled(t.Client); err != nil {
		return err
	}
	sid, err := gate.SessionID(gate.ConfigOf(c).Signer, t)
	if err != nil {
		return err
	}
	var login ticket.Claims
	if err := json.Unmarshal(t.Claims, &login); err != nil {
		return fmt.Errorf("check ended sessions: read claims: %w", err)
	}
	ended, err := h.sessionEnded(c.Request().Context(), t.Client, login.Subject, sid, t.ConfirmedAt)
	if ended {
		return errGrant
	}
	return err
}

// endSession ends the tokens of a session on all nodes.
func (h *Handlers) endSession(ctx context.Context, site *client.Client, sid string) error {
	return h.states.Save(ctx, endedSession(sid), []byte("1"), sessionLife(site))
}

// endUser ends all logins of a user at a site that were confirmed until now, redeemed or
// not.
func (h *Handlers) endUser(ctx context.Context, site *client.Client, sub string) error {
	return h.states.Save(ctx, endedUser(site.ID, sub), fmt.Append(nil, h.states.Now().UnixMicro()), sessionLife(site))
}

// sessionLife is how long tokens of a login can be valid.
func sessionLife(site *client.Client) time.Duration {
	if site.OfflineAccess {
		return refreshLife + time.Minute
	}
	return accessLife(site) + time.Minute
}

// accessLife is the life of a client's access and ID tokens.
func accessLife(site *client.Client) time.Duration {
	if site.TokenTTL > 0 {
		return site.TokenTTL
	}
	return tokenLife
}
