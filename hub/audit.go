package hub

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"loginhub/hub/ticket"
)

// The audit. One line per change of a ticket that this node has made, and one per
// phone call on a ticket that changed nothing: it was refused, or it repeated a call.
// (If an answer was lost between Redis and a node, the repeat is the only line about
// the change.) One line per browser request that was refused: a new ticket, the website
// login, and a socket, poll or ack with a wrong secret or from a foreign origin. One
// line per address that was given a token, and one per kill switch of an operator.
// Requests over the limit of all requests make none.
//
// The line of a change is reserved before the change, so that only the end of the
// process loses it. Tokens, secrets and codes never reach this file.
const (
	outcomeOK      = "ok"
	outcomeRefused = "refused" // if the caller gives no code of the contract
	maxReason      = 200       // bytes

	// Of a switch: Redis, or a replica, has not confirmed it; or it was not tried.
	outcomeUncertain  = "store_unavailable"
	outcomeOverloaded = "overloaded"
)

// AuditLog writes the audit's lines in the order of its calls, and never blocks. Lines
// without room are dropped and counted.
type AuditLog interface {
	// Reserve keeps room for one line and reports whether there was any. Every true
	// needs one Write or one Release.
	Reserve() (held bool)
	// Release gives up the room of one line, if it was held.
	Release(held bool)
	// Write writes a line, in its reserved room if that is held.
	Write(line slog.Record, held bool)
	// Stalled reports whether lines wait and none was written for a while.
	Stalled() bool
}

// ErrAuditStalled refuses a change that the audit could not note. It is a
// ticket.ErrOverloaded.
var ErrAuditStalled = fmt.Errorf("the audit log takes no lines: %w", ticket.ErrOverloaded)

// unboundedAudit writes the audit to the log, whatever the log's level.
type unboundedAudit struct{ slog.Handler }

func (unboundedAudit) Reserve() bool { return true }
func (unboundedAudit) Release(bool)  {}
func (unboundedAudit) Stalled() bool { return false }

// Write implements AuditLog.
func (a unboundedAudit) Write(line slog.Record, _ bool) {
	_ = a.Handle(context.Background(), line) // a log that fails is not reported in itself
}

// auditSlot is the room of one line.
type auditSlot struct {
	log  AuditLog
	held bool
}

// reserveAudit keeps room for the line of a change that is about to be made. Without
// room it fails if the audit is required. Release the slot when the work is over.
func (h *Hub) reserveAudit() (auditSlot, error) {
	if h.auditStalled() {
		return auditSlot{log: h.Audit}, ErrAuditStalled
	}
	slot := auditSlot{log: h.Audit, held: h.Audit.Reserve()}
	if !slot.held && h.AuditRequired {
		return slot, ErrAuditStalled
	}
	return slot, nil
}

// auditStalled reports whether this node makes no changes because of its audit.
func (h *Hub) auditStalled() bool { return h.AuditRequired && h.Audit.Stalled() }

// release gives up the room if no line was written into it.
func (s *auditSlot) release() {
	s.log.Release(s.held)
	s.held = false
}

// auditEntry is one line of the audit.
type auditEntry struct {
	ticket   ticket.Ticket
	by       ticket.Identity // zero if no user is known
	phone    netip.Addr      // observed; zero if it is not known, or there is none
	receiver netip.Addr      // observed, of the browser that took the token
	action   string          // of a call or request that changed nothing
	outcome  string          // the contract's code, or "ok"
	reason   error
	// delivered: the line notes a delivery, not the ticket's state.
	delivered bool
}

func (e *auditEntry) name() string {
	switch {
	case e.delivered:
		return "delivered"
	case e.action != "" && e.reason != nil:
		return "refused"
	case e.action != "":
		return "repeated"
	case e.ticket.Seq == 1:
		return "made"
	}
	return string(e.ticket.State)
}

// auditChange notes a change that no phone has made. receiver is the browser whose
// ack it was.
func (h *Hub) auditChange(slot *auditSlot, t ticket.Ticket, receiver netip.Addr) {
	h.Metrics.TicketChanged(t)
	h.writeAudit(slot, auditEntry{ticket: t, by: t.Identity, receiver: receiver, outcome: outcomeOK})
}

func (h *Hub) writeAudit(slot *auditSlot, e auditEntry) {
	t, name := e.ticket, e.name()
	fields := make([]slog.Attr, 0, 12)
	text := func(key, value string) {
		if value != "" {
			fields = append(fields, slog.String(key, value))
		}
	}
	fields = append(fields, slog.String("event", name))
	if t.ID != "" {
		fields = append(fields, slog.Any("ticket", t.ID))
	}
	fields = append(fields, slog.String("client", t.Client))
	if t.ID != "" {
		fields = append(fields, slog.Int64("seq", t.Seq))
	}
	text("action", e.action)
	text("who", h.userLabel(e.by))
	text("phone", address(e.phone))
	text("browser", address(t.Address))
	text("receiver", address(e.receiver))
	text("outcome", e.outcome)
	if e.reason != nil {
		text("reason", truncate(e.reason))
	}
	h.putAudit(slot, slog.LevelInfo, "login "+name, fields)
}

