package ticket

import (
	"encoding/json"
	"log/slog"
	"net/netip"
	"time"
)

// State is where a login attempt stands.
type State string

// The states. Consumed, rejected and expired are final.
const (
	Pending   State = "pending"
	Scanned   State = "scanned"
	Confirmed State = "confirmed"
	Consumed  State = "consumed"
	Rejected  State = "rejected"
	Expired   State = "expired"
)

// Final reports whether nothing can follow.
func (s State) Final() bool { return s == Consumed || s == Rejected || s == Expired }

// Limits on what a browser says when it makes a ticket.
const (
	MaxNonce = 128 // characters
	maxAgent = 48  // characters of browser and system
)

// Ticket is one version of a login attempt. All of it is sealed; times are the
// store's clock.
type Ticket struct {
	ID             ID              `json:"ticket"`
	Client         string          `json:"client"`
	Nonce          string          `json:"nonce,omitempty"`
	Address        netip.Addr      `json:"address,omitzero"` // observed; zero where it is not known
	Browser        string          `json:"browser,omitempty"`
	OS             string          `json:"os,omitempty"`
	NumberMatching bool            `json:"match,omitempty"` // number matching is on
	CreatedAt      time.Time       `json:"made_at"`
	Key            string          `json:"kid"` // seals and signs this ticket for all its life
	State          State           `json:"state"`
	Seq            int64           `json:"seq"`
	Deadline       time.Time       `json:"deadline"`
	Identity       Identity        `json:"by,omitzero"`   // who scanned, confirmed or rejected
	User           User            `json:"user,omitzero"` // what the phone says of him
	Claims         json.RawMessage `json:"claims,omitempty"`
	// ConfirmedAt is when the confirming node sent the confirm to the store, in
	// microseconds of the store's clock; 0 before. Only metrics ask for it. A
	// bare number, for every waiting ticket holds one.
	ConfirmedAt int64 `json:"confirmed_us,omitempty"`

	tag []byte // of the sealed bytes that it was opened from
}

// Tag names the sealed version that this ticket was opened from: a change is
// made only where that version is still the stored one.
func (t Ticket) Tag() []byte { return t.tag }

// Request is what is known of a browser when it asks for a ticket.
type Request struct {
	Client      *Client
	Nonce       string
	Address     netip.Addr // observed by the hub; zero where it is not known
	Browser, OS string     // claimed by the browser
}

// New is the first version of a ticket, made at now and to be scanned within
// ttl. The caller sets Key (Keyring.Current).
func New(id ID, r Request, key string, now time.Time, ttl time.Duration) Ticket {
	now = now.UTC().Truncate(time.Millisecond)
	return Ticket{
		ID: id, Client: r.Client.ID, Nonce: r.Nonce, Address: r.Address,
		Browser: CleanText(r.Browser, maxAgent), OS: CleanText(r.OS, maxAgent),
		NumberMatching: r.Client.NumberMatching, Key: key,
		CreatedAt: now, State: Pending, Seq: 1, Deadline: now.Add(ttl),
	}
}

// Overdue reports whether the ticket's time is over and nobody has written it down.
func (t Ticket) Overdue(now time.Time) bool {
	return !t.State.Final() && !now.Before(t.Deadline)
}

// DisplayUser is the user as the waiting page is told: the provider's word where it
// vouches for the name, otherwise the phone's claim.
func (t Ticket) DisplayUser() User {
	if t.Identity.Nickname != "" {
		return User{Nickname: t.Identity.Nickname, AvatarURL: t.Identity.Picture}
	}
	return t.User
}

// LogValue is what of a ticket may stand in a log.
func (t Ticket) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("id", t.ID.Short()), slog.String("client", t.Client),
		slog.String("state", string(t.State)), slog.Int64("seq", t.Seq))
}
