package notify

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"time"

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
	Notice   bool              // the user allows a message of their app, which can send one
	Lang     string            // of the phone (BCP 47)
}

// Queued is a message and the queue that it goes into.
type Queued struct {
	Queue   string
	Message outbox.Message
}

// Source makes messages about changes.
type Source interface {
	// Wants reports whether the client is configured for its messages.
	Wants(c *client.Client) bool
	// Messages returns the messages about the change of a ticket to next by a call.
	Messages(c Call, next ticket.Ticket) ([]Queued, error)
}

// Config configures a Notifier. All fields are required unless the comment says otherwise.
type Config struct {
	Store    outbox.Store  // nil: New returns nil
	Remember time.Duration // the longest life of a ticket's record
	Tickets  Tickets
	Events   *Events
	// Others are further sources; nil: none.
	Others  []Source
	Metrics outbox.Metrics
	Log     *slog.Logger
}

// Notifier makes and delivers the reports. It is safe for concurrent use. A nil Notifier
// makes none.
type Notifier struct {
	outbox    *outbox.Outbox
	sources   []Source
	events    *Events
	tickets   Tickets
	transport *http.Transport
	now       func() time.Time // the store's clock
	log       *slog.Logger
}

// New returns a Notifier. It delivers nothing before Reload.
func New(c Config) *Notifier {
	if c.Store == nil {
		return nil
	}
	n := &Notifier{sources: append([]Source{c.Events}, c.Others...), events: c.Events, tickets: c.Tickets, transport: newTransport(), now: c.Store.Now, log: c.Log}
	c.Events.now = n.now
	n.outbox = outbox.New(outbox.Config{Store: c.Store, Resolve: n.Resolve, Remember: c.Remember, Log: c.Log, Metrics: c.Metrics})
	return n
}

// Reload sets the clients whose events are delivered, and further destinations by queue.
func (n *Notifier) Reload(clients []*client.Client, others map[string]outbox.Destination) {
	if n == nil {
		return
	}
	all := maps.Clone(others)
	if all == nil {
		all = map[string]outbox.Destination{}
	}
	calls := &http.Client{Transport: n.transport, Timeout: webhookTimeout, CheckRedirect: noRedirect}
	for _, c := range clients {
		if c.Events != nil {
			all[QueueOf(c)] = webhook{c.Events, calls, n.now}
		}
	}
	n.outbox.Reload(all)
}

// Close ends the deliveries. What is not delivered is left to other nodes.
func (n *Notifier) Close() {
	if n != nil {
		n.outbox.Close()
		n.transport.CloseIdleConnections()
	}
}

// Report makes the messages about one call.
type Report struct {
	notifier *Notifier
	Call
	made map[string][]outbox.Message // by queue, about the change that is tried
}

// Report returns the report of a call; nil if the client has none.
func (n *Notifier) Report(c Call) *Report {
	if n == nil {
		return nil
	}
	for _, s := range n.sources {
		if s.Wants(c.Client) {
			return &Report{notifier: n, Call: c}
		}
	}
	return nil
}

// Prepare puts the messages about the change to next, which is about to be made. After an
// error it must not be made.
func (r *Report) Prepare(ctx context.Context, next ticket.Ticket) error {
	r.made = map[string][]outbox.Message{}
	for _, s := range r.notifier.sources {
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
		if err := r.notifier.outbox.Prepare(ctx, queue, messages...); err != nil {
			return err
		}
	}
	return nil
}

// Made settles the messages, because the change was made.
func (r *Report) Made() {
	for queue, messages := range r.made {
		r.notifier.outbox.Settle(queue, messages...)
	}
}

// WantsEvents reports whether the client has events.
func (n *Notifier) WantsEvents(c *client.Client) bool { return n != nil && n.events.Wants(c) }

// Suspicious puts an event about a call that changed nothing. It is reported once for a
// ticket and reason, and leaves room in the queue for others: strangers make such calls. If
// it cannot be put, that is logged: the answer to the phone is the same.
func (n *Notifier) Suspicious(ctx context.Context, c Call, t ticket.Ticket, reason string) {
	if !n.WantsEvents(c.Client) {
		return
	}
	q, err := n.events.message(c, t, Suspicious, reason)
	if err == nil {
		err = n.outbox.PutMinor(ctx, q.Queue, q.Message)
	}
	if err != nil {
		n.log.Error("a suspicious login is not reported", "client", c.Client.ID, "ticket", t.ID, "reason", reason, "error", err)
	}
}

// Disputed puts the event about a login that its user disputes. Without an error it
// survives the death of this node.
func (n *Notifier) Disputed(ctx context.Context, c Call, t ticket.Ticket) error {
	if !n.WantsEvents(c.Client) {
		return nil
	}
	q, err := n.events.message(c, t, Suspicious, NotMe)
	if err != nil {
		return err
	}
	return n.outbox.Put(ctx, q.Queue, q.Message)
}

// Put puts a message that is true now, and that Body reads. Of the same id one is put.
// Without an error it survives the death of this node.
func (n *Notifier) Put(ctx context.Context, queue, id string, body any) error {
	m, err := NewMessage(id, ticket.Ticket{}, body)
	if err != nil {
		return err
	}
	return n.outbox.Put(ctx, queue, m)
}

// change is the change that a message reports: the version of the ticket that it makes.
type change struct {
	Ticket      ticket.ID         `json:"ticket"`
	Seq         int64             `json:"seq"`
	State       ticket.State      `json:"state"`
	Reason      ticket.Reason     `json:"reason,omitempty"`
	ConfirmedAt int64             `json:"confirmed_us,omitempty"`
	By          provider.Identity `json:"by"`
	Body        json.RawMessage   `json:"body"`
}

// fate returns what became of the change, by a later version of the ticket. Concurrent
// changes have the same Seq, and at most one of them is made.
func (c change) fate(t ticket.Ticket) outbox.Fate {
	made := t.Seq == c.Seq && t.State == c.State && (t.Reason == c.Reason || t.Reason == 0) // 0: a record of version 1
	if c.State == ticket.Confirmed {
		made = t.ConfirmedAt == c.ConfirmedAt // also after an acknowledgement or a dispute
	}
	switch {
	case made && t.Identity.Same(c.By):
		return outbox.Made
	case t.Seq < c.Seq && !t.State.Final():
		return outbox.Undecided
	}
	return outbox.NotMade
}

// NewMessage returns a message about the change to next. The id is the same for every
// repeat. Body reads the body.
func NewMessage(id string, next ticket.Ticket, body any) (outbox.Message, error) {
	text, err := json.Marshal(body)
	if err == nil {
		text, err = json.Marshal(change{next.ID, next.Seq, next.State, next.Reason, next.ConfirmedAt, next.Identity, text})
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
	t, err := n.tickets.Get(ctx, c.Ticket)
	switch {
	case errors.Is(err, ticket.ErrNotFound), errors.Is(err, ticket.ErrBrokenSeal):
		n.log.Error("a login that no node has reported in time is not reported: its ticket is gone", "message", m.ID)
		return outbox.NotMade, nil
	case err != nil:
		return outbox.Undecided, err
	}
	return c.fate(t), nil
}
