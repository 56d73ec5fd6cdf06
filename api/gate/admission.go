package gate

import (
	"context"
	"fmt"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/ratelimit"
	"loginhub/api/request"
	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
	"loginhub/hub/trace"
)

// Admission checks what a phone call has to pass besides the ticket's
// rules: the provider, the kill switch, the limits, and the comparison of
// addresses.
type Admission struct {
	hub.PhoneCall
	Code string // "" if the user has declined at the provider's page
	// Exchanger exchanges the code that a browser brings from Visit; nil: the one for the
	// codes of phones.
	Exchanger provider.Exchanger
	Visit     provider.Visit
	// By is a user whom the provider has identified before; then there is no code.
	By     provider.Identity
	Client string // only a ticket of this client; "" for any
	// PhoneCode is the one-time code for the user's phone number; "" for none.
	PhoneCode string
	// Notice means that the user of a confirm allows a message about the login.
	Notice bool
	Lang   string // of the phone (BCP 47); "" if unknown
	// Frame is what the phone read of a living code; "" for none.
	Frame string
	// FrameChecked: the browser opened the link with a good frame, and the hub has kept that
	// while the user was at the provider's page.
	FrameChecked bool

	gate    *Gate
	cfg     *Config
	from    request.Addr
	attempt *ratelimit.UserAttempt
}

// check runs before the provider is called. It returns the ticket's client and
// the provider. A reject ends a login, so neither the kill switch nor the
// address comparison applies to it.
func (a *Admission) check(t ticket.Ticket) (*client.Client, provider.Exchanger, error) {
	g := a.gate
	client, err := a.cfg.ClientOf(t)
	if err != nil {
		return nil, nil, err
	}
	provider := a.Exchanger
	if provider == nil && a.By.Provider == "" {
		provider = a.cfg.MethodsOf(t.Client).Providers[a.Provider]
	}
	if provider == nil && a.By.Provider == "" || !client.AllowsProvider(a.Provider) || a.Client != "" && a.Client != t.Client {
		return nil, nil, request.Invalid("provider: this client does not accept it")
	}
	if a.Action != ticket.Reject {
		if err := g.Hub.CheckEnabled(t.Client); err != nil {
			return nil, nil, err
		}
	}
	if err := a.checkPhoneCode(t, client); err != nil {
		return nil, nil, err
	}
	if err := g.Limits.Phones.Allow(a.from.RateKey, time.Now()); err != nil {
		return nil, nil, err
	}
	if a.Action != ticket.Reject && client.RefusesMismatch() {
		err = g.requireSameAddress(t, client, a.from)
	}
	return client, provider, err
}

// requireSameAddress refuses a phone that is known to have another address than
// the browser, and one whose address is unverified. Addresses of different
// families or of private networks cannot be compared; the phone passes then.
func (g *Gate) requireSameAddress(t ticket.Ticket, client *client.Client, phone request.Addr) error {
	if err := g.RequireKnownAddress(client, phone); err != nil {
		return err
	}
	if same := request.SameAddress(t.Address, phone.Display); same != nil && !*same {
		return ticket.ErrAddressMismatch
	}
	return nil
}

// RequireKnownAddress refuses a browser or phone whose address is unverified,
// if the client refuses different addresses. A forwarding header must not
// disable the comparison, nor may a proxy that sends none.
func (g *Gate) RequireKnownAddress(client *client.Client, from request.Addr) error {
	if !client.RefusesMismatch() || !from.Unverified {
		return nil
	}
	g.proxies.WarnHiddenOnce.Do(func() {
		g.Log.Warn("address_mismatch: refuse has refused a call because the caller's address is not known: "+
			"an untrusted peer sent a forwarding header (if it is your proxy, name it in LOGINHUB_TRUSTED_PROXIES), "+
			"or a proxy of LOGINHUB_TRUSTED_PROXIES sent no usable X-Forwarded-For (have it set the header); until then no login of this client succeeds",
			"client", client.ID)
	})
	return fmt.Errorf("the address is hidden: %w", ticket.ErrAddressMismatch)
}

// checkFrame refuses a phone that has not just read the ticket's living code. A reject ends
// a login, and the waiting browser itself reads no code.
func (a *Admission) checkFrame(call *hub.Call, site *client.Client) error {
	if a.Action == ticket.Reject || a.SameBrowser || a.FrameChecked {
		return nil
	}
	return a.gate.Hub.Keys().CheckFrame(call.Current(), a.Frame, call.Now(), site.FrameWindow())
}

