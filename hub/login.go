package hub

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"loginhub/hub/ticket"
)

// maxTries bounds how often a change is decided again after a concurrent change. Each
// concurrent change moves the ticket on, and it has few states.
const maxTries = 8

// Created is a new ticket, as the browser gets it.
type Created struct {
	Ticket    ticket.Ticket
	Secret    ticket.Secret
	ExpiresIn time.Duration
	MatchCode string // "" if the client has no number matching
}

// Create creates a ticket. A ticket.ErrOverloaded is ErrAuditStalled; every other error
// means that the store is unavailable or the ticket cannot be sealed.
func (h *Hub) Create(ctx context.Context, r ticket.Request) (Created, error) {
	slot, err := h.reserveAudit()
	if err != nil {
		return Created{}, err
	}
	defer slot.release()
	m := Created{Secret: ticket.NewSecret(), ExpiresIn: h.TicketTTL}
	keys := h.current.Load().Keys
	// The deadline is sealed, so Redis's clock must be known before the call. It is
	// unknown at the first call and after a failover to a machine with another clock;
	// the answer then corrects it.
	for range 3 {
		m.Ticket = ticket.New(m.Secret.ID(), r, keys.Current(), h.Store.Now(), h.TicketTTL)
		sealed, err := keys.Seal(m.Ticket)
		if err != nil {
			return Created{}, err
		}
		made, err := h.Store.Create(ctx, m.Ticket.ID, sealed, m.Ticket.Deadline, h.TicketTTL)
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
		h.auditChange(&slot, m.Ticket, netip.Addr{})
		return m, nil
	}
	return Created{}, fmt.Errorf("create ticket: the store's clock keeps changing: %w", ticket.ErrStoreUnavailable)
}

// PhoneCall is a scan, confirm or reject of a phone.
type PhoneCall struct {
	Action ticket.Action // Scan, Confirm or Reject
	Ticket ticket.ID
	User   ticket.User // what the phone claims about its user, cleaned
	Match  string      // the number that the user chose; only for a confirm
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
	hub     *Hub
	slot    auditSlot
	now     time.Time       // the store's time when ticket was read
	ticket  ticket.Ticket   // the latest version
	by      ticket.Identity // set by Apply
	applied bool            // Apply succeeded
	changed bool            // Apply changed the ticket
}

// Begin reserves the audit line of a call and reads its ticket. The Call is never nil:
// call End in any case. ErrAuditStalled: the line has no room, and the call must not
// consume the code.
func (h *Hub) Begin(ctx context.Context, p PhoneCall) (*Call, error) {
	c := &Call{PhoneCall: p, hub: h}
	var err error
	if c.slot, err = h.reserveAudit(); err != nil {
		return c, err
	}
	c.ticket, c.now, err = h.read(ctx, p.Ticket)
	return c, err
}

// Current returns the ticket as Begin read it, or its next version after Apply.
func (c *Call) Current() ticket.Ticket { return c.ticket }

// Remaining returns the time from Begin to the ticket's deadline.
func (c *Call) Remaining() time.Duration { return c.ticket.Deadline.Sub(c.now) }

// MatchChoices returns the numbers to choose from after a scan; nil without number
// matching.
func (c *Call) MatchChoices() (choices []string, err error) {
	if c.ticket.NumberMatching {
		_, choices, err = c.hub.current.Load().Keys.MatchNumbers(c.ticket)
	}
	return choices, err
}

// Precheck returns the error that every user would get. Only if it is nil may the
// caller exchange the code.
func (c *Call) Precheck() error { return precheck(c.ticket, c.Action, c.Match, c.SameBrowser) }

