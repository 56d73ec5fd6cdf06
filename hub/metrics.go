package hub

import (
	"errors"
	"net/netip"
	"time"

	"github.com/coder/websocket"

	"loginhub/hub/ticket"
)

// Metrics hears what happens on a node, for its metrics. Its methods are called on
// the hot path, from many goroutines, at times with the registry locked: they do
// not block. Every word they get is one of those named here; none comes from
// outside.
type Metrics interface {
	// TicketChanged is a change of a ticket that this node has made; of a new ticket
	// too, whose Seq is 1.
	TicketChanged(t ticket.Ticket)
	// PhoneCallDone is a phone's call: scan, confirm or reject, and the outcome as
	// Call.Done names it.
	PhoneCallDone(action, outcome string)
	// WaitStarted is a socket or a poll that has begun to wait; Ended says why it no
	// longer does.
	WaitStarted(by Transport)
	WaitEnded(by Transport, why string)
	// Delivered is a token that was handed to a page. took is the time since
	// its confirm, 0 where that is not known.
	Delivered(by Transport, how Delivery, took time.Duration)
	// Resync is a look at all waiting tickets, out of turn.
	Resync(cause string)
	// Resynced is what a look at one waiting ticket has found.
	Resynced(found string)
	// SealRejected is a record or message whose seal this node does not accept.
	SealRejected(where, why string)
}

// Transport is how a page waits.
type Transport int

// The transports.
const (
	TransportSocket Transport = iota
	TransportPoll
)

// Delivery is what made a token go to its page.
type Delivery int

// The deliveries.
const (
	Pushed   Delivery = iota // the page was waiting when the ticket was confirmed
	Resumed                  // the page came, or came back, to a confirmed ticket
	Repeated                 // the page has it already and has not acknowledged it
)

// Why a page no longer waits.
const (
	EndedDone        = "done"         // 1000 after a final view; of a poll: it has its answer
	EndedTimeout     = "timeout"      // a poll's time was over
	EndedLeft        = "left"         // the page has closed the socket, or hung up on its poll
	EndedLost        = "lost"         // the line broke, or nobody answered on it
	EndedSlow        = "slow"         // a view could not be written in time
	EndedTooBig      = "too_big"      // 1009
	EndedPolicy      = "policy"       // 1008
	EndedFlood       = "read_limit"   // more bytes than a page can have to say
	EndedBroken      = "error"        // 1011, or 1013 for a key or client that this node lacks
	EndedReplaced    = "replaced"     // 4001
	EndedDraining    = "draining"     // 1012
	EndedStalled     = "stalled"      // 1013
	EndedSwitchedOff = "switched_off" // 1013
	EndedShutdown    = "shutdown"     // the node's life was over first
)

// Why all waiting tickets are looked at, and what a look finds.
const (
	ResyncSubscribed = "subscribed" // the subscription stands: the first time, or again
	ResyncRecovered  = "recovered"  // a stalled node receives its probes again
	ResyncMissed     = "missed"     // a proof never came, and a later one did

	FoundSame    = "same"        // what is known here
	FoundNewer   = "newer"       // a version of which no message has come (yet)
	FoundExpired = "expired"     // the deadline has passed
	FoundMissing = "missing"     // Redis has no such ticket any more
	FoundBehind  = "older"       // Redis says less than is known here: it has fallen back, or a message overtook the look
	FoundRefused = "broken_seal" // the seal is not accepted
	FoundUnknown = "unknown"     // Redis did not answer
)

// Where a seal was refused, and why.
const (
	InRecord  = "record"
	InMessage = "message"
	InSwitch  = "killswitch"

	SealBroken         = "broken"          // somebody writes in Redis
	SealUnknownKey     = "unknown_key"     // a key rotation on its way, or keys that differ
	SealUnknownVersion = "unknown_version" // a later version runs beside this one
)

// SealFaults are all reasons of Refused.
func SealFaults() []string { return []string{SealBroken, SealUnknownKey, SealUnknownVersion} }

// EndedReasons are all of Ended's words.
func EndedReasons() []string {
	return []string{EndedDone, EndedTimeout, EndedLeft, EndedLost, EndedSlow, EndedTooBig, EndedPolicy, EndedFlood, EndedBroken,
		EndedReplaced, EndedDraining, EndedStalled, EndedSwitchedOff, EndedShutdown}
}

// ResyncResults are all of Resynced's words.
func ResyncResults() []string {
	return []string{FoundSame, FoundNewer, FoundExpired, FoundMissing, FoundBehind, FoundRefused, FoundUnknown}
}

// endedReasons are the words of the reasons to let a waiter go.
var endedReasons = map[reason]string{replaced: EndedReplaced, draining: EndedDraining, stalled: EndedStalled,
	shutdown: EndedShutdown, switchedOff: EndedSwitchedOff, cannotServe: EndedBroken}

// closeReasons are the words of what a socket is closed with by its own doing.
var closeReasons = map[websocket.StatusCode]string{closeDone: EndedDone, closePolicy: EndedPolicy, closeBroken: EndedBroken,
	closeTryAgain: EndedBroken} // a key that this node lacks; deafness itself is a release

// readErrorReason says why a socket could not be read any further.
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

// delivered meters a token that has left for its page.
func (h *Hub) delivered(by Transport, how Delivery, t ticket.Ticket, to netip.Addr) {
	if t.State != ticket.Confirmed {
		return
	}
	var took time.Duration
	if t.ConfirmedAt != 0 {
		// Two nodes' ideas of one clock: never zero, which says "not known".
		took = max(h.Store.Now().Sub(time.UnixMicro(t.ConfirmedAt)), time.Microsecond)
	}
	h.Metrics.Delivered(by, how, took)
	h.auditDelivery(t, to)
}

// refusedSeal meters a seal that was refused; other errors are none.
func (h *Hub) refusedSeal(where string, err error) {
	switch {
	case errors.Is(err, ticket.ErrUnknownVersion):
		h.Metrics.SealRejected(where, SealUnknownVersion)
	case errors.Is(err, ticket.ErrUnknownKey):
		h.Metrics.SealRejected(where, SealUnknownKey)
	case err != nil:
		h.Metrics.SealRejected(where, SealBroken)
	}
}

// noopMetrics is the Meter of who wants none.
type noopMetrics struct{}

func (noopMetrics) TicketChanged(ticket.Ticket)                  {}
func (noopMetrics) PhoneCallDone(string, string)                 {}
func (noopMetrics) WaitStarted(Transport)                        {}
func (noopMetrics) WaitEnded(Transport, string)                  {}
func (noopMetrics) Delivered(Transport, Delivery, time.Duration) {}
func (noopMetrics) Resync(string)                                {}
func (noopMetrics) Resynced(string)                              {}
func (noopMetrics) SealRejected(string, string)                  {}
