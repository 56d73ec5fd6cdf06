package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"loginhub/hub/ticket"
	"loginhub/hub/trace"
)

// maxTries bounds how often a change is decided again after a concurrent change. Each
// concurrent change moves the ticket on, and it has few states.
const maxTries = 8

// records reads and changes the tickets in the store. It checks the seal of every record
// before any part is used, and seals every version that it writes.
type records struct {
	store   Store
	node    string
	current *reloadable
	waiters *registry
	audit   *auditor
	metrics Metrics
	tracer  *trace.Tracer
	log     *slog.Logger

	ticketTTL, confirmTTL, resultTTL time.Duration
}

// read reads a ticket and the store's time.
func (r *records) read(ctx context.Context, id ticket.ID) (ticket.Ticket, time.Time, error) {
	found, err := r.store.Attach(ctx, "", id)
	if err != nil {
		return ticket.Ticket{}, time.Time{}, err
	}
	t, now, err := r.openAndExpire(ctx, id, found[0])
	if err == nil {
		r.waiters.apply(t, now) // in case the message of this version was lost
	}
	return t, now, err
}

// attach adds this node to the ticket's waiting nodes and stores the version that it
// reads in the slot. It returns the slot's version, which may be a later one.
func (r *records) attach(ctx context.Context, id ticket.ID) (*version, error) {
	found, err := r.store.Attach(ctx, r.node, id)
	if err != nil {
		return nil, err
	}
	t, now, err := r.openAndExpire(ctx, id, found[0])
	if err != nil {
		return nil, err
	}
	if latest, _ := r.waiters.apply(t, now); latest != nil {
		return latest, nil
	}
	return &version{Ticket: t}, nil // the waiter was released meanwhile
}

