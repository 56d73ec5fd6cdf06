package metrics

import (
	"slices"
	"sync/atomic"
	"time"

	"loginhub/hub"
	"loginhub/hub/ticket"
)

// pushBuckets reach from a fast push to a lost message that only the resync finds.
var pushBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

var (
	transports = [...]string{hub.TransportSocket: "socket", hub.TransportPoll: "poll"}
	deliveries = [...]string{hub.Pushed: "pushed", hub.Resumed: "resumed", hub.Repeated: "repeated"}
)

// undelivered is the outcome of a ticket that expired after its confirm, without an
// acknowledgement of its page. noProvider is the provider if the user is unknown.
const (
	undelivered = "undelivered"
	cancelled   = "cancelled" // rejected by the browser: a page that was left, or "not me"
	noProvider  = "none"
)

// hubMetrics implements hub.Metrics.
type hubMetrics struct {
	created, finished, transitions, calls *counterVec
	stepUps                               *counterVec
	started, ended                        *counterVec
	delivered                             *counterVec
	pushed                                *histogramVec
	resyncs, resynced, sealFailures       *counterVec
	// Ids of the configuration: values of labels.
	providers *atomic.Pointer[[]string]
	clients   *atomic.Pointer[map[string]bool]
}

func newHubMetrics(m *Metrics) hubMetrics {
	h := hubMetrics{
		providers:   &atomic.Pointer[[]string]{},
		clients:     &atomic.Pointer[map[string]bool]{},
		created:     m.counter("loginhub_tickets_created_total", "Tickets that this node has created."),
		finished:    m.counter("loginhub_tickets_finished_total", "Tickets whose final state this node has recorded.", "outcome", "provider"),
		transitions: m.counter("loginhub_transitions_total", "Changes of tickets that this node has made, by client and new state.", "client", "state"),
		calls:       m.counter("loginhub_phone_calls_total", "Phone calls that named a ticket, by error code and provider.", "action", "outcome", "provider"),
		stepUps:     m.counter("loginhub_step_ups_total", "Scans that demand a number because the login is unusual (number_matching: auto), by reason.", "reason"),
		started:     m.counter("loginhub_waits_started_total", "Sockets and long polls that have begun to wait.", "transport"),
		ended:       m.counter("loginhub_waits_ended_total", "Sockets and long polls that no longer wait.", "transport", "reason"),
		delivered:   m.counter("loginhub_tokens_delivered_total", "Tokens written to a page, with repetitions.", "transport", "delivery"),
		pushed: m.histogram("loginhub_confirm_to_push_seconds",
			"From sending the confirm to Redis to writing the token to a waiting page.", pushBuckets, "transport"),
		resyncs:      m.counter("loginhub_resyncs_total", "Resyncs of all waiting tickets, outside of the regular sweep.", "cause"),
		resynced:     m.counter("loginhub_resynced_tickets_total", "Resyncs of one waiting ticket.", "found"),
		sealFailures: m.counter("loginhub_seal_failures_total", "Records, messages and secrets whose seal this node does not accept.", "where", "reason"),
	}
	h.created.init(labelValues{})
	h.setClients(nil)
	for _, by := range transports {
		h.started.init(labelValues{by})
		h.pushed.init(labelValues{by})
		for _, how := range deliveries {
			h.delivered.init(labelValues{by, how})
		}
		for _, why := range hub.EndedReasons() {
			h.ended.init(labelValues{by, why})
		}
	}
	for _, risk := range ticket.Risks() {
		h.stepUps.init(labelValues{risk})
	}
	h.setProviders(nil)
	h.resyncs.init(labelValues{hub.ResyncSubscribed}, labelValues{hub.ResyncRecovered}, labelValues{hub.ResyncMissed})
	for _, found := range hub.ResyncResults() {
		h.resynced.init(labelValues{found})
	}
	for _, where := range []string{hub.InRecord, hub.InMessage, hub.InSwitch} {
		for _, why := range hub.SealFaults() {
			h.sealFailures.init(labelValues{where, why})
		}
	}
	return h
}

