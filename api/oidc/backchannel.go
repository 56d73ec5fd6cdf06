package oidc

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"loginhub/api/notify"
	"loginhub/api/token"
	"loginhub/hub/client"
	"loginhub/hub/outbox"
	"loginhub/hub/provider"
)

// logoutTokenType is the typ of logout tokens (OpenID Connect Back-Channel Logout 1.0,
// section 2.4).
const logoutTokenType = "logout+jwt"

// Limits of the delivery of logout tokens.
const (
	logoutTokenLife = 2 * time.Minute
	logoutTimeout   = 5 * time.Second // of one request
	maxLogoutAnswer = 64 << 10        // bytes read of an answer
)

// logoutPauses are the pauses between the attempts to deliver a logout token.
var logoutPauses = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}

// logoutQueue begins the names of the outbox's queues of logout tokens, one of each site.
const logoutQueue = "logout:"

// Results of a delivery, for the metrics.
const (
	LogoutSent    = "sent"
	LogoutRefused = "refused" // by the site: another attempt would not help
	LogoutFailed  = "failed"  // after all attempts
	LogoutDropped = "dropped" // too many are undelivered
)

// logoutResults are the results by those of the outbox.
var logoutResults = map[string]string{outbox.ResultDelivered: LogoutSent, outbox.ResultRefused: LogoutRefused, outbox.ResultDropped: LogoutFailed, outbox.ResultFull: LogoutDropped}

// LogoutResults returns all results.
func LogoutResults() []string {
	return []string{LogoutSent, LogoutRefused, LogoutFailed, LogoutDropped}
}

// OutboxMetrics is the outbox's Metrics. It counts the results of logout tokens too.
type OutboxMetrics struct {
	outbox.Metrics
	Logout Metrics
}

// IncMessages implements outbox.Metrics.
func (m OutboxMetrics) IncMessages(queue, result string, n int) {
	m.Metrics.IncMessages(queue, result, n)
	if end := logoutResults[result]; end != "" && strings.HasPrefix(queue, logoutQueue) {
		for range n {
			m.Logout.IncLogoutToken(end)
		}
	}
}

// logout is a logout token that waits in the outbox. Session is "" for all logins of the
// user.
type logout struct {
	Subject string `json:"sub"`
	Session string `json:"sid,omitempty"`
}

// sendLogout puts a logout token into the outbox, if the site takes them: without an error
// it survives the death of this node. id is the message's.
func sendLogout(ctx context.Context, n *notify.Notifier, site *client.Client, l logout, id string) error {
	if site.BackchannelLogoutURI == "" {
		return nil
	}
	return n.Put(ctx, logoutQueue+site.ID, id, l)
}

// LogoutQueues returns the destinations of logout tokens, by the outbox's queue.
func (h *Handlers) LogoutQueues() map[string]outbox.Destination {
	all := map[string]outbox.Destination{}
	for _, site := range h.gate.Current().Clients {
		if site.BackchannelLogoutURI != "" {
			to := h.logouts
			to.site = site
			all[logoutQueue+site.ID] = to
		}
	}
	return all
}

// logoutSender delivers the logout tokens of a site (OpenID Connect Back-Channel Logout 1.0,
// section 2.5; outbox.Destination). Addresses are from the operator's settings only.
type logoutSender struct {
	site   *client.Client
	issuer string
	signer func() *token.Signer // current: a key may be revoked between two attempts
	now    func() time.Time
	http   *http.Client
	log    *slog.Logger
}

func newLogoutClient() *http.Client {
	return &http.Client{Timeout: logoutTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Pauses implements outbox.Destination.
func (s logoutSender) Pauses() []time.Duration { return logoutPauses }

// Deliver implements outbox.Destination: it sends the token once, with a jti of its own,
// because a site that has seen an earlier attempt may refuse its jti.
func (s logoutSender) Deliver(ctx context.Context, m outbox.Message) error {
	var l logout
	body, err := notify.Body(m)
	if err == nil {
		err = json.Unmarshal(body, &l)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", outbox.ErrRefused, err)
	}
	text, err := s.token(l)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.site.BackchannelLogoutURI, strings.NewReader(url.Values{"logout_token": {text}}.Encode()))
	if err != nil {
		return fmt.Errorf("%w: %w", outbox.ErrRefused, provider.CleanCause(err))
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := s.http.Do(r)
	if err != nil {
		return fmt.Errorf("send logout token: %w", provider.CleanCause(err))
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxLogoutAnswer)) // so that the connection can be used again
	switch code := answer.StatusCode; {
	case code == http.StatusOK || code == http.StatusNoContent:
		s.log.InfoContext(ctx, "logout token delivered", "client", s.site.ID, "sid", l.Session)
		return nil
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return fmt.Errorf("send logout token: status %d", code)
	default:
		s.log.ErrorContext(ctx, "logout token refused: the user stays logged in at the site", "client", s.site.ID, "sid", l.Session, "status", code)
		return fmt.Errorf("%w: %w: status %d", outbox.ErrLogged, outbox.ErrRefused, code)
	}
}

// token returns a signed logout token.
func (s logoutSender) token(l logout) (string, error) {
	now := s.now()
	claims := map[string]any{"iss": s.issuer, "aud": s.site.ID, "sub": l.Subject, "iat": now.Unix(), "exp": now.Add(logoutTokenLife).Unix(), "jti": uuid.NewString(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": struct{}{}}}
	if l.Session != "" {
		claims["sid"] = l.Session
	}
	signer := s.signer()
	return sign(signer, signer.Current(), s.site, logoutTokenType, claims)
}

// Errors of EndUser.
var (
	ErrNoClient = errors.New("no such OpenID client")
	// ErrNeedsSession means that the client's settings require a sid.
	ErrNeedsSession = errors.New("the client requires a sid (backchannel_logout_session_required)")
)

// EndUser ends the tokens of all logins of a user at a site until now, and sends the site
// a logout token. With a sid it ends that login only.
func (h *Handlers) EndUser(ctx context.Context, id, sub, sid string) error {
	site := h.gate.Current().ClientByID[id]
	switch {
	case site == nil || !site.OpenID():
		return ErrNoClient
	case sid == "" && site.BackchannelLogoutSessionRequired:
		return ErrNeedsSession
	}
	var err error
	if sid == "" {
		err = h.endUser(ctx, site, sub)
	} else {
		err = h.endSession(ctx, site, sid)
	}
	if err != nil {
		return err
	}
	return sendLogout(ctx, h.options.Notifier, site, logout{sub, sid}, rand.Text()) // another one, if the operator calls again
}

// EndLogin ends a login that its user disputes. Without a sid, the login's token went to the
// page: the site knows it by its user only.
func (h *Handlers) EndLogin(ctx context.Context, site *client.Client, sub, sid string) error {
	if !site.OpenID() || sid == "" && (site.BackchannelLogoutURI == "" || site.BackchannelLogoutSessionRequired) {
		return nil
	}
	return h.EndUser(ctx, site.ID, sub, sid)
}
