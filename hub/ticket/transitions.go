package ticket

import (
	"time"

	"loginhub/hub/provider"
)

// Action is what a phone or a browser does with a ticket.
type Action int

// Actions. Expire is not among them: it depends on the clock alone.
const (
	Scan Action = iota
	Confirm
	Reject
	Ack
	Cancel // by the browser
)

// outcome is the result of an action in a state: the next state, no change (the same
// answer again), or an error.
type outcome struct {
	next State // "" with a nil err: no change, the same answer again
	err  error
}

// outcomes has two results: same for the user recorded on the ticket, other for every
// other user, and for every user while none is recorded.
type outcomes struct{ same, other outcome }

func to(s State) outcome       { return outcome{next: s} }
func refuse(err error) outcome { return outcome{err: err} }

var noChange = outcome{}

func anyUser(r outcome) outcomes { return outcomes{r, r} }

// transitions contains all transitions. Actions that a state does not list are not
// possible there.
var transitions = map[State]map[Action]outcomes{
	Pending: {
		Scan:    anyUser(to(Scanned)),
		Confirm: anyUser(to(Confirmed)), // scan and confirm in one step
		Reject:  anyUser(to(Rejected)),
		Ack:     anyUser(refuse(ErrNotConfirmed)),
		Cancel:  anyUser(to(Rejected)),
	},
	Scanned: {
		Scan:    {noChange, refuse(ErrScanned)},
		Confirm: {to(Confirmed), refuse(ErrScanned)},
		Reject:  {to(Rejected), refuse(ErrScanned)},
		Ack:     anyUser(refuse(ErrNotConfirmed)),
		Cancel:  anyUser(to(Rejected)),
	},
	Confirmed: {
		Scan:    anyUser(refuse(ErrClosed)),
		Confirm: {noChange, refuse(ErrClosed)},
		Reject:  anyUser(refuse(ErrClosed)),
		Ack:     anyUser(to(Consumed)),
		Cancel:  anyUser(to(Rejected)),
	},
	Consumed: {
		Scan:    anyUser(refuse(ErrClosed)),
		Confirm: {noChange, refuse(ErrClosed)},
		Reject:  anyUser(refuse(ErrClosed)),
		Ack:     anyUser(noChange),
		Cancel:  anyUser(refuse(ErrClosed)),
	},
	Rejected: {
		Scan:    anyUser(refuse(ErrClosed)),
		Confirm: anyUser(refuse(ErrClosed)),
		Reject:  {noChange, refuse(ErrClosed)},
		Ack:     anyUser(refuse(ErrNotConfirmed)),
		Cancel:  anyUser(noChange),
	},
	Expired: {
		Scan:    anyUser(refuse(ErrExpired)),
		Confirm: anyUser(refuse(ErrExpired)),
		Reject:  anyUser(refuse(ErrExpired)),
		Ack:     anyUser(refuse(ErrExpired)),
		Cancel:  anyUser(refuse(ErrExpired)),
	},
}

// Precheck returns the error that every user would get, or nil if some user could
// succeed. Only then does the hub call a provider. match is the number that the phone
// sent, "" for none.
func (t Ticket) Precheck(a Action, match string) error {
	v := transitions[t.State][a]
	if v.other.err != nil && (v.same.err != nil || t.Identity == (provider.Identity{})) {
		return t.refusal(v.other.err)
	}
	if a == Confirm && t.State == Pending && t.Auto != 0 && !t.mayBeUsual() {
		return ErrScanRequired
	}
	if a == Confirm && t.NumberMatching {
		if t.State == Pending {
			return ErrScanRequired
		}
		if t.State == Scanned && match == "" {
			return ErrMatchMissing
		}
	}
	return nil
}

// decide returns the result of the action for this user. changed is false if the same
// answer is given again.
func (t Ticket) decide(a Action, by provider.Identity) (next State, changed bool, err error) {
	v := transitions[t.State][a]
	r := v.same
	if !t.Identity.Same(by) {
		r = v.other
	}
	return r.next, r.next != "", t.refusal(r.err)
}

// Confirms reports whether a confirm by that user would change the ticket, with the number
// that the user chose and the one that the page shows; err is what Confirm would return.
func (t Ticket) Confirms(by provider.Identity, match, expected string) (changes bool, err error) {
	_, changes, err = t.decide(Confirm, by)
	switch {
	case !changes || !t.NumberMatching:
		return changes, err
	case t.State == Pending:
		return false, ErrScanRequired
	}
	return match == expected, nil
}

// refusal adds to ErrClosed why the ticket was rejected, if it was.
func (t Ticket) refusal(err error) error {
	if err != ErrClosed || t.Reason == 0 {
		return err
	}
	return RejectedError{t.Reason}
}

// step returns the ticket's next version, in that state.
func (t Ticket) step(s State) Ticket {
	t.State = s
	t.Seq++
	return t
}

