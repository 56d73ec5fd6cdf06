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

	"loginhub/hub/provider"
	"loginhub/hub/ticket"
	"loginhub/hub/trace"
)

// The audit log has one line for each of these:
//
//   - a change of a ticket by this node;
//   - a phone's call that changed nothing, because it was refused or repeated (if an
//     answer was lost between Redis and a node, the repeat is the change's only line);
//   - a refused browser request: a new ticket, the website login, and a socket, poll or
//     ack with a wrong secret or from a foreign origin;
//   - a dispute: a user says that a login was not theirs;
//   - an address that was given a token, and a site that has redeemed a grant;
//   - a kill switch of an operator.
//
// Requests over the general rate limit write no line. The line of a change is reserved
// before the change, so that only the end of the process can lose it. Tokens, secrets
// and codes never reach this file.
const (
	outcomeOK       = "ok"
	outcomeInternal = "internal_error" // of a call that ended without a result
	maxReason       = 200              // bytes

	// Of a switch: Redis or a replica has not confirmed it; it was not attempted.
	outcomeUncertain  = "store_unavailable"
	outcomeOverloaded = "overloaded"
	outcomeRefused    = "refused"
)

// AuditLog writes the audit lines in the order of the calls and never blocks. It drops
// and counts lines that have no room.
type AuditLog interface {
	// Reserve reserves room for one line and reports whether there was any. Each true
	// needs one Write or one Release.
	Reserve() (held bool)
	// Release gives up the room of one line, if held.
	Release(held bool)
	// Write writes a line; held says that its room was reserved.
	Write(line slog.Record, held bool)
	// Stalled reports whether lines are waiting and none was written for some time.
	Stalled() bool
}

// ErrAuditStalled refuses a change whose audit line could not be written. It wraps
// ticket.ErrOverloaded.
var ErrAuditStalled = fmt.Errorf("the audit log takes no lines: %w", ticket.ErrOverloaded)

// unboundedAudit writes the audit lines to the log, at any level.
type unboundedAudit struct{ slog.Handler }

func (unboundedAudit) Reserve() bool { return true }
func (unboundedAudit) Release(bool)  {}
func (unboundedAudit) Stalled() bool { return false }

// Write implements AuditLog.
func (a unboundedAudit) Write(line slog.Record, _ bool) {
	_ = a.Handle(context.Background(), line) // an error of the log cannot be logged
}

// auditSlot is the reserved room of one line.
type auditSlot struct {
	log     AuditLog
	held    bool
	request *trace.Request // that the line belongs to; nil: none
}

// auditor writes the audit lines of a node.
type auditor struct {
	log        AuditLog
	required   bool
	metrics    Metrics
	current    *reloadable
	deliveries recentDeliveries
}

// reserve reserves room for the line of a change. Without room it returns
// ErrAuditStalled if the audit is required. Release the slot in any case.
func (a *auditor) reserve(ctx context.Context) (auditSlot, error) {
	slot := a.unreserved(ctx)
	if a.stalled() {
		return slot, ErrAuditStalled
	}
	if slot.held = a.log.Reserve(); !slot.held && a.required {
		return slot, ErrAuditStalled
	}
	return slot, nil
}

// unreserved returns the slot of a line that has no reserved room.
func (a *auditor) unreserved(ctx context.Context) auditSlot {
	return auditSlot{log: a.log, request: trace.FromContext(ctx)}
}

// stalled reports whether this node refuses changes because of its audit.
func (a *auditor) stalled() bool { return a.required && a.log.Stalled() }

// release gives up the room if no line was written.
func (s *auditSlot) release() {
	s.log.Release(s.held)
	s.held = false
}

// auditEntry is one audit line.
type auditEntry struct {
	ticket   ticket.Ticket
	by       provider.Identity // zero if the user is not known
	phone    netip.Addr        // observed; zero if unknown or no phone is involved
	receiver netip.Addr        // observed; the browser that received the token, or cancelled
	action   string            // set if the call or request changed nothing
	outcome  string            // the error code of the answer, or "ok"
	reason   error
	stepUp   string // the risk for which number_matching: auto demands numbers; "" if it does not
	// delivered: the line is about a delivery, not the ticket's state.
	delivered bool
}

func (e *auditEntry) name() string {
	switch {
	case e.delivered:
		return "delivered"
	case e.action != "" && e.reason != nil:
		return "refused"
	case e.action == actionDispute:
		return "disputed"
	case e.action != "":
		return "repeated"
	case e.ticket.Seq == 1:
		return "made"
	case e.ticket.Redeemed():
		return "redeemed"
	case e.ticket.Reason == ticket.ReasonCancelled:
		return "cancelled"
	}
	return string(e.ticket.State)
}

// change writes the line of a change without a phone. receiver is the browser that
// acknowledged the token, or cancelled.
func (a *auditor) change(slot *auditSlot, t ticket.Ticket, receiver netip.Addr) {
	a.metrics.TicketChanged(t)
	a.write(slot, auditEntry{ticket: t, by: t.Identity, receiver: receiver, outcome: outcomeOK})
}

