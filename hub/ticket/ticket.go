package ticket

import (
	"encoding/json"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/provider"
)

// State is the state of a login attempt.
type State string

// States of a ticket. Consumed, rejected and expired are final.
const (
	Pending   State = "pending"
	Scanned   State = "scanned"
	Confirmed State = "confirmed"
	Consumed  State = "consumed"
	Rejected  State = "rejected"
	Expired   State = "expired"
)

// known reports whether this release has the state. A later one may have more.
func (s State) known() bool {
	return s == Pending || s == Scanned || s == Confirmed || s.Final()
}

// Final reports whether the state cannot change any more.
func (s State) Final() bool { return s == Consumed || s == Rejected || s == Expired }

// Reason says why a ticket was rejected. It is a number to save memory.
type Reason uint8

// Reasons of a rejected ticket. A record of version 1 has none.
const (
	_                 Reason = iota // not rejected, or not known
	ReasonUser                      // the user declined on the phone
	ReasonWrongNumber               // the user chose a wrong number
	ReasonCancelled                 // the browser cancelled
)

// reasons are the names in views and records.
var reasons = [...]string{"", "user", "wrong_number", "cancelled_here"}

// String implements fmt.Stringer.
func (r Reason) String() string { return reasons[int(r)%len(reasons)] }

// MarshalText implements encoding.TextMarshaler.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. A name that this node does not
// know counts as no reason.
func (r *Reason) UnmarshalText(text []byte) error {
	*r = Reason(max(0, slices.Index(reasons[:], string(text))))
	return nil
}

// Limits on what a browser sends when it creates a ticket.
const (
	MaxNonce = 128 // characters
	maxAgent = 48  // characters, for browser and system each
)

// Ticket is one version of a login attempt. All fields are sealed. All times are by the
// store's clock.
type Ticket struct {
	ID             ID           `json:"ticket"`
	Client         string       `json:"client"`
	Nonce          string       `json:"nonce,omitempty"`
	Address        netip.Addr   `json:"address,omitzero"` // observed by the hub; zero if unknown
	Origin         string       `json:"origin,omitempty"` // of the page that asked, or of the site of its grant; "" if unknown. Displayed only
	Browser        string       `json:"browser,omitempty"`
	OS             string       `json:"os,omitempty"`
	NumberMatching bool         `json:"match,omitempty"` // of the client, when the ticket was created; with Auto, of the scan
	Auto           AutoMatching `json:"auto,omitempty"`
	// FrameStep is how many seconds a frame of the living code lasts; 0: an ordinary code. It
	// is the client's when the ticket was created.
	FrameStep uint8  `json:"frame_step,omitempty"`
	Reason    Reason `json:"reason,omitempty"`
	// SignKey is the tag of the key that signs the token, fixed by the confirm; 0 is Key's
	// Ed25519 key. It is a number to save memory.
	SignKey   uint32            `json:"sign,omitempty"`
	CreatedAt Instant           `json:"made_at"`
	Key       string            `json:"kid"` // seals and signs this ticket for its whole life
	State     State             `json:"state"`
	Seq       int64             `json:"seq"`
	Deadline  time.Time         `json:"deadline"`
	Identity  provider.Identity `json:"by,omitzero"`   // who scanned, confirmed or rejected
	User      User              `json:"user,omitzero"` // as the phone describes them: a claim
	Claims    json.RawMessage   `json:"claims,omitempty"`
	// ConfirmedAt is when the confirming node sent the confirm to the store, in
	// microseconds of the store's clock; 0 before. It is for the metrics, and remains after
	// a cancel (WasConfirmed). It is a plain number to save memory: every waiting ticket
	// has one.
	ConfirmedAt int64 `json:"confirmed_us,omitempty"`
	// Grant is what the site redeems; nil if the browser gets the token. Only records of
	// version 2 have one.
	Grant *Grant `json:"grant,omitempty"`
	// PageKey encrypts the token that the page gets; nil: it gets the token as it is. Only
	// records of version 2 have one.
	PageKey *PageKey   `json:"page_key,omitempty"`
	Known   *KnownTags `json:"known,omitempty"` // of the browser; nil for most tickets

	proof proof // of the sealed bytes that this ticket was opened from, or became (WithTag)
}

// Request describes a browser that asks for a ticket.
type Request struct {
	Client      *client.Client
	Nonce       string
	Address     netip.Addr // observed by the hub; zero if unknown
	Origin      string     // of the page, on the client's list; "" if the browser sent none
	Hidden      bool       // the address could be known and is not
	Browser, OS string     // claimed by the browser
	Grant       *Grant     // nil: the browser gets the token
	PageKey     *PageKey   // for which the token is encrypted; nil: it is not
	Known       KnownTags  // of the browser; nil: none
}

// New returns the first version of a ticket, created at now and to be scanned within
// ttl, or the grant's own TTL. key is the id of the key that seals it (Keyring.Current).
func New(id ID, r Request, key string, now time.Time, ttl time.Duration) Ticket {
	now = now.UTC().Truncate(time.Millisecond)
	if r.Grant != nil && r.Grant.TTL > 0 {
		ttl = r.Grant.TTL
	}
	device := r.Grant != nil && r.Grant.Type == GrantDevice
	t := Ticket{
		ID: id, Client: r.Client.ID, Nonce: r.Nonce, Address: r.Address, Origin: r.Origin,
		Browser: provider.CleanText(r.Browser, maxAgent), OS: provider.CleanText(r.OS, maxAgent),
		NumberMatching: r.Client.NumberMatching && !(device && r.Client.NumbersByDefault), Key: key,
		CreatedAt: Instant(now.UnixMilli()), State: Pending, Seq: 1, Deadline: now.Add(ttl), Grant: r.Grant, PageKey: r.PageKey,
		FrameStep: uint8(r.Client.LivingCode / time.Second),
	}
	switch {
	case !r.Client.AutoMatching:
	case device: // it has no cookie, and shows a number only if it gets one at the start
		t.NumberMatching = true
	case r.Hidden:
		t.Auto = AutoHidden
	default:
		t.Auto = AutoOn
		if len(r.Known) > 0 {
			t.Known = &r.Known
		}
	}
	return t
}

// Overdue reports whether the deadline has passed and the ticket is not in a final
// state.
func (t Ticket) Overdue(now time.Time) bool {
	return !t.State.Final() && !now.Before(t.Deadline)
}

// DisplayUser returns the user that the waiting page shows: the provider's name if it
// vouches for one, otherwise the phone's claim.
func (t Ticket) DisplayUser() DisplayUser {
	if t.Identity.Nickname != "" {
		return DisplayUser{User{Nickname: t.Identity.Nickname, AvatarURL: t.Identity.Picture}, true}
	}
	return DisplayUser{User: t.User}
}

// LogValue implements slog.LogValuer: the fields that may be logged.
func (t Ticket) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("id", t.ID.Short()), slog.String("client", t.Client),
		slog.String("state", string(t.State)), slog.Int64("seq", t.Seq))
}
