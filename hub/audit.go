package hub

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"loginhub/hub/ticket"
)

// The audit: one line per change of a ticket that this node has made, and one
// per phone call that changed nothing once it had named a ticket: it was refused,
// or repeated one that had been answered before, or whose answer was lost between
// Redis and a node, so that the repeat is the first that is known of the change. A
// browser that is refused a ticket, or WeChat's website login, is a line too, and so
// is an operator's switch. What the limit of all requests refuses is none.
// Tokens, secrets and codes are not at hand here, so that none can slip in.
const (
	outcomeDone    = "ok"
	outcomeRefused = "refused" // where nobody gives the contract's code
	maxReason      = 200       // bytes

	outcomeUncertain = "store_unavailable" // of a switch: Redis, or a replica, has not said that it has it
)

// entry is one line of the audit.
type entry struct {
	ticket  ticket.Ticket
	by      ticket.Identity // zero where nobody is known
	phone   netip.Addr      // observed; zero where it is not known, or there is none
	action  string          // of a call or request that changed nothing
	outcome string          // the contract's code, or "ok"
	reason  error
}

// event notes a change that no phone has made.
func (h *Hub) event(t ticket.Ticket) {
	h.Meter.Changed(t)
	h.note(entry{ticket: t, by: t.By, outcome: outcomeDone})
}

func (h *Hub) note(e entry) {
	t, name := e.ticket, string(e.ticket.State)
	if t.Seq == 1 {
		name = "made"
	}
	switch {
	case e.action != "" && e.reason != nil:
		name = "refused"
	case e.action != "":
		name = "repeated"
	}
	fields := []any{slog.String("event", name)}
	if t.ID != "" {
		fields = append(fields, slog.Any("ticket", t.ID))
	}
	fields = append(fields, slog.String("client", t.Client))
	if t.ID != "" {
		fields = append(fields, slog.Int64("seq", t.Seq))
	}
	text := func(key, value string) {
		if value != "" {
			fields = append(fields, slog.String(key, value))
		}
	}
	text("action", e.action)
	text("who", h.who(e.by))
	text("phone", address(e.phone))
	text("browser", address(t.Address))
	text("outcome", e.outcome)
	if e.reason != nil {
		text("reason", brief(e.reason))
	}
	h.Log.Info("login "+name, slog.Group("audit", fields...))
}

// who names a user: provider, application and subject, or what the operator
// wants in its place.
func (h *Hub) who(by ticket.Identity) string {
	switch {
	case by == (ticket.Identity{}):
		return ""
	case h.Who != nil:
		return h.Who(by)
	case by.AppID != "":
		return fmt.Sprintf("%s:%s:%s", by.Provider, by.AppID, by.Subject)
	}
	return by.Provider + ":" + by.Subject
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// Refused notes a browser's request that was refused. action is its name, and
// outcome the contract's code; t is what is known: the ticket and its client, or one
// of them, or nothing, and as Address where the request came from.
func (h *Hub) Refused(action string, t ticket.Ticket, outcome string, reason error) {
	h.note(entry{ticket: t, action: action, outcome: outcome, reason: reason})
}

// noteSwitch notes an operator's switch, on the node that took it: one line.
func (h *Hub) noteSwitch(client string, on bool, operator netip.Addr, err error) {
	fields := []any{slog.String("event", "switched"), slog.String("client", client), slog.Bool("enabled", on),
		slog.String("operator", address(operator))}
	if err == nil {
		fields = append(fields, slog.String("outcome", outcomeDone))
	} else {
		fields = append(fields, slog.String("outcome", outcomeUncertain), slog.String("reason", brief(err)))
	}
	h.Log.Warn("login switched", slog.Group("audit", fields...))
}

// brief is an error's text for one field of a line.
func brief(err error) string {
	text := strings.ToValidUTF8(err.Error(), "?")
	return text[:min(len(text), maxReason)]
}

// actions are the phone's, as the endpoints are called.
var actions = map[ticket.Action]string{ticket.Scan: "scan", ticket.Confirm: "confirm", ticket.Reject: "reject"}

// account notes how a phone's call ended. A wrong number is a change and a
// refusal: one line; so is a confirm that no replica has yet.
func (h *Hub) account(a ticket.Action, c Call, t ticket.Ticket, by ticket.Identity, changed bool, err error) {
	outcome := outcomeDone
	switch {
	case c.Done != nil:
		outcome = c.Done(by, err)
	case err != nil:
		outcome = outcomeRefused
	}
	h.Meter.Called(actions[a], outcome)
	if changed {
		h.Meter.Changed(t)
	}
	e := entry{ticket: t, by: by, phone: c.Phone, outcome: outcome, reason: err}
	if e.ticket.ID == "" {
		e.ticket.ID = c.Ticket
	}
	if !changed {
		e.action = actions[a]
	}
	h.note(e)
}