func (a *auditor) write(slot *auditSlot, e auditEntry) {
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
	if t.ID != "" && (t.Seq > 0 || e.action != actionDispute) {
		fields = append(fields, slog.Int64("seq", t.Seq))
	}
	text("action", e.action)
	text("who", a.userLabel(e.by))
	text("phone", address(e.phone))
	text("browser", address(t.Address))
	if name == "cancelled" {
		text("caller", address(e.receiver))
	} else {
		text("receiver", address(e.receiver))
	}
	text("outcome", e.outcome)
	text("step_up", e.stepUp)
	if e.reason != nil {
		text("reason", truncate(e.reason))
	}
	a.put(slot, slog.LevelInfo, "login "+name, fields)
}

func (a *auditor) put(slot *auditSlot, level slog.Level, message string, fields []slog.Attr) {
	line := slog.NewRecord(time.Now(), level, message, 0)
	line.AddAttrs(slog.Attr{Key: "audit", Value: slog.GroupValue(fields...)})
	slot.request.AddTo(&line)
	a.log.Write(line, slot.held)
	slot.held = false
}

// userLabel returns provider, application and subject of a user, or the label that the
// operator has configured instead.
func (a *auditor) userLabel(by provider.Identity) string {
	label := a.current.Load().UserLabel
	switch {
	case by == (provider.Identity{}):
		return ""
	case label != nil:
		return label(by)
	case by.Realm != "":
		return by.Provider + ":" + by.Realm + ":" + by.Subject
	}
	return by.Provider + ":" + by.Subject
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// refusal writes the line of a refused browser request. See Hub.AuditRefusal.
func (a *auditor) refusal(ctx context.Context, action string, t ticket.Ticket, outcome string, reason error) {
	slot := a.unreserved(ctx)
	a.write(&slot, auditEntry{ticket: t, action: action, outcome: outcome, reason: reason})
}

// switched writes the line of an operator's switch, on the node that handled it.
func (a *auditor) switched(slot *auditSlot, client string, on bool, operator netip.Addr, err error) {
	a.operator(slot, "login switched", operator, err, slog.String("event", "switched"), slog.String("client", client), slog.Bool("enabled", on))
}

// keyRevoked writes the line of a key that an operator has revoked.
func (a *auditor) keyRevoked(slot *auditSlot, kid string, operator netip.Addr, err error) {
	a.operator(slot, "key revoked", operator, err, slog.String("event", "key_revoked"), slog.String("kid", kid))
}

// operator writes the line of what an operator did.
func (a *auditor) operator(slot *auditSlot, message string, operator netip.Addr, err error, fields ...slog.Attr) {
	fields = append(fields, slog.String("operator", address(operator)))
	if err == nil {
		fields = append(fields, slog.String("outcome", outcomeOK))
	} else {
		outcome := outcomeUncertain
		switch {
		case errors.Is(err, ErrAuditStalled):
			outcome = outcomeOverloaded
		case errors.Is(err, ErrNoSuchKey), errors.Is(err, ErrLastKey):
			outcome = outcomeRefused
		}
		fields = append(fields, slog.String("outcome", outcome), slog.String("reason", truncate(err)))
	}
	a.put(slot, slog.LevelWarn, message, fields)
}

// truncate returns an error's text, cut to maxReason bytes of valid UTF-8.
func truncate(err error) string {
	text := strings.ToValidUTF8(err.Error(), "?")
	return text[:min(len(text), maxReason)]
}

// actionNames are the names of the phone's endpoints.
var actionNames = map[ticket.Action]string{ticket.Scan: "scan", ticket.Confirm: "confirm", ticket.Reject: "reject"}

// call writes the line of a phone's call. A wrong match number is a change and a
// refusal in one line, as is a confirm that no replica has yet.
func (a *auditor) call(c *Call, outcome string, err error) {
	a.metrics.PhoneCallDone(actionNames[c.Action], outcome, c.Provider)
	e := auditEntry{ticket: c.ticket, by: c.by, phone: c.Phone, outcome: outcome, reason: err}
	if e.ticket.ID == "" {
		e.ticket.ID = c.Ticket
	}
	if risk := c.stepUp(err); risk != ticket.NoRisk {
		e.stepUp = risk.String()
		if c.changed {
			a.metrics.SteppedUp(e.stepUp)
		}
	}
	if c.changed {
		a.metrics.TicketChanged(c.ticket)
	} else {
		e.action = actionNames[c.Action]
	}
	a.write(&c.slot, e)
}

// recentDeliveries records which address was given the token of which ticket, so that
// a repeated poll or a heartbeat writes no second line. It has a fixed size and keeps
// the latest: a line may come twice.
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

// recordNew records a delivery and reports whether it is not among the recent ones.
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

// delivery writes the line of a token's delivery to an address.
func (a *auditor) delivery(ctx context.Context, t ticket.Ticket, to netip.Addr) {
	if a.deliveries.recordNew(deliveryKey{t.ID, t.Seq, to}) {
		slot := a.unreserved(ctx)
		a.write(&slot, auditEntry{ticket: t, by: t.Identity, receiver: to, outcome: outcomeOK, delivered: true})
	}
}