// openAndExpire opens a stored record and records its deadline if that has passed.
func (r *records) openAndExpire(ctx context.Context, id ticket.ID, f ticket.Stored) (ticket.Ticket, time.Time, error) {
	for range maxTries {
		t, err := r.open(ctx, id, f.Sealed, InRecord)
		if err == nil {
			trace.SetClient(ctx, t.Client)
		}
		if err != nil || !t.Overdue(f.Now) {
			return t, f.Now, err
		}
		lapsed := t.Expire()
		out, err := r.recordExpiry(ctx, t, lapsed)
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
func (r *records) recordExpiry(ctx context.Context, was, lapsed ticket.Ticket) (ticket.Outcome, error) {
	slot, err := r.audit.reserve(ctx)
	if err != nil {
		return ticket.Outcome{}, err
	}
	defer slot.release()
	out, err := r.applyChange(ctx, was, &lapsed)
	if err != nil || !out.Done {
		return out, err
	}
	r.audit.change(&slot, lapsed, netip.Addr{})
	r.waiters.applyFrom(trace.Changed, lapsed, out.Now)
	return out, nil
}

// applyChange applies one change in the store, which publishes it to the other nodes. If
// it is done, the caller passes next, which now has its tag, to this node's waiters. If its
// result is not known, it is read again for some time.
func (r *records) applyChange(ctx context.Context, was ticket.Ticket, next *ticket.Ticket) (ticket.Outcome, error) {
	c, err := r.seal(was, *next)
	if err != nil {
		return ticket.Outcome{}, err
	}
	if c.Sealed != nil {
		*next = next.WithTag(c.Sealed)
	}
	sent := time.Now()
	outcomes, err := r.store.Change(ctx, c)
	if err != nil {
		r.reread(next.ID, maxRereads)
		return ticket.Outcome{}, err
	}
	if outcomes[0].Done && c.Sealed != nil {
		r.tracer.Publish(ctx, *next, sent)
	}
	return outcomes[0], nil
}

// maxRereads is how often a ticket is read again after a change without a result. A Redis
// that stalls makes the change seconds later; if it stalls for longer than this, the node is
// stalled and has released its waiters.
const maxRereads = 5

// reread reads a waiting ticket again, now and then every retrySweep, times in all.
func (r *records) reread(id ticket.ID, times int) {
	if times == 0 || !r.waiters.waits(id) {
		return
	}
	r.waiters.scheduleSoon([]ticket.ID{id}, 0)
	time.AfterFunc(retrySweep, func() { r.reread(id, times-1) })
}

// seal returns the store's change from was to next. An expiry applies only after the
// deadline of was, every other change only before it. The deadline is the sealed one. If
// next is the same version, the change repeats it: sealed again it would differ.
func (r *records) seal(was, next ticket.Ticket) (ticket.Change, error) {
	var sealed []byte
	if next.Seq != was.Seq {
		var err error
		if sealed, err = r.current.Load().Keys.Seal(next); err != nil {
			return ticket.Change{}, err
		}
	}
	c := ticket.Change{ID: next.ID, BaseTag: was.Tag(), Sealed: sealed,
		ExpireAt: next.RedeemUntil().Add(ticket.Tombstone), ExcludeNode: r.node,
		WaitReplicas: next.State == ticket.Confirmed}
	switch {
	case next.Redeemed():
		c.NotAfter = was.RedeemUntil()
	case next.State == ticket.Expired:
		c.NotBefore = was.Deadline
	default:
		c.NotAfter = was.Deadline
	}
	return c, nil
}

// errTooManyUpdates ends a change after maxTries.
var errTooManyUpdates = errors.New("change ticket: too many concurrent updates")

// open checks a record's seal and decodes it. A broken seal is logged, because it means
// that someone else writes in Redis; callers treat it as not found.
func (r *records) open(ctx context.Context, id ticket.ID, sealed []byte, source string) (ticket.Ticket, error) {
	if sealed == nil {
		return ticket.Ticket{}, ticket.ErrNotFound
	}
	t, err := r.current.Load().Keys.Open(id, sealed)
	if err != nil {
		r.log.ErrorContext(ctx, "record refused", "ticket", id, "error", err)
		rejectSeal(r.metrics, source, err)
	}
	return t, err
}

// clockError exceeds the usual error of the store's clock.
const clockError = 50 * time.Millisecond

// view returns what the browser gets now, with the token if the ticket is confirmed.
func (r *records) view(t ticket.Ticket) (ticket.View, error) {
	// The store's clock is known to some milliseconds and a remaining time is rounded
	// up: without clockError a full minute would sometimes show as 61 seconds. If the
	// clock is off by more, now is at least the time when the state began.
	now := r.store.Now().Add(clockError)
	if started := r.startedAt(t); now.Before(started) {
		now = started
	}
	v, err := t.View(now), error(nil)
	if t.ShowsCode() {
		if v.MatchCode, _, err = r.current.Load().Keys.MatchNumbers(t); err != nil {
			return v, err
		}
	}
	if t.Grant != nil {
		v.Answer, err = r.current.Load().Keys.Answer(t)
		return v, err
	}
	if t.State != ticket.Confirmed {
		return v, nil
	}
	token, err := r.current.Load().Signer.SignLogin(t.Key, t.SignKey, t.Claims)
	if err != nil {
		return v, fmt.Errorf("sign token: %w: %w", ticket.ErrUnknownKey, err)
	}
	expiry, err := t.TokenExpiry()
	if err != nil {
		return v, err
	}
	if v.Token, v.TokenType = token, "Bearer"; t.PageKey != nil {
		if v.Token, err = r.encrypt(*t.PageKey, token); err != nil {
			return v, err
		}
		v.TokenType = "JWE"
	}
	v.TokenExpiresIn = ticket.Seconds(expiry.Sub(now))
	return v, nil
}

// encrypt returns the token as a JWE for the page's key. Its bytes differ at each call, and the
// token in it does not.
func (r *records) encrypt(key ticket.PageKey, token string) (string, error) {
	public, err := key.Public()
	if err != nil {
		return "", err
	}
	return r.current.Load().Signer.Encrypt(public, token)
}

// startedAt returns the start of the period that ends with the ticket's deadline.
func (r *records) startedAt(t ticket.Ticket) time.Time {
	switch {
	case t.State == ticket.Confirmed:
		return t.Deadline.Add(-r.resultTTL)
	case t.State == ticket.Scanned && t.Grant != nil && t.Grant.TTL > 0 && t.Deadline.Equal(t.CreatedAt.Time().Add(t.Grant.TTL)):
	case t.State == ticket.Scanned && !t.Deadline.Equal(t.CreatedAt.Time().Add(r.ticketTTL)): // the scan moved the deadline
		return t.Deadline.Add(-r.confirmTTL)
	}
	return t.CreatedAt.Time()
}
