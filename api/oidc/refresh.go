package oidc

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/token"
	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// A refresh token is KID.SID.NUMBER.MAC. The MAC derives from a master key, so Redis
// holds no refresh token, nor anything to derive one from. Redis holds the session,
// encrypted, under its sid.
//
// Each token is used once and gives the next one. A token that comes twice was copied: the
// session ends, with all of its tokens (RFC 9700, section 4.14.2).

// refreshLife is the life of a session's refresh tokens, from the login.
const refreshLife = 30 * 24 * time.Hour

var errRefresh = newError("invalid_grant", "the refresh token is unknown, expired, used, or of another client")

// refreshToken returns a session's refresh token with that number.
func refreshToken(signer *token.Signer, key, sid string, number int) (string, error) {
	head := key + "." + sid + "." + strconv.Itoa(number)
	mac, err := signer.DeriveID(key, "refresh", head)
	if err != nil {
		return "", fmt.Errorf("refresh token: %w: %w", ticket.ErrUnknownKey, err)
	}
	return head + "." + mac, nil
}

// parseRefresh returns session and number of a refresh token that a node has made. Its
// session may have ended. Every error but ticket.ErrUnknownKey is errRefresh.
func parseRefresh(signer *token.Signer, text string) (sid string, number int, err error) {
	parts := strings.Split(text, ".")
	if len(text) > 200 || len(parts) != 4 {
		return "", 0, errRefresh
	}
	if number, err = strconv.Atoi(parts[2]); err != nil {
		return "", 0, errRefresh
	}
	want, err := refreshToken(signer, parts[0], parts[1], number)
	if err == nil && !hmac.Equal([]byte(want), []byte(text)) {
		err = errRefresh
	}
	return parts[1], number, err
}

func sessionName(sid string) string { return "session:" + sid }

// saveSession stores a session until its refresh tokens end.
func (i *issuer) saveSession(ctx context.Context, s session, now time.Time) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("save session: %w", err)
	}
	return i.states.Save(ctx, sessionName(s.ID), text, time.Unix(s.Ends, 0).Sub(now))
}

// loadSession returns the session of a refresh token. ok is false if there is none any
// more, or it is another client's.
func (h *tokenEndpoints) loadSession(ctx context.Context, site *client.Client, sid string) (s session, ok bool, err error) {
	text, err := h.states.Load(ctx, sessionName(sid))
	if text == nil || err != nil {
		return s, false, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, false, fmt.Errorf("load session: %w", err)
	}
	if s.Client != site.ID || h.states.Now().Unix() >= s.Ends {
		return s, false, nil
	}
	ended, err := h.sessionEnded(ctx, s.Client, s.Login.Subject, s.ID, s.Confirmed)
	return s, !ended, err
}

// refresh is the grant refresh_token (RFC 6749, section 6; OpenID Connect Core 1.0,
// section 12).
func (h *tokenEndpoints) refresh(c echo.Context, r tokenRequest) (tokenResponse, error) {
	ctx, signer := c.Request().Context(), gate.ConfigOf(c).Signer
	site, form := r.site, r.form
	if !form.Has("refresh_token") {
		return tokenResponse{}, newError("invalid_request", "refresh_token is required")
	}
	sid, number, err := parseRefresh(signer, form.Get("refresh_token"))
	if err != nil {
		return tokenResponse{}, h.refuseRefresh(refusalReason(err))
	}
	if err := h.gate.Hub.CheckEnabled(site.ID); err != nil {
		return tokenResponse{}, err
	}
	s, ok, err := h.loadSession(ctx, site, sid)
	if err != nil {
		return tokenResponse{}, err
	}
	if !ok {
		return tokenResponse{}, h.refuseRefresh(reasonEnded)
	}
	if err := r.requireKey(ctx, h.gate.Log, s.DPoPKey); err != nil {
		h.options.Metrics.IncTokenRefused(refusedRefresh, reasonNoProof)
		return tokenResponse{}, err
	}
	if site.Public() && s.DPoPKey == "" {
		s.DPoPKey = r.proof.thumbprint() // binds the tokens to come (RFC 9449, section 5)
	}
	scope := s.Scope
	if form.Has("scope") {
		scope = strings.Fields(form.Get("scope"))
		if slices.ContainsFunc(scope, func(one string) bool { return !slices.Contains(s.Scope, one) }) {
			return tokenResponse{}, newError("invalid_scope", "the scope exceeds that of the login")
		}
	}
	// A node that cannot sign must not use the token up.
	if _, err := signer.KeyTag(signer.Current(), site.IDTokenAlg); err != nil {
		return tokenResponse{}, fmt.Errorf("refresh: %w: %w", ticket.ErrUnknownKey, err)
	}
	if err := r.proof.spend(ctx); err != nil {
		return tokenResponse{}, err
	}
	i := h.issuer(c)
	if err := h.use(ctx, i, site, s, number); err != nil {
		return tokenResponse{}, err
	}
	out, err := i.tokens(grant{session: s, key: signer.Current(), serial: number, scope: scope, client: site, dpopKey: r.proof.thumbprint(), now: h.states.Now()})
	if err != nil {
		return tokenResponse{}, err
	}
	out.RefreshToken, err = refreshToken(signer, signer.Current(), sid, number+1)
	return out, err
}

// use uses up the session's refresh token with that number. It returns errRefresh, and
// ends the session, if the token was used before.
func (h *tokenEndpoints) use(ctx context.Context, i *issuer, site *client.Client, s session, number int) error {
	now := h.states.Now()
	first, err := h.states.SetNX(ctx, fmt.Sprintf("refresh-used:%s.%d", s.ID, number), time.Unix(s.Ends, 0).Sub(now))
	if err != nil {
		return err
	}
	if first {
		s.Used = number // for introspection
		return i.saveSession(ctx, s, now)
	}
	h.gate.Log.WarnContext(ctx, "a refresh token was used twice: its session ends, because somebody may have copied it", "client", site.ID, "sid", s.ID)
	if err := h.endSession(ctx, site, s.ID); err != nil {
		return err
	}
	return h.refuseRefresh(reasonReused)
}

// refuseRefresh counts a refresh token that is not accepted, and returns errRefresh.
func (h *tokenEndpoints) refuseRefresh(reason string) error {
	h.options.Metrics.IncTokenRefused(refusedRefresh, reason)
	return errRefresh
}