// Scan returns the ticket after a scan by that user, who has at least window from now to
// confirm. A repeated scan returns the ticket unchanged. With Auto call WithRisk first.
func (t Ticket) Scan(by provider.Identity, user User, now time.Time, window time.Duration) (Ticket, error) {
	next, changed, err := t.decide(Scan, by)
	if err != nil || !changed {
		return t, err
	}
	t = t.step(next)
	t.Identity, t.User = by, user
	if until := now.Add(window); until.After(t.Deadline) {
		t.Deadline = until
	}
	return t, nil
}

// Confirm returns the ticket after a confirm, with the token's claims fixed. The result
// waits for its browser for c.ResultTTL. With number matching it compares c.Match with
// c.ExpectedMatch. If the user who scanned chose a wrong number, it returns the rejected
// ticket together with ErrMatchFailed; the caller must store that ticket.
func (t Ticket) Confirm(c Confirmation) (Ticket, error) {
	next, changed, err := t.decide(Confirm, c.Identity)
	if err != nil || !changed {
		return t, err
	}
	if t.NumberMatching && !c.SameBrowser {
		switch {
		case t.State == Pending:
			return t, ErrScanRequired
		case c.Match == "":
			return t, ErrMatchMissing
		case c.Match != c.ExpectedMatch:
			return t.reject(ReasonWrongNumber), ErrMatchFailed
		}
	}
	user := t.User
	if c.User != (User{}) {
		user = c.User
	}
	claims, err := c.Token.claims(t, c, user)
	if err != nil {
		return t, err
	}
	t = t.step(next)
	t.Identity, t.User, t.Claims, t.Deadline = c.Identity, user, claims, c.Now.Add(c.ResultTTL)
	t.ConfirmedAt, t.Grant = c.Sent.UnixMicro(), t.Grant.confirmed(t.Seq)
	t.SignKey = c.Token.SignKey
	return t, nil
}

// Confirmation holds the input of Confirm.
type Confirmation struct {
	Identity      provider.Identity
	Subject       string // of the token, by the site's own mapping; "": by the identity
	PhoneNumber   string // in the form of E.164, from the provider; "": none
	User          User   // replaces the one from the scan, if the phone sent one
	Match         string // the number that the user chose
	ExpectedMatch string // the number that the page shows
	SameBrowser   bool   // the confirm comes from the waiting browser itself: no numbers to match
	Token         TokenParams
	Now           time.Time     // the store's clock
	ResultTTL     time.Duration // how long the result waits for its browser
	Sent          time.Time     // the store's clock when the provider answered
}

// Reject returns the ticket after a reject by that user.
func (t Ticket) Reject(by provider.Identity) (Ticket, error) {
	_, changed, err := t.decide(Reject, by)
	if err != nil || !changed {
		return t, err
	}
	t = t.reject(ReasonUser)
	t.Identity = by
	return t, nil
}

// reject returns the rejected ticket.
func (t Ticket) reject(why Reason) Ticket {
	t = t.step(Rejected)
	t.Reason, t.Claims = why, nil
	return t
}

// Cancel returns the ticket after its browser has cancelled it. The claims of a
// confirmed ticket are dropped: no node can sign its token any more. A cancelled or
// rejected ticket is returned unchanged.
func (t Ticket) Cancel() (Ticket, error) {
	v := transitions[t.State][Cancel].same
	if v.err != nil || v.next == "" {
		return t, v.err
	}
	return t.reject(ReasonCancelled), nil
}

// Dispute returns the ticket after its user has said, after the confirm, that the login was
// not theirs. A confirmed ticket is rejected: no node can sign its token any more. A grant
// that the site has not redeemed is used up. Any other ticket is returned unchanged.
func (t Ticket) Dispute(now time.Time) Ticket {
	if t.State == Confirmed {
		return t.reject(ReasonUser)
	}
	next, err := t.Redeem(now)
	if err != nil {
		return t
	}
	next.Claims = nil
	return next
}

// WasConfirmed reports whether the ticket was confirmed, whatever its state is now.
func (t Ticket) WasConfirmed() bool { return t.ConfirmedAt != 0 }

// Ack returns the ticket after its browser has acknowledged the token of version seq. A
// repeated ack returns the ticket unchanged.
func (t Ticket) Ack(seq int64) (Ticket, error) {
	if t.Redeemed() { // the site was faster than the browser
		if seq != t.Grant.Seq {
			return t, ErrNotConfirmed
		}
		return t, nil
	}
	v := transitions[t.State][Ack].same
	if v.err != nil {
		return t, v.err
	}
	acked := t.Seq
	if t.State == Consumed {
		acked-- // the confirmed version is the one before consumed
	}
	if seq != acked {
		return t, ErrNotConfirmed
	}
	if v.next == "" {
		return t, nil
	}
	return t.step(v.next), nil
}

// Expire returns the expired ticket. The caller must check Overdue first.
func (t Ticket) Expire() Ticket { return t.step(Expired) }