// setProviders sets the providers that have series of their own.
func (h hubMetrics) setProviders(ids []string) {
	h.providers.Store(&ids)
	for _, outcome := range []string{string(ticket.Consumed), string(ticket.Rejected), string(ticket.Expired), undelivered, cancelled} {
		for _, by := range append([]string{noProvider}, ids...) {
			h.finished.init(labelValues{outcome, by})
		}
	}
	for _, action := range []string{"scan", "confirm", "reject", "dispute"} {
		for _, outcome := range []string{"ok", "code_invalid", "provider_unavailable", "provider_misconfigured", "store_unavailable", "internal_error"} {
			for _, by := range append([]string{noProvider}, ids...) {
				h.calls.init(labelValues{action, outcome, by})
			}
		}
	}
}

// providerLabel returns the label of a provider: noProvider if it is not configured.
func (h hubMetrics) providerLabel(id string) string {
	if slices.Contains(*h.providers.Load(), id) {
		return id
	}
	return noProvider
}

// maxClients is how many clients have series of their own. The others share otherClient.
const (
	maxClients  = 500
	otherClient = "other"
)

// setClients sets the clients that have series of their own, and returns their ids.
func (h hubMetrics) setClients(ids []string) []string {
	ids = ids[:min(len(ids), maxClients)]
	known := map[string]bool{}
	for _, id := range ids {
		known[id] = true
	}
	h.clients.Store(&known)
	for _, id := range append([]string{otherClient}, ids...) {
		for _, state := range []ticket.State{ticket.Pending, ticket.Scanned, ticket.Confirmed, ticket.Consumed, ticket.Rejected, ticket.Expired} {
			h.transitions.init(labelValues{id, string(state)})
		}
	}
	return ids
}

// TicketChanged implements hub.Metrics.
func (h hubMetrics) TicketChanged(t ticket.Ticket) {
	if t.Redeemed() && t.Seq > t.Grant.Seq+1 {
		return // the state was counted when the ticket entered it
	}
	client := t.Client
	if !(*h.clients.Load())[client] {
		client = otherClient
	}
	h.transitions.get(labelValues{client, string(t.State)}).Inc()
	if t.Seq == 1 {
		h.created.get(labelValues{}).Inc()
	}
	if !t.State.Final() {
		return
	}
	outcome := string(t.State)
	if t.State == ticket.Expired && len(t.Claims) > 0 {
		outcome = undelivered
	}
	if t.Reason == ticket.ReasonCancelled {
		outcome = cancelled
	}
	h.finished.get(labelValues{outcome, h.providerLabel(t.Identity.Provider)}).Inc()
}

// PhoneCallDone implements hub.Metrics.
func (h hubMetrics) PhoneCallDone(action, outcome, provider string) {
	h.calls.get(labelValues{action, outcome, h.providerLabel(provider)}).Inc()
}

// SteppedUp implements hub.Metrics.
func (h hubMetrics) SteppedUp(risk string) { h.stepUps.get(labelValues{risk}).Inc() }

// WaitStarted implements hub.Metrics.
func (h hubMetrics) WaitStarted(by hub.Transport) { h.started.get(labelValues{transports[by]}).Inc() }

// WaitEnded implements hub.Metrics.
func (h hubMetrics) WaitEnded(by hub.Transport, why string) {
	h.ended.get(labelValues{transports[by], why}).Inc()
}

// Delivered implements hub.Metrics. Only a page that was waiting measures the time of
// a push. A page that reconnected would measure its own absence.
func (h hubMetrics) Delivered(by hub.Transport, how hub.Delivery, took time.Duration, traceID string) {
	h.delivered.get(labelValues{transports[by], deliveries[how]}).Inc()
	if how == hub.Pushed && took > 0 {
		observe(h.pushed.get(labelValues{transports[by]}), took, traceID)
	}
}

// Resync implements hub.Metrics.
func (h hubMetrics) Resync(cause string) { h.resyncs.get(labelValues{cause}).Inc() }

// Resynced implements hub.Metrics.
func (h hubMetrics) Resynced(found string) { h.resynced.get(labelValues{found}).Inc() }

// SealRejected implements hub.Metrics.
func (h hubMetrics) SealRejected(where, why string) {
	h.sealFailures.get(labelValues{where, why}).Inc()
}
