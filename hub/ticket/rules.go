package ticket

import "time"

// Action is what somebody wants of a ticket.
type Action int

// The actions. Expire has no row in the table: it follows from the clock alone.
const (
	Scan Action = iota
	Confirm
	Reject
	Ack
)

// rule is what an action meets in a state: the next state, or no change (the
// same answer again), or an error.
type rule struct {
	next State // "" with a nil err: the same answer again, nothing changes
	err  error
}

// verdicts are the two answers: to the user who is already noted on the ticket
// (or to anybody, while nobody is), and to any other.
type verdicts struct{ same, other rule }

func to(s State) rule       { return rule{next: s} }
func refuse(err error) rule { return rule{err: err} }

var again = rule{}

func all(r rule) verdicts { return verdicts{r, r} }

// table has all transitions. An action that a state does not list is not possible
// there.
var table = map[State]map[Action]verdicts{
	Pending: {
		Scan:    all(to(Scanned)),
		Confirm: all(to(Confirmed)), // scan and confirm in one step
		Reject:  all(to(Rejected)),
		Ack:     all(refuse(ErrNotConfirmed)),
	},
	Scanned: {
		Scan:    {again, refuse(ErrScanned)},
		Confirm: {to(Confirmed), refuse(ErrScanned)},
		Reject:  {to(Rejected), refuse(ErrScanned)},
		Ack:     all(refuse(ErrNotConfirmed)),
	},
	Confirmed: {
		Scan:    all(refuse(ErrClosed)),
		Confirm: {again, refuse(ErrClosed)},
		Reject:  all(refuse(ErrClosed)),
		Ack:     all(to(Consumed)),
	},
	Consumed: {
		Scan:    all(refuse(ErrClosed)),
		Confirm: {again, refuse(ErrClosed)},
		Reject:  all(refuse(ErrClosed)),
		Ack:     all(again),
	},
	Rejected: {
		Scan:    all(refuse(ErrClosed)),
		Confirm: all(refuse(ErrClosed)),
		Reject:  {again, refuse(ErrClosed)},
		Ack:     all(refuse(ErrNotConfirmed)),
	},
	Expired: {
		Scan:    all(refuse(ErrExpired)),
		Confirm: all(refuse(ErrExpired)),
		Reject:  all(refuse(ErrExpired)),
		Ack:     all(refuse(ErrExpired)),
	},
}

// Hopeless is the error that every user would get, or nil where some user could
// succeed: only then is a provider worth a call. match is the number that the
// phone sent, "" for none.
func (t Ticket) Hopeless(a Action, match string) error {
	v := table[t.State][a]
	if v.same.err != nil && v.other.err != nil {
		return v.same.err
	}
	if a == Confirm && t.Match {
		if t.State == Pending {
			return ErrScanRequired
		}
		if t.State == Scanned && match == "" {
			return ErrMatchMissing
		}
	}
	return nil
}

// decide looks the action up for this user. changed is false where the same
// answer is given again.
func (t Ticket) decide(a Action, by Identity) (next State, changed bool, err error) {
	v := table[t.State][a]
	r := v.same
	if t.By != (Identity{}) && !t.By.Same(by) {
		r = v.other
	}
	return r.next, r.next != "", r.err
}

// step is the next version in that state.
func (t Ticket) step(s State) Ticket {
	t.State = s
	t.Seq++
	return t
}

// Scanned is the ticket after a scan by that user: he has at least window from
// now to confirm. A repeated scan returns the ticket as it is.
func (t Ticket) Scanned(by Identity, user User, now time.Time, window time.Duration) (Ticket, error) {
	next, changed, err := t.decide(Scan, by)
	if err != nil || !changed {
		return t, err
	}
	t = t.step(next)
	t.By, t.User = by, user
	if until := now.Add(window); until.After(t.Deadline) {
		t.Deadline = until
	}
	return t, nil
}

// Confirmed is the ticket after a confirm by that user, with the token's claims
// fixed; it waits for its browser for the given life. With number matching,
// match is compared to want: a wrong number from the user who scanned gives the
// rejected ticket and ErrMatchFailed, and both are to be used.
func (t Ticket) Confirmed(c Confirmation) (Ticket, error) {
	next, changed, err := t.decide(Confirm, c.By)
	if err != nil || !changed {
		return t, err
	}
	if t.Match && !c.Bound {
		switch {
		case t.State == Pending:
			return t, ErrScanRequired
		case c.Match == "":
			return t, ErrMatchMissing
		case c.Match != c.Want:
			return t.step(Rejected), ErrMatchFailed
		}
	}
	user := t.User
	if c.User != (User{}) {
		user = c.User
	}
	claims, err := c.Issue.claims(t, c.By, user, c.Now)
	if err != nil {
		return t, err
	}
	t = t.step(next)
	t.By, t.User, t.Claims, t.Deadline = c.By, user, claims, c.Now.Add(c.Life)
	if !c.Sent.IsZero() {
		t.ConfirmedAt = c.Sent.UnixMicro()
	}
	return t, nil
}

// Confirmation is everything that a confirm brings.
type Confirmation struct {
	By    Identity
	User  User   // replaces the scan's, where the phone sent one
	Match string // the number that the user chose
	Want  string // the number that the page shows
	Bound bool   // it comes from the waiting browser itself: no numbers to match
	Issue Issue
	Now   time.Time     // the store's clock
	Life  time.Duration // how long the result waits for its browser
	Sent  time.Time     // the store's clock as the provider has answered; zero where nobody measures
}

// Rejected is the ticket after a reject by that user.
func (t Ticket) Rejected(by Identity) (Ticket, error) {
	next, changed, err := t.decide(Reject, by)
	if err != nil || !changed {
		return t, err
	}
	t = t.step(next)
	t.By = by
	return t, nil
}

// Acked is the ticket after its browser has said that the token of the version
// seq has arrived. A repeated ack returns the ticket as it is.
func (t Ticket) Acked(seq int64) (Ticket, error) {
	v := table[t.State][Ack].same
	if v.err != nil {
		return t, v.err
	}
	acked := t.Seq
	if t.State == Consumed {
		acked-- // the confirmed version that consumed followed
	}
	if seq != acked {
		return t, ErrNotConfirmed
	}
	if v.next == "" {
		return t, nil
	}
	return t.step(v.next), nil
}

// Lapsed is the expired ticket. The caller makes sure that it is Due.
func (t Ticket) Lapsed() Ticket { return t.step(Expired) }