// Apply applies the call for a user whom the provider has identified. client is the
// ticket's. After a concurrent change Apply decides again on the new version, with the
// same identity. It does not stop if ctx is canceled: the provider has consumed the
// code, and a phone that disconnects would need another one.
func (c *Call) Apply(ctx context.Context, by ticket.Identity, client *ticket.Client) error {
	ctx, c.by = context.WithoutCancel(ctx), by
	for range maxTries {
		next, refusal := c.next(client)
		same := next.Seq == c.ticket.Seq
		if same && (refusal != nil || c.Action != ticket.Confirm || !c.hub.Replicated) {
			c.applied = refusal == nil
			return refusal
		}
		out, err := c.hub.applyChange(ctx, c.ticket, next, "")
		if out.Done || errors.Is(err, ticket.ErrNotReplicated) {
			// Without a replica the change is still stored and published. A repeated call
			// will find it unchanged, so the audit must count the change here.
			c.ticket, c.changed = next, !same
		}
		if err != nil {
			return err
		}
		if out.Done {
			c.applied = refusal == nil
			return refusal
		}
		if c.ticket, c.now, err = c.hub.openAndExpire(ctx, c.Ticket, out.Stored, ""); err != nil {
			return err
		}
	}
	return errTooManyUpdates
}

// next returns the ticket's next version. The unchanged version means that the call was
// repeated. With both a new version and an error, the version must be stored before the
// error is returned.
func (c *Call) next(client *ticket.Client) (ticket.Ticket, error) {
	h, t := c.hub, c.ticket
	switch c.Action {
	case ticket.Scan:
		// A user who could not confirm gets the error before the consent screen.
		if _, err := c.by.Sub(client.Subject); err != nil {
			return t, err
		}
		return t.Scan(c.by, c.User, c.now, h.ConfirmTTL)
	case ticket.Confirm:
		want, _, err := h.current.Load().Keys.MatchNumbers(t)
		if err != nil {
			return t, err
		}
		return t.Confirm(ticket.Confirmation{
			Identity: c.by, User: c.User, Match: c.Match, ExpectedMatch: want, SameBrowser: c.SameBrowser, Now: c.now, ResultTTL: h.ResultTTL,
			Token: ticket.TokenParams{Issuer: h.Issuer, Client: client, TTL: h.TokenTTL},
			Sent:  h.Store.Now(),
		})
	}
	return t.Reject(c.by)
}

// End writes the call's audit line and counts its result: the user (zero if unknown),
// the error code of the answer ("ok" for none) and the error.
func (c *Call) End(by ticket.Identity, outcome string, err error) {
	if err == nil && !c.applied {
		outcome, err = outcomeInternal, errCallAborted
	}
	c.by = by
	c.hub.auditCall(c, outcome, err)
}

// errCallAborted is the audited error of a call that ended before Apply without one.
var errCallAborted = errors.New("the call was aborted")

// errTooManyUpdates ends a change after maxTries.
var errTooManyUpdates = errors.New("change ticket: too many concurrent updates")

// Ack records that the browser has received the token of version seq.
func (h *Hub) Ack(ctx context.Context, id ticket.ID, seq int64, from Browser) (err error) {
	var t ticket.Ticket
	if latest := h.waiters.latest(id); latest != nil && latest.State == ticket.Confirmed {
		// Only a confirmed slot is used without reading Redis: only this ack or the
		// deadline can follow it.
		t = latest.Ticket
	} else if t, _, err = h.read(ctx, id); err != nil {
		return err
	}
	if err := from.Authorize(t); err != nil {
		return err
	}
	next, err := t.Ack(seq)
	if err != nil || next.Seq == t.Seq {
		return err
	}
	slot, err := h.reserveAudit()
	if err != nil {
		return err
	}
	defer slot.release()
	for range maxTries {
		// This node updates its own waiters, so the ack needs no message in most logins.
		out, err := h.applyChange(ctx, t, next, h.node)
		if err != nil {
			return err
		}
		if out.Done {
			h.auditChange(&slot, next, from.Addr)
			h.waiters.apply(next, out.Now)
			return nil
		}
		if t, _, err = h.openAndExpire(ctx, id, out.Stored, h.node); err != nil {
			return err
		}
		if next, err = t.Ack(seq); err != nil || next.Seq == t.Seq {
			return err
		}
	}
	return errTooManyUpdates
}

// Get reads a ticket. Like every read it records a passed deadline and changes nothing
// else.
func (h *Hub) Get(ctx context.Context, id ticket.ID) (ticket.Ticket, error) {
	t, _, err := h.read(ctx, id)
	return t, err
}

