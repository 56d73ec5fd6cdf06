package ticket

import "time"

// View describes a ticket to its browser. It is the same over every transport (schema
// View in api/openapi.yaml).
type View struct {
	Ticket         ID           `json:"ticket"`
	State          State        `json:"state"`
	Seq            int64        `json:"seq"`
	ExpiresIn      int64        `json:"expires_in,omitempty"` // seconds, rounded up; absent in a final state
	Reason         Reason       `json:"reason,omitempty"`     // only if rejected
	User           *DisplayUser `json:"user,omitempty"`
	MatchCode      string       `json:"match_code,omitempty"` // if ShowsCode
	Token          string       `json:"token,omitempty"`
	TokenType      string       `json:"token_type,omitempty"`
	TokenExpiresIn int64        `json:"token_expires_in,omitempty"`
	Answer                      // in place of the token, for the site's own endpoint
}

// View returns the ticket as its browser sees it at now (the store's clock), without the
// token. The delivering node adds the token.
func (t Ticket) View(now time.Time) View {
	v := View{Ticket: t.ID, State: t.State, Seq: t.Seq, Reason: t.Reason}
	if t.State.Final() {
		return v
	}
	v.ExpiresIn = Seconds(t.Deadline.Sub(now))
	if u := t.DisplayUser(); u != (DisplayUser{}) && t.State != Pending {
		v.User = &u
	}
	return v
}

// Delivers reports whether the view has what the browser waits for: the token, or the
// response to the site.
func (v View) Delivers() bool { return v.Token != "" || v.Answer != (Answer{}) }

// Seconds rounds a remaining time up to whole seconds, at least 1. A page must not show
// 0 before the store has recorded the end.
func Seconds(d time.Duration) int64 {
	return max(1, int64((d+time.Second-1)/time.Second))
}
