package hub

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/coder/websocket"

	"loginhub/hub/ticket"
)

// Metrics receives the events of a node. Its methods are called on the hot path, from
// many goroutines, sometimes with the registry locked: they must not block. Every label
// value is one of the constants here; none comes from a request.
type Metrics interface {
	// TicketChanged: this node changed a ticket, or created one (Seq 1).
	TicketChanged(t ticket.Ticket)
	// PhoneCallDone: a scan, confirm or reject ended, with the outcome of Call.End and the
	// provider of PhoneCall.
	PhoneCallDone(action, outcome, provider string)
	// SteppedUp: a scan demands numbers because of that risk (ticket.Risks), of a client
	// with number_matching: auto.
	SteppedUp(risk string)
	// WaitStarted: a socket or poll started to wait. WaitEnded has the reason why it
	// ended.
	WaitStarted(by Transport)
	WaitEnded(by Transport, why string)
	// Delivered: a token was written to a browser. took is the time since its confirm,
	// 0 if unknown. traceID is that of the login; "" if it is not sampled.
	Delivered(by Transport, how Delivery, took time.Duration, traceID string)
	// Resync: all waiting tickets are read from Redis outside the regular sweep.
	Resync(cause string)
	// Resynced: one waiting ticket was read from Redis, with the given finding.
	Resynced(found string)
	// SealRejected: the seal of a record, message or switch was not accepted.
	SealRejected(source, why string)
}

// Transport is how a browser waits.
type Transport int

// The transports.
const (
	TransportSocket Transport = iota
	TransportPoll
)

// Delivery is why a token was written to its browser.
type Delivery int

// The deliveries.
const (
	Pushed   Delivery = iota // the browser was waiting when the ticket was confirmed
	Resumed                  // the browser connected, or reconnected, after the confirm
	Repeated                 // the browser was sent it before and has not acknowledged it
)

// Why a wait ended.
const (
	EndedDone        = "done"         // 1000 after a final view; a poll was answered
	EndedTimeout     = "timeout"      // a poll reached its maximum wait
	EndedLeft        = "left"         // the browser closed the socket or cancelled its poll
	EndedLost        = "lost"         // the connection broke
	EndedSlow        = "slow"         // a view could not be written in time
	EndedTooBig      = "too_big"      // 1009
	EndedPolicy      = "policy"       // 1008
	EndedFlood       = "read_limit"   // more than 64 KiB received in a minute
	EndedBroken      = "error"        // 1011, or 1013 if this node lacks the ticket's key or client
	EndedReplaced    = "replaced"     // 4001
	EndedDraining    = "draining"     // 1012
	EndedStalled     = "stalled"      // 1013: the node is stalled
	EndedSwitchedOff = "switched_off" // 1013: the client's login was switched off
	EndedShutdown    = "shutdown"     // the node stopped before the drain was over
)

// Why all waiting tickets are read, and what the read of one finds.
const (
	ResyncSubscribed = "subscribed" // a subscription became active, also the first one
	ResyncRecovered  = "recovered"  // a stalled node recovered
	ResyncMissed     = "missed"     // a probe is missing, and a later one arrived

	FoundSame    = "same"        // the version that the node has
	FoundNewer   = "newer"       // a version whose message has not arrived (yet)
	FoundExpired = "expired"     // the deadline has passed
	FoundMissing = "missing"     // Redis no longer has the ticket
	FoundBehind  = "older"       // an older version: Redis lost a write, or a message arrived before the read did
	FoundRefused = "broken_seal" // the seal is not accepted
	FoundUnknown = "unknown"     // Redis did not answer
)

// Where a seal was not accepted, and why.
const (
	InRecord  = "record"
	InMessage = "message"
	InSwitch  = "killswitch"

	SealBroken         = "broken"          // not written by a node: someone else writes in Redis
	SealUnknownKey     = "unknown_key"     // a key rotation is in progress, or the nodes' keys differ
	SealUnknownVersion = "unknown_version" // a newer version of the program also runs
)

// SealFaults returns all reasons of SealRejected.
func SealFaults() []string { return []string{SealBroken, SealUnknownKey, SealUnknownVersion} }

// EndedReasons returns all reasons of WaitEnded.
func EndedReasons() []string {
	return []string{EndedDone, EndedTimeout, EndedLeft, EndedLost, EndedSlow, EndedTooBig, EndedPolicy, EndedFlood, EndedBroken,
		EndedReplaced, EndedDraining, EndedStalled, EndedSwitchedOff, EndedShutdown}
}

// ResyncResults returns all findings of Resynced.
func ResyncResults() []string {
	return []string{FoundSame, FoundNewer, FoundExpired, FoundMissing, FoundBehind, FoundRefused, FoundUnknown}
}

// endedReasons maps the reason of a release to the one of WaitEnded.
var endedReasons = map[reason]string{replaced: EndedReplaced, draining: EndedDraining, stalled: EndedStalled,
	shutdown: EndedShutdown, switchedOff: EndedSwitchedOff, cannotServe: EndedBroken}

// closeReasons maps the close code of a socket that was not released.
var closeReasons = map[websocket.StatusCode]string{closeDone: EndedDone, closePolicy: EndedPolicy, closeBroken: EndedBroken,
	closeTryAgain: EndedBroken} // this node lacks the ticket's key; a stalled node releases instead

// readErrorReason returns the reason of WaitEnded for a read error of a socket.
func readErrorReason(err error) string {
	switch {
	case errors.Is(err, errFlood):
		return EndedFlood
	case errors.Is(err, websocket.ErrMessageTooBig):
		return EndedTooBig
	case websocket.CloseStatus(err) != -1:
		return EndedLeft
	}
	return EndedLost
}

// delivered counts and audits a token that was written to its browser.
func (r *records) delivered(ctx context.Context, by Transport, how Delivery, t ticket.Ticket, to netip.Addr) {
	if t.State != ticket.Confirmed {
		return
	}
	var took time.Duration
	if t.ConfirmedAt != 0 {
		// At least 1 µs, because zero means unknown: the two nodes' readings of Redis's
		// clock can differ.
		took = max(r.store.Now().Sub(time.UnixMicro(t.ConfirmedAt)), time.Microsecond)
	}
	r.metrics.Delivered(by, how, took, r.tracer.LoginID(t.ID))
	r.audit.delivery(ctx, t, to)
}

// rejectSeal counts a seal that was not accepted.
func rejectSeal(m Metrics, source string, err error) {
	switch {
	case errors.Is(err, ticket.ErrUnknownVersion):
		m.SealRejected(source, SealUnknownVersion)
	case errors.Is(err, ticket.ErrUnknownKey):
		m.SealRejected(source, SealUnknownKey)
	case err != nil:
		m.SealRejected(source, SealBroken)
	}
}

// noopMetrics counts nothing.
type noopMetrics struct{}

func (noopMetrics) TicketChanged(ticket.Ticket)                          {}
func (noopMetrics) PhoneCallDone(string, string, string)                 {}
func (noopMetrics) SteppedUp(string)                                     {}
func (noopMetrics) WaitStarted(Transport)                                {}
func (noopMetrics) WaitEnded(Transport, string)                          {}
func (noopMetrics) Delivered(Transport, Delivery, time.Duration, string) {}
func (noopMetrics) Resync(string)                                        {}
func (noopMetrics) Resynced(string)                                      {}
func (noopMetrics) SealRejected(string, string)                          {}