func (h *Hub) putAudit(slot *auditSlot, level slog.Level, message string, fields []slog.Attr) {
	line := slog.NewRecord(time.Now(), level, message, 0)
	line.AddAttrs(slog.Attr{Key: "audit", Value: slog.GroupValue(fields...)})
	h.Audit.Write(line, slot.held)
	slot.held = false
}

// userLabel names a user: provider, application and subject, or what the operator
// wants instead.
func (h *Hub) userLabel(by ticket.Identity) string {
	named := h.current.Load().UserLabel
	switch {
	case by == (ticket.Identity{}):
		return ""
	case named != nil:
		return named(by)
	case by.AppID != "":
		return by.Provider + ":" + by.AppID + ":" + by.Subject
	}
	return by.Provider + ":" + by.Subject
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// AuditRefusal notes a browser's request that was refused. action is its name, and
// outcome the contract's code; t is what is known: the ticket and its client, or one
// of them, or nothing, and as Address where the request came from.
func (h *Hub) AuditRefusal(action string, t ticket.Ticket, outcome string, reason error) {
	h.writeAudit(&auditSlot{log: h.Audit}, auditEntry{ticket: t, action: action, outcome: outcome, reason: reason})
}

// auditSwitch notes an operator's switch, on the node that took it: one line.
func (h *Hub) auditSwitch(slot *auditSlot, client string, on bool, operator netip.Addr, err error) {
	fields := []slog.Attr{slog.String("event", "switched"), slog.String("client", client), slog.Bool("enabled", on),
		slog.String("operator", address(operator))}
	if err == nil {
		fields = append(fields, slog.String("outcome", outcomeOK))
	} else {
		outcome := outcomeUncertain
		if errors.Is(err, ErrAuditStalled) {
			outcome = outcomeOverloaded
		}
		fields = append(fields, slog.String("outcome", outcome), slog.String("reason", truncate(err)))
	}
	h.putAudit(slot, slog.LevelWarn, "login switched", fields)
}

// truncate is an error's text for one field of a line.
func truncate(err error) string {
	text := strings.ToValidUTF8(err.Error(), "?")
	return text[:min(len(text), maxReason)]
}

// actionNames are the phone's, as the endpoints are called.
var actionNames = map[ticket.Action]string{ticket.Scan: "scan", ticket.Confirm: "confirm", ticket.Reject: "reject"}

// auditCall notes how a phone's call ended. A wrong number is a change and a
// refusal: one line; so is a confirm that no replica has yet.
func (h *Hub) auditCall(slot *auditSlot, a ticket.Action, c PhoneCall, r callResult) {
	outcome := outcomeOK
	switch {
	case c.OnResult != nil:
		outcome = c.OnResult(r.by, r.err)
	case r.err != nil:
		outcome = outcomeRefused
	}
	h.Metrics.PhoneCallDone(actionNames[a], outcome)
	if r.changed {
		h.Metrics.TicketChanged(r.ticket)
	}
	e := auditEntry{ticket: r.ticket, by: r.by, phone: c.Phone, outcome: outcome, reason: r.err}
	if e.ticket.ID == "" {
		e.ticket.ID = c.Ticket
	}
	if !r.changed {
		e.action = actionNames[a]
	}
	h.writeAudit(slot, e)
}

// callResult is how a phone's call ended.
type callResult struct {
	ticket  ticket.Ticket
	by      ticket.Identity
	changed bool
	err     error
}

// recentDeliveries remembers which address was given the token of which ticket, so
// that a page that asks again, or a heartbeat, makes no further line. It forgets: a
// line may come twice.
type recentDeliveries struct {
	mu   sync.Mutex
	seed maphash.Seed
	seen [1024]uint64
}

type deliveryKey struct {
	id  ticket.ID
	seq int64
	to  netip.Addr
}

func (r *recentDeliveries) recordNew(k deliveryKey) bool {
	hash := maphash.Comparable(r.seed, k)
	r.mu.Lock()
	defer r.mu.Unlock()
	at := &r.seen[hash%uint64(len(r.seen))]
	if *at == hash {
		return false
	}
	*at = hash
	return true
}

// auditDelivery notes which address was given a token.
func (h *Hub) auditDelivery(t ticket.Ticket, to netip.Addr) {
	if h.deliveries.recordNew(deliveryKey{t.ID, t.Seq, to}) {
		h.writeAudit(&auditSlot{log: h.Audit}, auditEntry{ticket: t, by: t.Identity, receiver: to, outcome: outcomeOK, delivered: true})
	}
}