// CheckFrame refuses a browser that has not just read the ticket's living code, before it
// goes to a provider's page.
func (g *Gate) CheckFrame(t ticket.Ticket, site *client.Client, frame string) error {
	now := t.Deadline.Add(-g.Hub.Remaining(t))
	return g.Hub.Keys().CheckFrame(t, frame, now, site.FrameWindow())
}

// exchange asks the provider for the user and counts the call of this user.
func (a *Admission) exchange(ctx context.Context, p provider.Exchanger) (provider.Identity, error) {
	if a.By.Provider != "" {
		var err error
		a.attempt, err = a.gate.Limits.Begin(a.By, a.Match != "" && a.Action == ticket.Confirm)
		return a.By, err
	}
	if a.Code == "" {
		return provider.Identity{Provider: a.Provider}, nil
	}
	b, ok := p.(ticketBound)
	attempt := ratelimit.Attempt{From: a.from.RateKey, Provider: p, Code: a.Code, Ticket: a.Ticket, TicketBound: ok && b.TicketBound()}
	by, err := a.gate.Limits.Codes.Exchange(ctx, attempt, func(ctx context.Context) (provider.Identity, error) {
		start := time.Now()
		defer func() { a.gate.exchanged(ctx, a.Provider, time.Since(start)) }()
		return a.gate.exchange(ctx, a.cfg, a.Provider, p, provider.Credential{Code: a.Code, Ticket: string(a.Ticket), Visit: a.Visit})
	})
	if err != nil {
		return by, err
	}
	a.attempt, err = a.gate.Limits.Begin(by, a.Match != "" && a.Action == ticket.Confirm)
	return by, err
}

// end refunds the limits by the outcome of the call and returns its code for
// the audit log and the metrics.
func (a *Admission) end(err error) (code string) {
	status, code := a.gate.outcome(err)
	a.attempt.End(status, code)
	return code
}

// RequireEnabled adds the kill switch to the check authorize. An ack does not
// pass here: a confirmed ticket may be consumed although the login is switched
// off.
func (g *Gate) RequireEnabled(authorize func(ticket.Ticket) error) func(ticket.Ticket) error {
	return func(t ticket.Ticket) error {
		if err := authorize(t); err != nil {
			return err
		}
		return g.Hub.CheckEnabled(t.Client)
	}
}

// AdmitWaiter returns the check of a browser that wants to wait: its origin,
// the kill switch and the limit of waiters. If the check passes, it sets
// *release.
func (g *Gate) AdmitWaiter(c echo.Context, release *func()) func(ticket.Ticket) error {
	authorize := g.RequireEnabled(g.CheckOrigin(c))
	return func(t ticket.Ticket) error {
		if err := authorize(t); err != nil {
			return err
		}
		acquired, err := g.Limits.Waiters.Acquire(g.Addr(c).RateKey)
		if err == nil {
			*release = acquired
		}
		return err
	}
}

// RunCall runs a call: read the ticket, authorize, exchange the code for an
// identity, apply.
func (g *Gate) RunCall(c echo.Context, a *Admission) (_ *hub.Call, err error) {
	a.gate, a.cfg, a.from = g, ConfigOf(c), g.Addr(c)
	a.Phone = a.from.AuditAddr
	var by provider.Identity
	ctx := c.Request().Context()
	call, err := g.Hub.Begin(ctx, a.PhoneCall)
	var client *client.Client
	defer func() {
		call.End(by, a.end(err), err)
		a.reportSuspicious(ctx, call, by, client, err)
	}()
	if err != nil {
		return nil, err
	}
	client, provider, err := a.check(call.Current())
	if err != nil {
		return nil, err
	}
	call.SetAddressRisk(g.addressRisk(call.Current(), a.from))
	if err := call.Precheck(); err != nil {
		return nil, err
	}
	if err := a.checkFrame(call, client); err != nil {
		return nil, err
	}
	// The exchange consumes the code: a phone that disconnects must not end it.
	ctx = trace.WithoutCancel(ctx)
	if by, err = a.exchange(ctx, provider); err != nil {
		return nil, err
	}
	if err = a.addPhoneNumber(ctx, call, by, client); err != nil {
		return nil, err
	}
	if err := g.mapSubject(ctx, a.cfg, call, by, client); err != nil {
		return nil, err
	}
	if err := a.apply(ctx, call, by, client); err != nil {
		return call, err
	}
	return call, a.keepLogin(context.WithoutCancel(ctx), call, client)
}
