package notify

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"loginhub/hub/client"
	"loginhub/hub/outbox"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// Call is a phone's call about which reports are made.
type Call struct {
	Client   *client.Client
	Provider string            // that the call names
	By       provider.Identity // zero if the provider has not identified the user
	Phone    netip.Addr        // observed; zero if it is not known or there is no phone
	Notice   bool              // the user allows a message of their app
}

// Queued is a message and the queue that it goes into.
type Queued struct {
	Queue   string
	Message outbox.Message
}

// Source makes messages about changes.
type Source interface {
	// Wants reports whether the client wants its messages.
	Wants(c *client.Client) bool
	// Messages returns the messages about the change of a ticket to next by a call.
	Messages(c Call, next ticket.Ticket) ([]Queued, error)
}

// Outbox puts and delivers messages. *outbox.Outbox implements it.
type Outbox interface {
	Prepare(ctx context.Context, queue string, messages ...outbox.Message) error
	Put(ctx context.Context, queue string, messages ...outbox.Message) error
	Settle(queue string, messages ...outbox.Message)
}

// Notifier makes the reports. It is safe for concurrent use.
type Notifier struct {
	Outbox  Outbox
	Sources []Source
	Events  *Events
	Tickets Tickets
	Log     *slog.Logger
}

// Report makes the messages about one call.
type Report struct {
	notifier *Notifier
	Call
	made map[string][]outbox.Message // by queue, about the change that is tried
	at   ticket.Ticket               // the version that made is about
}

// Report returns the report of a call; nil if the client wants none.
func (n *Notifier) Report(c Call) *Report {
	if n == nil {
		return nil
	}
	for _, s := range n.Sources {
		if s.Wants(c.Client) {
			return &Report{notifier: n, Call: c}
		}
	}
	return nil
}

// Prepare puts the messages about the change to next, which is about to be made. After an
// error it must not be made.
func (r *Report) Prepare(ctx context.Context, next ticket.Ticket) error {
	r.made, r.at = map[string][]outbox.Message{}, next
	for _, s := range r.notifier.Sources {
		if !s.Wants(r.Client) {
			continue
		}
		all, err := s.Messages(r.Call, next)
		if err != nil {
			return err
		}
		for _, q := range all {
			r.made[q.Queue] = append(r.made[q.Queue], q.Message)
		}
	}
	for queue, messages := range r.made {
		if err := r.notifier.Outbox.Prepare(ctx, queue, messages...); err != nil {
			return err
		}
	}
	return nil
}

// Made settles the messages, because the change was made.
func (r *Report) Made() {
	for queue, messages := range r.made {
		r.notifier.Outbox.Settle(queue, messages...)
	}
}

// Suspicious puts an event about a call that changed nothing. It is reported once for a
// ticket and reason. If it cannot be put, that is logged: the answer to the phone is the
// same.
func (n *Notifier) Suspicious(ctx context.Context, c Call, t ticket.Ticket, reason string) {
	if n == nil || !n.Events.Wants(c.Client) {
		return
	}
	q, err := n.Events.message(c, t, Suspicious, reason)
	if err == nil {
		err = n.Outbox.Put(ctx, q.Queue, q.Message)
	}
	if err != nil {
		n.Log.Error("a suspicious login is not reported", "client", c.Client.ID, "ticket", t.ID, "reason", reason, "error", err)
	}
}

// change is the change that a message reports: the ticket, the state that it gets, and the
// user who makes it.
type change struct {
	Ticket ticket.ID         `json:"ticket"`
	State  ticket.State      `json:"state"`
	By     provider.Identity `json:"by"`
	Body   json.RawMessage   `json:"body"`
}

// NewMessage returns a message about the change to next. The id is the same for every
// repeat. Body reads the body.
func NewMessage(id string, next ticket.Ticket, body any) (outbox.Message, error) {
	text, err := json.Marshal(body)
	if err == nil {
		text, err = json.Marshal(change{next.ID, next.State, next.Identity, text})
	}
	if err != nil {
		return outbox.Message{}, fmt.Errorf("message %s: %w", id, err)
	}
	return outbox.Message{ID: id, Attempt: rand.Text(), Value: text}, nil
}

// Body returns the body that NewMessage was given, as JSON.
func Body(m outbox.Message) (json.RawMessage, error) {
	var c change
	if err := json.Unmarshal(m.Value, &c); err != nil {
		return nil, fmt.Errorf("message %s: %w", m.ID, err)
	}
	return c.Body, nil
}

// Tickets reads tickets. *hub.Hub implements it.
type Tickets interface {
	Get(ctx context.Context, id ticket.ID) (ticket.Ticket, error)
}

// Resolve returns what became of the change that a prepared message reports
// (outbox.Config.Resolve).
func (n *Notifier) Resolve(ctx context.Context, _ string, m outbox.Message) (outbox.Fate, error) {
	var c change
	if err := json.Unmarshal(m.Value, &c); err != nil {
		return outbox.NotMade, nil // no release has written it
	}
	t, err := n.Tickets.Get(ctx, c.Ticket)
	switch {
	case errors.Is(err, ticket.ErrNotFound), errors.Is(err, ticket.ErrBrokenSeal):
		n.Log.Error("a login that no node has reported in time is not reported: its ticket is gone", "message", m.ID)
		return outbox.NotMade, nil
	case err != nil:
		return outbox.Undecided, err
	case t.State == ticket.Pending, t.State == ticket.Scanned:
		return outbox.Undecided, nil
	case t.Identity.Same(c.By) && (c.State == ticket.Confirmed && t.WasConfirmed() ||
		c.State == ticket.Rejected && t.State == ticket.Rejected && t.Reason != ticket.ReasonCancelled):
		return outbox.Made, nil
	}
	return outbox.NotMade, nil
}
