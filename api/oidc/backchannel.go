package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"loginhub/api/token"
	"loginhub/hub/client"
	"loginhub/hub/provider"
)

// logoutTokenType is the typ of logout tokens (OpenID Connect Back-Channel Logout 1.0,
// section 2.4).
const logoutTokenType = "logout+jwt"

// Limits of the delivery of logout tokens.
const (
	logoutTokenLife   = 2 * time.Minute
	logoutTimeout     = 5 * time.Second // of one request
	maxLogoutAnswer   = 64 << 10        // bytes read of an answer
	maxLogouts        = 1000            // undelivered, on this node
	maxLogoutsPerSite = 100
)

// logoutPauses are the pauses between the attempts to deliver a logout token.
var logoutPauses = [...]time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}

// Results of a delivery, for the metrics.
const (
	LogoutSent    = "sent"
	LogoutRefused = "refused" // by the site: another attempt would not help
	LogoutFailed  = "failed"  // after all attempts, or the node has ended
	LogoutDropped = "dropped" // too many are undelivered
)

// LogoutResults returns all results.
func LogoutResults() []string {
	return []string{LogoutSent, LogoutRefused, LogoutFailed, LogoutDropped}
}

// logoutJob is a logout token to deliver. sid is "" for all logins of the user.
type logoutJob struct {
	site     *client.Client
	sub, sid string
}

// logoutSender delivers logout tokens (OpenID Connect Back-Channel Logout 1.0, section
// 2.5), each in its own goroutine, as long as the node runs. Addresses are from the
// operator's settings only.
type logoutSender struct {
	issuer string
	signer func() *token.Signer // current: a key may be revoked between two attempts
	now    func() time.Time
	http   *http.Client
	done   func(result string) // counts
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	jobs   sync.WaitGroup

	mu      sync.Mutex
	pending map[string]int // by client id
	total   int
}

func (s *logoutSender) start() {
	s.pending = map[string]int{}
	s.http = &http.Client{Timeout: logoutTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	s.ctx, s.cancel = context.WithCancel(context.Background())
}

// close ends all deliveries and waits for them.
func (s *logoutSender) close() {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.jobs.Wait()
	s.http.CloseIdleConnections()
}

// send starts the delivery. It does not block.
func (s *logoutSender) send(j logoutJob) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= maxLogouts || s.pending[j.site.ID] >= maxLogoutsPerSite || s.ctx.Err() != nil {
		s.log.Error("logout token dropped: too many are undelivered, or the node ends", "client", j.site.ID, "sid", j.sid)
		s.done(LogoutDropped)
		return
	}
	s.total++
	s.pending[j.site.ID]++
	s.jobs.Go(func() {
		s.deliver(j)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.total--
		if s.pending[j.site.ID]--; s.pending[j.site.ID] == 0 {
			delete(s.pending, j.site.ID)
		}
	})
}

// errRefused means that the site has refused the token.
var errRefused = errors.New("the site refuses the logout token")

// deliver tries until the site accepts or refuses the token, or all attempts have failed.
func (s *logoutSender) deliver(j logoutJob) {
	log := s.log.With("client", j.site.ID, "sid", j.sid)
	for attempt := 0; ; attempt++ {
		err := s.post(j)
		switch {
		case err == nil:
			log.Info("logout token delivered", "attempts", attempt+1)
			s.done(LogoutSent)
			return
		case errors.Is(err, errRefused):
			log.Error("logout token refused", "error", err)
			s.done(LogoutRefused)
			return
		case attempt == len(logoutPauses) || !s.sleep(logoutPauses[attempt]):
			log.Error("logout token not delivered: the user stays logged in at the site", "attempts", attempt+1, "error", err)
			s.done(LogoutFailed)
			return
		}
		log.Warn("logout token not delivered; it is tried again", "error", err)
	}
}

// sleep returns false if the node ends.
func (s *logoutSender) sleep(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// post sends the token once, with a jti of its own: a site that has seen an earlier
// attempt may refuse its jti.
func (s *logoutSender) post(j logoutJob) error {
	now := s.now()
	claims := map[string]any{"iss": s.issuer, "aud": j.site.ID, "sub": j.sub, "iat": now.Unix(), "exp": now.Add(logoutTokenLife).Unix(), "jti": uuid.NewString(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": struct{}{}}}
	if j.sid != "" {
		claims["sid"] = j.sid
	}
	signer := s.signer()
	text, err := sign(signer, signer.Current(), j.site, logoutTokenType, claims)
	if err != nil {
		return err
	}
	body := url.Values{"logout_token": {text}}.Encode()
	r, err := http.NewRequestWithContext(s.ctx, http.MethodPost, j.site.BackchannelLogoutURI, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
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
		return nil
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return fmt.Errorf("send logout token: status %d", code)
	default:
		return fmt.Errorf("%w: status %d", errRefused, code)
	}
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
	if err == nil && site.BackchannelLogoutURI != "" {
		h.logouts.send(logoutJob{site, sub, sid})
	}
	return err
}

// EndLogin ends a login that its user disputes. Without a sid, the login's token went to the
// page: the site knows it by its user only.
func (h *Handlers) EndLogin(ctx context.Context, site *client.Client, sub, sid string) error {
	if !site.OpenID() || sid == "" && (site.BackchannelLogoutURI == "" || site.BackchannelLogoutSessionRequired) {
		return nil
	}
	return h.EndUser(ctx, site.ID, sub, sid)
}
