package hub

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
	"loginhub/hub/trace"
)

// Created is a new ticket, as the browser gets it.
type Created struct {
	Ticket    ticket.Ticket
	Secret    ticket.Secret
	ExpiresIn time.Duration
	MatchCode string // "" if the client has no number matching, or only for unusual logins
	FrameKey  []byte // of the living code; nil if the client has none
}

// Create creates a ticket. A ticket.ErrOverloaded is ErrAuditStalled; every other error
// means that the store is unavailable or the ticket cannot be sealed.
func (h *Hub) Create(ctx context.Context, r ticket.Request) (Created, error) {
	slot, err := h.audit.reserve(ctx)
	if err != nil {
		return Created{}, err
	}
	defer slot.release()
	m := Created{Secret: ticket.NewSecret()}
	id := m.Secret.ID()
	trace.Begin(ctx, id, true)
	trace.SetClient(ctx, r.Client.ID)
	keys := h.current.Load().Keys
	if !keys.Encrypts() {
		r.PageKey = nil // nodes of a release that reads only version 1 must read the record
	}
	// The deadline is sealed, so Redis's clock must be known before the call. It is
	// unknown at the first call and after a failover to a machine with another clock;
	// the answer then corrects it.
	for range 3 {
		m.Ticket = ticket.New(id, r, keys.Current(), h.config.Store.Now(), h.config.TicketTTL)
		m.ExpiresIn = m.Ticket.Deadline.Sub(m.Ticket.CreatedAt.Time())
		sealed, err := keys.Seal(m.Ticket)
		if err != nil {
			return Created{}, err
		}
		made, err := h.config.Store.Create(ctx, m.Ticket.ID, sealed, m.Ticket.Deadline, m.ExpiresIn)
		if err != nil {
			return Created{}, err
		}
		if !made {
			continue
		}
		if m.Ticket.NumberMatching {
			if m.MatchCode, _, err = keys.MatchNumbers(m.Ticket); err != nil {
				return Created{}, err
			}
		}
		if m.FrameKey, err = keys.FrameKey(m.Ticket); err != nil {
			return Created{}, err
		}
		h.audit.change(&slot, m.Ticket, netip.Addr{})
		return m, nil
	}
	return Created{}, fmt.Errorf("create ticket: the store's clock keeps changing: %w", ticket.ErrStoreUnavailable)
}

// PhoneCall is a scan, confirm or reject of a phone.
type PhoneCall struct {
	Action   ticket.Action // Scan, Confirm or Reject
	Ticket   ticket.ID
	Provider string      // that the call names, for the metrics
	User     ticket.User // what the phone claims about its user, cleaned
	Match    string      // the number that the user chose; only for a confirm
	// SameBrowser: the waiting browser itself returned with the code, proven by its own
	// state and cookie. There is no second screen to compare numbers with. Never set it
	// for a phone.
	SameBrowser bool
	Phone       netip.Addr // observed address of the caller, for the audit; zero if unknown
}

// Call is a PhoneCall between its two phases. Begin reads the ticket. The caller then
// authorizes the call, calls Precheck, and exchanges the code for an identity. Apply
// applies the call for that identity, and End ends it. Only one goroutine uses a Call.
type Call struct {
	PhoneCall
	hub         *Hub
	slot        auditSlot
	now         time.Time         // the store's time when ticket was read
	ticket      ticket.Ticket     // the latest version
	by          provider.Identity // set by Apply
	addresses   ticket.Risk       // of browser and phone (SetAddressRisk)
	phoneNumber string            // of the user, from the provider; "": none
	subject     string            // of the token, by the site's own mapping; "": by the identity
	applied     bool              // Apply succeeded
	changed     bool              // Apply changed the ticket
	report      ChangeReport      // nil: none
}

// ChangeReport reports the change that a call makes.
type ChangeReport interface {
	// Prepare is called before the change of the ticket to next, again after a concurrent
	// change. After an error the change is not made.
	Prepare(ctx context.Context, next ticket.Ticket) error
	// Made is called after the change was made. It is not called if the result of the change
	// is not known.
	Made()
}

// Report sets what reports the change. Call it before Apply.
func (c *Call) Report(r ChangeReport) { c.report = r }

// Begin reserves the audit line of a call and reads its ticket. The Call is never nil:
// call End in any case. ErrAuditStalled: the line has no room, and the call must not
// consume the code.
func (h *Hub) Begin(ctx context.Context, p PhoneCall) (*Call, error) {
	c := &Call{PhoneCall: p, hub: h}
	trace.Begin(ctx, p.Ticket, false)
	var err error
	if c.slot, err = h.audit.reserve(ctx); err != nil {
		return c, err
	}
	c.ticket, c.now, err = h.records.read(ctx, p.Ticket)
	return c, err
}

// Current returns the ticket as Begin read it, or its next version after Apply.
func (c *Call) Current() ticket.Ticket { return c.ticket }

