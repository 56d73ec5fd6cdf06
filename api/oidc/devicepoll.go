package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/ratelimit"
	"loginhub/hub"
	"loginhub/hub/ticket"
)

const (
	// maxHold is how long a poll waits for the phone. Common clients give up after 10 s.
	maxHold = 8 * time.Second
	// pollTolerance is how much earlier than pollInterval a poll may begin: networks and
	// timers are not exact.
	pollTolerance = time.Second
)

// Errors of a poll (RFC 8628, section 3.5).
var (
	errPending = newError("authorization_pending", "the person has not confirmed yet")
	errTooSoon = newError("slow_down", "polls must begin at least 5 seconds apart")
	errDenied  = newError("access_denied", "the person has declined")
	errLate    = newError("expired_token", "the device code has expired")
)

// exchangeDevice is the grant device_code (RFC 8628, section 3.4). While the person has
// not decided, the poll is held: a client that knows nothing of it is answered as soon
// as the phone has confirmed.
func (h *deviceGrant) exchangeDevice(c echo.Context, r tokenRequest) (tokenResponse, error) {
	site, code := r.site, r.form.Get("device_code")
	if code == "" {
		return tokenResponse{}, newError("invalid_request", "device_code is required")
	}
	secret, err := ticket.ParseSecret(code)
	if err != nil {
		return tokenResponse{}, errGrant
	}
	check := func(t ticket.Ticket) error {
		if t.Client != site.ID || t.Grant == nil || t.Grant.Type != ticket.GrantDevice {
			return errGrant
		}
		// A node that cannot sign the tokens must not spend the code.
		if _, err := gate.ConfigOf(c).Signer.KeyTag(t.Key, site.IDTokenAlg); err != nil {
			return fmt.Errorf("exchange device code: %w: %w", ticket.ErrUnknownKey, err)
		}
		return nil
	}
	ctx := c.Request().Context()
	t, err := h.gate.Hub.Get(ctx, secret.ID())
	if err == nil {
		err = check(t)
	}
	if err == nil {
		err = r.proof.spend(ctx)
	}
	if err != nil {
		return tokenResponse{}, grantError(err)
	}
	used := t.Redeemed()
	if !t.WasConfirmed() && !t.State.Final() {
		if err := h.acceptPoll(ctx, t.ID); err != nil {
			return tokenResponse{}, err
		}
		var end func()
		ctx, end = h.held.begin(ctx, t.ID)
		defer end()
		if err := h.hold(ctx, c, t, check); err != nil {
			return tokenResponse{}, err
		}
	}
	t, now, err := h.redeemDevice(ctx, c, t.ID, check)
	if used && errors.Is(err, ticket.ErrRedeemed) {
		// Somebody else has the code. A poll that has only lost a race is the device's own,
		// repeated by its network: that must not end what the device has just received.
		if err := h.revokeFirst(c, site, t); err != nil {
			return tokenResponse{}, err
		}
	}
	if err != nil {
		return tokenResponse{}, grantError(err)
	}
	return h.issuer(c).issue(c.Request().Context(), Login{Client: site, Ticket: t, Scope: strings.Fields(t.Grant.Scope), DPoPKey: r.proof.thumbprint(), Now: now})
}

// redeemDevice redeems the ticket of a device code. ctx ends if the client has gone, or
// a later poll of the same code has begun: an answer that is lost must not spend the code.
func (h *deviceGrant) redeemDevice(ctx context.Context, c echo.Context, id ticket.ID, check func(ticket.Ticket) error) (ticket.Ticket, time.Time, error) {
	t, now, err := h.gate.Hub.Redeem(ctx, id, h.gate.Addr(c).AuditAddr, func(t ticket.Ticket) error {
		if ctx.Err() != nil {
			return errPending
		}
		if err := check(t); err != nil {
			return err
		}
		return h.checkStopped(c, t)
	})
	switch {
	case ctx.Err() != nil && err != nil, errors.Is(err, ticket.ErrNotConfirmed):
		return t, now, errPending
	case errors.Is(err, ticket.ErrExpired):
		return t, now, errLate
	case errors.Is(err, ticket.ErrClosed):
		return t, now, errDenied
	}
	return t, now, err
}

// acceptPoll returns errTooSoon for a poll that begins too soon after the last accepted
// one. A refused poll moves nothing, so a client with a fixed pace is never refused for
// good.
func (h *deviceGrant) acceptPoll(ctx context.Context, id ticket.ID) error {
	accepted, err := h.states.SetNX(ctx, "device_poll:"+string(id), pollInterval-pollTolerance)
	if err == nil && !accepted {
		err = errTooSoon
	}
	return err
}

// hold waits until the person has decided, and returns nil then. Otherwise it returns
// the error of a poll. A node that cannot hold the poll, or no longer, answers at once.
func (h *deviceGrant) hold(ctx context.Context, c echo.Context, t ticket.Ticket, check func(ticket.Ticket) error) error {
	release := func() {}
	defer func() { release() }()
	from := hub.Browser{Addr: h.gate.Addr(c).AuditAddr, Authorize: func(t ticket.Ticket) error {
		err := check(t)
		if err == nil {
			err = h.gate.Hub.CheckEnabled(t.Client)
		}
		if err == nil {
			release, err = h.gate.Limits.Waiters.Acquire(h.gate.Addr(c).RateKey)
		}
		return err
	}}
	until := time.Now().Add(holdTime(c.Request()))
	for seq := t.Seq; ; {
		wait := time.Until(until)
		if wait <= 0 {
			return errPending
		}
		view, changed, err := h.gate.Hub.Poll(ctx, t.ID, seq, wait, from)
		release()
		switch {
		case errors.Is(err, ticket.ErrOverloaded), errors.Is(err, ratelimit.ErrRateLimited), errors.Is(err, ticket.ErrStoreUnavailable):
			return errPending // most clients give up after any other error, and the ticket still waits
		case err != nil:
			return err
		case !changed:
			return errPending // the wait is over, the node drains, or ctx has ended
		case view.State == ticket.Scanned || view.State == ticket.Pending:
			seq = view.Seq
		default:
			return nil
		}
	}
}

// holdTime returns how long a poll may be held: maxHold, or less if the client prefers
// so (RFC 7240, section 4.3).
func holdTime(r *http.Request) time.Duration {
	for _, header := range r.Header.Values("Prefer") {
		for preference := range strings.SplitSeq(header, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(preference), "=")
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil && strings.EqualFold(name, "wait") {
				return min(maxHold, time.Duration(seconds)*time.Second)
			}
		}
	}
	return maxHold
}

// heldPolls are the polls that this node holds: the latest of each device code.
type heldPolls struct {
	mu  sync.Mutex
	all map[ticket.ID]*heldPoll
}

type heldPoll struct{ cancel context.CancelFunc }

// begin ends the poll of the same code that is held, whose client has probably gone, and
// returns the context of the new one. Call end in any case.
func (p *heldPolls) begin(ctx context.Context, id ticket.ID) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	poll := &heldPoll{cancel}
	p.mu.Lock()
	defer p.mu.Unlock()
	if earlier := p.all[id]; earlier != nil {
		earlier.cancel()
	}
	if p.all == nil {
		p.all = map[ticket.ID]*heldPoll{}
	}
	p.all[id] = poll
	return ctx, func() {
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.all[id] == poll {
			delete(p.all, id)
		}
	}
}