// CanConfirm returns the error that every user would get for a confirm by the waiting
// browser itself (PhoneCall.SameBrowser); nil if some user could succeed.
func CanConfirm(t ticket.Ticket) error { return precheck(t, ticket.Confirm, "", true) }

func precheck(t ticket.Ticket, a ticket.Action, match string, sameBrowser bool) error {
	t.NumberMatching = t.NumberMatching && !sameBrowser
	return t.Precheck(a, match)
}

// read reads a ticket and the store's time.
func (h *Hub) read(ctx context.Context, id ticket.ID) (ticket.Ticket, time.Time, error) {
	found, err := h.Store.Attach(ctx, "", id)
	if err != nil {
		return ticket.Ticket{}, time.Time{}, err
	}
	return h.openAndExpire(ctx, id, found[0], "")
}

// attach adds this node to the ticket's waiting nodes and stores the version that it
// reads in the slot. It returns the slot's version, which may be a later one.
func (h *Hub) attach(ctx context.Context, id ticket.ID) (*version, error) {
	found, err := h.Store.Attach(ctx, h.node, id)
	if err != nil {
		return nil, err
	}
	t, now, err := h.openAndExpire(ctx, id, found[0], h.node)
	if err != nil {
		return nil, err
	}
	if latest, _ := h.waiters.apply(t, now); latest != nil {
		return latest, nil
	}
	return &version{Ticket: t}, nil // the waiter was released meanwhile
}

// openAndExpire opens a stored record and records its deadline if that has passed. skip
// is this node if it notifies its own waiters itself, otherwise "".
func (h *Hub) openAndExpire(ctx context.Context, id ticket.ID, f ticket.Stored, skip string) (ticket.Ticket, time.Time, error) {
	for range maxTries {
		t, err := h.open(id, f.Sealed, InRecord)
		if err != nil || !t.Overdue(f.Now) {
			return t, f.Now, err
		}
		lapsed := t.Expire()
		out, err := h.recordExpiry(ctx, t, lapsed, skip)
		if err != nil {
			return t, f.Now, err
		}
		if out.Done {
			return lapsed, out.Now, nil
		}
		f = out.Stored
	}
	return ticket.Ticket{}, f.Now, errTooManyUpdates
}

// recordExpiry changes the ticket to expired and writes the audit line.
func (h *Hub) recordExpiry(ctx context.Context, was, lapsed ticket.Ticket, skip string) (ticket.Outcome, error) {
	slot, err := h.reserveAudit()
	if err != nil {
		return ticket.Outcome{}, err
	}
	defer slot.release()
	out, err := h.applyChange(ctx, was, lapsed, skip)
	if err != nil || !out.Done {
		return out, err
	}
	h.auditChange(&slot, lapsed, netip.Addr{})
	if skip == h.node {
		h.waiters.apply(lapsed, out.Now)
	}
	return out, nil
}

// applyChange applies one change in the store.
func (h *Hub) applyChange(ctx context.Context, was, next ticket.Ticket, skip string) (ticket.Outcome, error) {
	c, err := h.seal(was, next, skip)
	if err != nil {
		return ticket.Outcome{}, err
	}
	outcomes, err := h.Store.Change(ctx, c)
	if err != nil {
		return ticket.Outcome{}, err
	}
	return outcomes[0], nil
}

// seal returns the store's change from was to next. An expiry applies only after the
// deadline of was, every other change only before it. The deadline is the sealed one.
func (h *Hub) seal(was, next ticket.Ticket, skip string) (ticket.Change, error) {
	sealed, err := h.current.Load().Keys.Seal(next)
	if err != nil {
		return ticket.Change{}, err
	}
	c := ticket.Change{ID: next.ID, BaseTag: was.Tag(), Sealed: sealed,
		ExpireAt: next.Deadline.Add(ticket.Tombstone), ExcludeNode: skip,
		WaitReplicas: next.State == ticket.Confirmed}
	if next.State == ticket.Expired {
		c.NotBefore = was.Deadline
	} else {
		c.NotAfter = was.Deadline
	}
	return c, nil
}
