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
	Ticket ticket.ID
	User   ticket.User // what the phone claims about its user, cleaned
	Match  string      // the number that the user chose; only for a confirm
	// SameBrowser: the waiting browser itself returned with the code, proven by its own
	// state and cookie. There is no second screen to compare numbers with. Never set it
	// for a phone.
	SameBrowser bool
	// Authorize refuses a provider that the ticket's client does not allow.
	Authorize func(ticket.Ticket) error
	// Exchange exchanges the phone's code for an identity. It is called at most once,
	// and only if some user could succeed.
	Exchange func(context.Context) (ticket.Identity, error)
	// Client returns the settings of a client; needed by Confirm and Scan.
	Client func(id string) *ticket.Client
	// Phone is the address of the caller, for the audit.
	Phone netip.Addr
	// OnResult, if not nil, is called once with the result and the user (zero if
	// unknown). It returns the outcome's name for audit and metrics.
	OnResult func(by ticket.Identity, err error) string
}

// ScanResult is the answer to a scan.
type ScanResult struct {
	Ticket    ticket.Ticket
	Remaining time.Duration // until the deadline
	Choices   []string      // numbers to choose from; nil without number matching
}

// Scan records who scanned the ticket.
func (h *Hub) Scan(ctx context.Context, c PhoneCall) (ScanResult, error) {
	t, now, err := h.runPhoneCall(ctx, ticket.Scan, c, func(t ticket.Ticket, by ticket.Identity, now time.Time) (ticket.Ticket, error) {
		// A user who could not confirm gets the error before the consent screen.
		if _, err := by.Sub(c.Client(t.Client).Subject); err != nil {
			return t, err
		}
		return t.Scan(by, c.User, now, h.ConfirmTTL)
	})
	if err != nil {
		return ScanResult{}, err
	}
	s := ScanResult{Ticket: t, Remaining: t.Deadline.Sub(now)}
	if t.NumberMatching {
		if _, s.Choices, err = h.current.Load().Keys.MatchNumbers(t); err != nil {
			return ScanResult{}, err
		}
	}
	return s, nil
}

// Confirm fixes the token's claims and notifies the waiting browser.
func (h *Hub) Confirm(ctx context.Context, c PhoneCall) (ticket.Ticket, error) {
	t, _, err := h.runPhoneCall(ctx, ticket.Confirm, c, func(t ticket.Ticket, by ticket.Identity, now time.Time) (ticket.Ticket, error) {
		want, _, err := h.current.Load().Keys.MatchNumbers(t)
		if err != nil {
			return t, err
		}
		return t.Confirm(ticket.Confirmation{
			Identity: by, User: c.User, Match: c.Match, ExpectedMatch: want, SameBrowser: c.SameBrowser, Now: now, ResultTTL: h.ResultTTL,
			Token: ticket.TokenParams{Issuer: h.Issuer, Client: c.Client(t.Client), TTL: h.TokenTTL},
			Sent:  h.Store.Now(),
		})
	})
	return t, err
}

// Reject ends the ticket because the user declined.
func (h *Hub) Reject(ctx context.Context, c PhoneCall) (ticket.Ticket, error) {
	t, _, err := h.runPhoneCall(ctx, ticket.Reject, c, func(t ticket.Ticket, by ticket.Identity, _ time.Time) (ticket.Ticket, error) {
		return t.Reject(by)
	})
	return t, err
}

// decideFunc returns the ticket's next version. The unchanged version means that the
// call was repeated. With both a new version and an error, the version is stored before
// the error is returned.
type decideFunc func(t ticket.Ticket, by ticket.Identity, now time.Time) (ticket.Ticket, error)

// runPhoneCall runs a phone's call: read, exchange the code, decide, change. After a
// concurrent change it decides again on the new version, with the same identity.
func (h *Hub) runPhoneCall(ctx context.Context, a ticket.Action, c PhoneCall, decide decideFunc) (t ticket.Ticket, now time.Time, err error) {
	var by ticket.Identity
	changed := false
	slot, err := h.reserveAudit()
	defer func() { h.auditCall(&slot, a, c, callResult{t, by, changed, err}) }()
	if err != nil {
		return t, now, err
	}
	t, now, err = h.read(ctx, c.Ticket)
	if err != nil {
		return t, now, err
	}
	if err := c.Authorize(t); err != nil {
		return t, now, err
	}
	if err := c.precheck(t, a); err != nil {
		return t, now, err
	}
	// The exchange consumes the code. From here on the call is finished even if the
	// phone disconnects: otherwise its user would need another code.
	ctx = context.WithoutCancel(ctx)
	if by, err = c.Exchange(ctx); err != nil {
		return t, now, err
	}
	for range maxTries {
		next, refusal := decide(t, by, now)
		same := next.Seq == t.Seq
		if same && (refusal != nil || a != ticket.Confirm || !h.Replicated) {
			return next, now, refusal
		}
		out, err := h.applyChange(ctx, t, next, "")
		if errors.Is(err, ticket.ErrNotReplicated) {
			// The change is stored and published, but not replicated. A repeated call
			// will find it unchanged, so the audit must count the change here.
			changed = !same
			return next, now, err
		}
		if err != nil {
			return t, now, err
		}
		if out.Done {
			changed = !same
			return next, now, refusal
		}
		if t, now, err = h.openAndExpire(ctx, c.Ticket, out.Stored, ""); err != nil {
			return t, now, err
		}
	}
	return t, now, errTooManyUpdates
}

// errTooManyUpdates ends a change after maxTries.
var errTooManyUpdates = errors.New("change ticket: too many concurrent updates")

// Ack records that the browser has received the token of version seq.
func (h *Hub) Ack(ctx context.Context, id ticket.ID, seq int64, from Browser) error {
	t, known, _ := h.waiters.latest(id)
	if !known || t.State != ticket.Confirmed {
		// Only a confirmed slot is used without reading Redis: only this ack or the
		// deadline can follow it.
		var err error
		if t, _, err = h.read(ctx, id); err != nil {
			return err
		}
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
func CanConfirm(t ticket.Ticket) error {
	return PhoneCall{SameBrowser: true}.precheck(t, ticket.Confirm)
}

// precheck returns the error that every user would get for the call.
func (c PhoneCall) precheck(t ticket.Ticket, a ticket.Action) error {
	t.NumberMatching = t.NumberMatching && !c.SameBrowser
	return t.Precheck(a, c.Match)
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
// reads in the slot.
func (h *Hub) attach(ctx context.Context, id ticket.ID) (ticket.Ticket, error) {
	found, err := h.Store.Attach(ctx, h.node, id)
	if err != nil {
		return ticket.Ticket{}, err
	}
	t, now, err := h.openAndExpire(ctx, id, found[0], h.node)
	if err != nil {
		return t, err
	}
	h.waiters.apply(t, now)
	return t, nil
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
