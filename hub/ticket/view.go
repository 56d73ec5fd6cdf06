package ticket

import "time"

// View describes a ticket to its browser, the same over every transport: the
// schema View in api/openapi.yaml.
type View struct {
	Ticket         ID     `json:"ticket"`
	State          State  `json:"state"`
	Seq            int64  `json:"seq"`
	ExpiresIn      int64  `json:"expires_in,omitempty"` // seconds, rounded up; not in a final state
	User           *User  `json:"user,omitempty"`
	Token          string `json:"token,omitempty"`
	TokenType      string `json:"token_type,omitempty"`
	TokenExpiresIn int64  `json:"token_expires_in,omitempty"`
}

// View shows the ticket at now (the store's clock), without the token: that is
// signed by who delivers it.
func (t Ticket) View(now time.Time) View {
	v := View{Ticket: t.ID, State: t.State, Seq: t.Seq}
	if t.State.Final() {
		return v
	}
	v.ExpiresIn = Seconds(t.Deadline.Sub(now))
	if u := t.DisplayUser(); u != (User{}) && t.State != Pending {
		v.User = &u
	}
	return v
}

// Seconds rounds a remaining time up to whole seconds, at least 1: what is shown
// as over must be over, and that only the store says.
func Seconds(d time.Duration) int64 {
	return max(1, int64((d+time.Second-1)/time.Second))
}
