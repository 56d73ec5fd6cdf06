package main

import (
	"testing"
	"time"

	"loginhub/hub"
	"loginhub/hub/ticket"
)

func TestMetrics_NoAllocation(t *testing.T) {
	m := newMetrics()
	m.hub.setProviders([]string{"wechat"})
	done := ticket.Ticket{State: ticket.Consumed, Seq: 4, Identity: ticket.Identity{Provider: "wechat"}}
	events := map[string]func(){
		"a change":         func() { m.hub.TicketChanged(done) },
		"a phone's call":   func() { m.hub.PhoneCallDone("confirm", "ok") },
		"a wait":           func() { m.hub.WaitStarted(hub.TransportSocket); m.hub.WaitEnded(hub.TransportSocket, hub.EndedDone) },
		"a push":           func() { m.hub.Delivered(hub.TransportPoll, hub.Pushed, time.Millisecond) },
		"a resync read":    func() { m.hub.Resynced(hub.FoundSame) },
		"a Redis call":     func() { m.redis.ObserveCall("attach", time.Millisecond, true) },
		"a request":        func() { m.api.ObserveRequest("/", "2xx", time.Millisecond) },
		"a hit on a limit": func() { m.api.IncLimited("phones") },
	}
	for what, event := range events {
		event() // the first observation allocates the bucket
		if n := testing.AllocsPerRun(1000, event); n != 0 {
			t.Errorf("%s costs %v allocations", what, n)
		}
	}
}

func TestMetrics_LabelsBounded(t *testing.T) {
	m := newMetrics()
	m.hub.setProviders([]string{"wechat"})
	before := len(m.hub.finished.known)
	for _, provider := range []string{"", "oidc", "x"} {
		m.hub.TicketChanged(ticket.Ticket{State: ticket.Rejected, Seq: 2, Identity: ticket.Identity{Provider: provider}})
	}
	if n := len(m.hub.finished.known); n != before {
		t.Errorf("%d series, %d before", n, before)
	}
}