// SetPhoneNumber sets the user's phone number (E.164), which the provider gave. Call it
// before Apply.
func (c *Call) SetPhoneNumber(number string) { c.phoneNumber = number }

// SetAddressRisk sets what is unusual about the addresses of browser and phone, or
// ticket.NoRisk. Call it before Precheck. Without it a client with number_matching: auto
// demands numbers.
func (c *Call) SetAddressRisk(r ticket.Risk) { c.addresses = r }

// risk returns what is unusual about a login of that user.
func (c *Call) risk(by provider.Identity) ticket.Risk {
	switch {
	case c.ticket.Auto == ticket.AutoHidden:
		return ticket.RiskHiddenAddress
	case c.addresses != ticket.NoRisk:
		return c.addresses
	case c.hub.Keys().Knows(c.ticket, by):
		return ticket.NoRisk
	}
	return ticket.RiskNewBrowser
}

// stepUp returns why the ended call demands numbers of a client that demands them only of
// unusual logins; NoRisk if it does not.
func (c *Call) stepUp(err error) ticket.Risk {
	scanned := c.changed && c.Action == ticket.Scan && c.ticket.ShowsCode()
	if scanned || c.ticket.Auto != 0 && errors.Is(err, ticket.ErrScanRequired) {
		return c.risk(c.by)
	}
	return ticket.NoRisk
}

// Now returns the store's time when Begin read the ticket.
func (c *Call) Now() time.Time { return c.now }

// MapSubject sets the subject of the token in place of the identity's. Call it before
// Apply.
func (c *Call) MapSubject(sub string) { c.subject = sub }

// Remaining returns the time from Begin to the ticket's deadline.
func (c *Call) Remaining() time.Duration { return c.ticket.Deadline.Sub(c.now) }

// MatchChoices returns the numbers to choose from after a scan; nil without number
// matching.
func (c *Call) MatchChoices() (choices []string, err error) {
	return c.hub.Keys().MatchChoices(c.ticket)
}

// Now returns the store's time.
func (h *Hub) Now() time.Time { return h.config.Store.Now() }

// Remaining returns the time to the ticket's deadline, by the store's clock.
func (h *Hub) Remaining(t ticket.Ticket) time.Duration { return t.Deadline.Sub(h.config.Store.Now()) }

// Confirms reports whether this confirm would change the ticket for that user. The error is
// that of Apply, which decides again.
func (c *Call) Confirms(by provider.Identity) (bool, error) {
	expected, _, err := c.hub.current.Load().Keys.MatchNumbers(c.ticket)
	if err != nil {
		return false, err
	}
	t := c.ticket
	if c.SameBrowser {
		t.NumberMatching = false
	} else {
		t = t.WithRisk(c.risk(by))
	}
	return t.Confirms(by, c.Match, expected)
}

// Precheck returns the error that every user would get. Only if it is nil may the
// caller exchange the code.
func (c *Call) Precheck() error {
	t := c.ticket
	if c.addresses != ticket.NoRisk && !c.SameBrowser {
		t = t.WithRisk(c.addresses)
	}
	return precheck(t, c.Action, c.Match, c.SameBrowser)
}

// Apply applies the call for a user whom the provider has identified. client is the
// ticket's. After a concurrent change Apply decides again on the new version, with the
// same identity. It does not stop if ctx is canceled: the provider has consumed the
// code, and a phone that disconnects would need another one.
func (c *Call) Apply(ctx context.Context, by provider.Identity, client *client.Client) error {
	ctx, c.by = trace.WithoutCancel(ctx), by
	for range maxTries {
		next, refusal := c.next(client)
		same := next.Seq == c.ticket.Seq
		if same && (refusal != nil || c.Action != ticket.Confirm || !c.hub.config.Replicated) {
			c.applied = refusal == nil
			return refusal
		}
		report := c.report
		if same {
			report = nil
		}
		if report != nil {
			if err := report.Prepare(ctx, next); err != nil {
				return err
			}
		}
		out, err := c.hub.records.applyChange(ctx, c.ticket, &next)
		if out.Done || errors.Is(err, ticket.ErrNotReplicated) {
			// Without a replica the change is still stored and published. A repeated call
			// will find it unchanged, so the audit must count the change here.
			c.ticket, c.changed = next, !same
			c.hub.waiters.applyFrom(trace.Changed, next, c.hub.config.Store.Now())
		}
		if err != nil {
			return err
		}
		if out.Done {
			if report != nil {
				report.Made()
			}
			c.applied = refusal == nil
			return refusal
		}
		if c.ticket, c.now, err = c.hub.records.openAndExpire(ctx, c.Ticket, out.Stored); err != nil {
			return err
		}
	}
	return errTooManyUpdates
}

