package notify

import (
	"bytes"
	"encoding/json"
	"time"

	"loginhub/hub/ticket"
)

// Types of events.
const (
	Confirmed  = "login.confirmed"
	Rejected   = "login.rejected"
	Suspicious = "login.suspicious"
)

// Reasons of suspicious events.
const (
	MatchFailed     = "match_failed"     // a wrong number was chosen
	AlreadyScanned  = "already_scanned"  // another user has scanned the code
	AddressMismatch = "address_mismatch" // browser and phone have different addresses, or hide them
	CodeStale       = "code_stale"       // an authentic code that is too old
	FarAway         = "far_away"         // browser and phone are far from each other
	NotMe           = "not_me"           // the person who was notified did not confirm
)

// Event is an event in the form of CloudEvents 1.0.
type Event struct {
	SpecVersion     string    `json:"specversion"` // 1.0
	ID              string    `json:"id"`          // at most one of each type and reason for a ticket
	Source          string    `json:"source"`      // the public URL
	Type            string    `json:"type"`
	Subject         string    `json:"subject,omitempty"` // as Data.Sub
	Time            time.Time `json:"time"`              // by the store's clock
	DataContentType string    `json:"datacontenttype"`
	Data            Data      `json:"data"`
}

// Data is what an event says about a login. What is not known is absent. It has no token,
// code or secret.
type Data struct {
	ClientID    string     `json:"client_id"`
	Ticket      ticket.ID  `json:"ticket"`
	JTI         string     `json:"jti,omitempty"` // of the token of a confirmed login
	Sub         string     `json:"sub,omitempty"` // as in the token; absent if only the site's mapping has it
	AMR         []string   `json:"amr,omitempty"`
	Provider    string     `json:"provider,omitempty"`
	IP          string     `json:"ip,omitempty"`      // of the browser, observed
	Browser     string     `json:"browser,omitempty"` // claimed by the browser
	OS          string     `json:"os,omitempty"`
	Host        string     `json:"host,omitempty"`     // of the page that asked
	PhoneIP     string     `json:"phone_ip,omitempty"` // observed
	Place       string     `json:"place,omitempty"`    // of IP, in English
	Country     string     `json:"country,omitempty"`  // of IP (ISO 3166-1 alpha-2)
	RequestedAt time.Time  `json:"requested_at"`
	ConfirmedAt *time.Time `json:"confirmed_at,omitempty"`
	Reason      string     `json:"reason,omitempty"` // of a rejected or suspicious login
}

// eventID returns the id of an event: the same for every node and repeat. The id of a
// ticket has a fixed length, so that it is unambiguous.
func eventID(id ticket.ID, kind, reason string) string {
	text := string(id) + "_" + kind[len("login."):]
	if kind == Suspicious {
		text += "_" + reason
	}
	return text
}

// claimsOf reads the claims of a confirmed ticket.
func claimsOf(t ticket.Ticket) (c ticket.Claims) {
	if len(bytes.TrimSpace(t.Claims)) > 0 {
		_ = json.Unmarshal(t.Claims, &c) // the confirming node has made them
	}
	return c
}
