package hub

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"loginhub/hub/ticket"
)

// maxTries is how often a change is decided anew because somebody else was
// faster. Each time the ticket has moved on, and it has few states.
const maxTries = 8

// Created is what the browser gets when it makes a ticket.
type Created struct {
	Ticket    ticket.Ticket
	Secret    ticket.Secret
	ExpiresIn time.Duration
	MatchCode string // "" where the client has no number matching
}

// Create makes a ticket.
func (h *Hub) Create(ctx context.Context, r ticket.Request) (Created, error) {
	slot, err := h.reserveAudit()
	if err != nil {
		return Created{}, err
	}
	defer slot.release()
	m := Created{Secret: ticket.NewSecret(), ExpiresIn: h.TicketTTL}
	keys := h.current.Load().Keys
	// The deadline is sealed, so Redis's clock has to be known beforehand. At
	// the first call, or after a failover to a machine with another clock, it
	// is not, and the answer sets it right.
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
	return Created{}, fmt.Errorf("the store's clock does not hold still: %w", ticket.ErrStoreUnavailable)
}

// PhoneCall is a phone's call on a ticket.
type PhoneCall struct {
	Ticket ticket.ID
	User   ticket.User // what the phone says of its user, cleaned
	Match  string      // the number that the user chose; only of a confirm
	// SameBrowser says that the waiting browser itself has come back with the code,
	// as its own state and cookie prove. Then there is no second screen to
	// match numbers with. Never for a phone.
	SameBrowser bool
	// Authorize refuses a provider that the ticket's client does not take.
	Authorize func(ticket.Ticket) error
	// Exchange turns the phone's code into an identity. It is called once at
	// the most, and only where some user could succeed.
	Exchange func(context.Context) (ticket.Identity, error)
	// Client gives the confirming client's settings; needed by Confirm and Scan.
	Client func(id string) *ticket.Client
	// Phone is the address that the call comes from, for the audit.
	Phone netip.Addr
	// Done, where it is set, is told once how the call ended, by whom (zero
	// where that is not known), and gives the word for it.
	OnResult func(by ticket.Identity, err error) string
}

// ScanResult is what the phone is told after a scan.
type ScanResult struct {
	Ticket    ticket.Ticket
	Remaining time.Duration // until the deadline
	Choices   []string      // the numbers to choose from; nil without number matching
}

// Scan notes who scanned.
func (h *Hub) Scan(ctx context.Context, c PhoneCall) (ScanResult, error) {
	t, now, err := h.runPhoneCall(ctx, ticket.Scan, c, func(t ticket.Ticket, by ticket.Identity, now time.Time) (ticket.Ticket, error) {
		// Who could not confirm hears it before he is shown a consent screen.
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

// Confirm fixes the token's claims and tells the waiting page.
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

// Reject ends the ticket at the user's wish.
func (h *Hub) Reject(ctx context.Context, c PhoneCall) (ticket.Ticket, error) {
	t, _, err := h.runPhoneCall(ctx, ticket.Reject, c, func(t ticket.Ticket, by ticket.Identity, _ time.Time) (ticket.Ticket, error) {
		return t.Reject(by)
	})
	return t, err
}

// decideFunc decides the next version, or the same one for the same answer again. It
// may return both a new version and an error: the version is stored first.
type decideFunc func(t ticket.Ticket, by ticket.Identity, now time.Time) (ticket.Ticket, error)

// runPhoneCall is the road of every phone call: look, exchange the code, decide,
// change; and where somebody was faster, decide anew on what he left, with the
// identity already in hand.
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
	// A code is spent by the exchange. If the phone hangs up from here on, what
	// its user wanted is still done: he would only have to come again with
	// another code.
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
			// It stands there, and the page hears of it. A phone that comes again
			// finds it made: only here can it be told as a change.
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
	return t, now, errors.New("the ticket never holds still")
}

// Ack notes that the token of the version seq has arrived at the browser.
func (h *Hub) Ack(ctx context.Context, id ticket.ID, seq int64, from Browser) error {
	t, known, _ := h.waiters.latest(id)
	if !known || t.State != ticket.Confirmed {
		// Only a confirmed slot is believed without a look: nothing but this
		// ack, or the deadline, can follow it.
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
		// This node tells itself: the usual login needs no message for its ack.
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
	return errors.New("the ticket never holds still")
}

// read reads a ticket as it stands.
func (h *Hub) read(ctx context.Context, id ticket.ID) (ticket.Ticket, time.Time, error) {
	found, err := h.Store.Attach(ctx, "", id)
	if err != nil {
		return ticket.Ticket{}, time.Time{}, err
	}
	return h.openAndExpire(ctx, id, found[0], "")
}

// attach notes this node on the ticket, and puts what it reads into the slot.
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

// openAndExpire opens what the store has found and writes down a deadline that has
// passed. skip is this node where it tells its own waiters.
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
	return ticket.Ticket{}, f.Now, errors.New("the ticket never holds still")
}

// recordExpiry makes the change to expired, and its line.
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

// applyChange makes one change in the store.
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

// seal is the change from was to next: expiry only after the deadline of was,
// everything else only before it. The deadline is the one under the seal.
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