// next returns the ticket's next version. The unchanged version means that the call was
// repeated. With both a new version and an error, the version must be stored before the
// error is returned.
func (c *Call) next(client *client.Client) (ticket.Ticket, error) {
	h, t := c.hub, c.ticket
	switch c.Action {
	case ticket.Scan:
		// A user who could not confirm gets the error before the consent screen.
		if _, err := c.by.Sub(client.Subject); err != nil {
			return t, err
		}
		return t.WithRisk(c.risk(c.by)).Scan(c.by, c.User, c.now, h.config.ConfirmTTL)
	case ticket.Confirm:
		current := h.current.Load()
		signKey, err := current.Signer.KeyTag(t.Key, client.TokenAlg)
		if err != nil {
			return t, fmt.Errorf("sign token: %w: %w", ticket.ErrUnknownKey, err)
		}
		if !c.SameBrowser {
			t = t.WithRisk(c.risk(c.by))
		}
		expected := ""
		if t.NumberMatching {
			if expected, _, err = current.Keys.MatchNumbers(t); err != nil {
				return c.ticket, err
			}
		}
		return t.Confirm(ticket.Confirmation{
			Identity: c.by, Subject: c.subject, PhoneNumber: c.phoneNumber, User: c.User, Match: c.Match, ExpectedMatch: expected, SameBrowser: c.SameBrowser, Now: c.now, ResultTTL: h.config.ResultTTL,
			Token: ticket.TokenParams{Issuer: h.config.Issuer, Client: client, TTL: h.config.TokenTTL, SignKey: signKey},
			Sent:  h.config.Store.Now(),
		})
	}
	return t.Reject(c.by)
}

// End writes the call's audit line and counts its result: the user (zero if unknown),
// the error code of the answer ("ok" for none) and the error.
func (c *Call) End(by provider.Identity, outcome string, err error) {
	if err == nil && !c.applied {
		outcome, err = outcomeInternal, errCallAborted
	}
	c.by = by
	c.hub.audit.call(c, outcome, err)
}

// errCallAborted is the audited error of a call that ended before Apply without one.
var errCallAborted = errors.New("the call was aborted")

// Ack records that the browser has received the token of version seq.
func (h *Hub) Ack(ctx context.Context, id ticket.ID, seq int64, from Browser) error {
	_, err := h.runBrowserCall(ctx, id, from, func(t ticket.Ticket) (ticket.Ticket, error) { return t.Ack(seq) })
	return err
}

// Cancel ends a ticket because its browser no longer wants it. It returns the rejected
// ticket, also if the call is repeated.
func (h *Hub) Cancel(ctx context.Context, id ticket.ID, from Browser) (ticket.Ticket, error) {
	return h.runBrowserCall(ctx, id, from, ticket.Ticket.Cancel)
}

// runBrowserCall runs an ack or a cancel: read, decide, change. After a concurrent change
// it decides again on the new version. decide returns the unchanged version if the call
// is repeated.
func (h *Hub) runBrowserCall(ctx context.Context, id ticket.ID, from Browser, decide func(ticket.Ticket) (ticket.Ticket, error)) (t ticket.Ticket, err error) {
	trace.Begin(ctx, id, false)
	if latest := h.waiters.latest(id); latest != nil && latest.State == ticket.Confirmed {
		// Only a confirmed slot is used without reading Redis: only an ack, a cancel or
		// the deadline can follow it.
		t = latest.Ticket
		trace.SetClient(ctx, t.Client)
	} else if t, _, err = h.records.read(ctx, id); err != nil {
		return t, err
	}
	if err := from.Authorize(t); err != nil {
		return t, err
	}
	next, err := decide(t)
	if err != nil || next.Seq == t.Seq {
		return next, err
	}
	slot, err := h.audit.reserve(ctx)
	if err != nil {
		return t, err
	}
	defer slot.release()
	for range maxTries {
		out, err := h.records.applyChange(ctx, t, &next)
		if err != nil {
			return t, err
		}
		if out.Done {
			h.audit.change(&slot, next, from.Addr)
			h.waiters.applyFrom(trace.Changed, next, out.Now)
			return next, nil
		}
		if t, _, err = h.records.openAndExpire(ctx, id, out.Stored); err != nil {
			return t, err
		}
		if next, err = decide(t); err != nil || next.Seq == t.Seq {
			return next, err
		}
	}
	return t, errTooManyUpdates
}

// Get reads a ticket. Like every read it records a passed deadline and changes nothing
// else.
func (h *Hub) Get(ctx context.Context, id ticket.ID) (ticket.Ticket, error) {
	trace.Begin(ctx, id, false)
	t, _, err := h.records.read(ctx, id)
	return t, err
}

// CanConfirm returns the error that every user would get for a confirm by the waiting
// browser itself (PhoneCall.SameBrowser); nil if some user could succeed.
func CanConfirm(t ticket.Ticket) error { return precheck(t, ticket.Confirm, "", true) }

func precheck(t ticket.Ticket, a ticket.Action, match string, sameBrowser bool) error {
	if sameBrowser {
		t.NumberMatching, t.Auto = false, 0
	}
	return t.Precheck(a, match)
}
