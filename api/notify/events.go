package notify

import (
	"net/netip"
	"strings"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// Events makes the events of clients with Client.Events. It is a Source.
type Events struct {
	Issuer string // the public URL
	// Place returns the place of an address, in English, and its country (ISO 3166-1
	// alpha-2); "" if they are not known. nil: none is known.
	Place func(netip.Addr) (place, country string)

	now func() time.Time // the store's clock; set by New
}

// Wants implements Source.
func (e *Events) Wants(c *client.Client) bool { return c.Events != nil }

// Messages implements Source.
func (e *Events) Messages(c Call, next ticket.Ticket) (all []Queued, err error) {
	add := func(kind, reason string) {
		q, failed := e.message(c, next, kind, reason)
		if all = append(all, q); failed != nil {
			err = failed
		}
	}
	switch {
	case next.State == ticket.Confirmed:
		add(Confirmed, "")
	case next.State == ticket.Rejected:
		add(Rejected, next.Reason.String())
		if next.Reason == ticket.ReasonWrongNumber {
			add(Suspicious, MatchFailed)
		}
	}
	return all, err
}

// message returns the event about a ticket.
func (e *Events) message(c Call, t ticket.Ticket, kind, reason string) (Queued, error) {
	event := Event{SpecVersion: "1.0", ID: eventID(t.ID, kind, reason), Source: e.Issuer, Type: kind, Time: e.now().Truncate(time.Millisecond),
		DataContentType: "application/json", Data: e.data(c, t)}
	event.Data.Reason = reason
	event.Subject = event.Data.Sub
	m, err := NewMessage(event.ID, t, event)
	return Queued{QueueOf(c.Client), m}, err
}

// data returns what is known of the login.
func (e *Events) data(c Call, t ticket.Ticket) Data {
	d := Data{ClientID: t.Client, Ticket: t.ID, Provider: c.Provider, IP: text(t.Address), PhoneIP: text(c.Phone), Browser: t.Browser, OS: t.OS,
		Host: strings.TrimPrefix(strings.TrimPrefix(t.Origin, "https://"), "http://"), RequestedAt: t.CreatedAt.Time()}
	if e.Place != nil && t.Address.IsValid() {
		d.Place, d.Country = e.Place(t.Address)
	}
	if by := c.By; by.Token != nil {
		d.Provider, d.AMR = by.Provider, []string{by.Token.AMR}
		if c.Client.SubjectMap == "" {
			d.Sub, _ = by.Sub(c.Client.Subject) // a user without one has none here either
		}
	}
	if claims := claimsOf(t); claims.Subject != "" {
		at := time.Unix(claims.AuthTime, 0).UTC()
		d.Sub, d.JTI, d.AMR, d.ConfirmedAt = claims.Subject, claims.ID, claims.AMR, &at
	}
	return d
}

func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// QueueOf returns the name of the queue of a client's events.
func QueueOf(c *client.Client) string { return "client:" + c.ID }
