package metrics

import (
	"testing"
	"time"

	"loginhub/hub"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

func TestMetrics_NoAllocation(t *testing.T) {
	m, ctx := New("", "", nil), t.Context()
	m.Hub.setProviders([]string{"wechat"})
	done := ticket.Ticket{State: ticket.Consumed, Seq: 4, Identity: provider.Identity{Provider: "wechat"}}
	events := map[string]func(){
		"a change":         func() { m.Hub.TicketChanged(done) },
		"a phone's call":   func() { m.Hub.PhoneCallDone("confirm", "ok", "wechat") },
		"a wait":           func() { m.Hub.WaitStarted(hub.TransportSocket); m.Hub.WaitEnded(hub.TransportSocket, hub.EndedDone) },
		"a push":           func() { m.Hub.Delivered(hub.TransportPoll, hub.Pushed, time.Millisecond, "") },
		"a resync read":    func() { m.Hub.Resynced(hub.FoundSame) },
		"a Redis call":     func() { m.Redis.ObserveCall(ctx, "attach", time.Millisecond, true) },
		"a request":        func() { m.API.ObserveRequest(ctx, "/", "2xx", time.Millisecond) },
		"a hit on a limit": func() { m.API.IncLimited("phones") },
	}
	for what, event := range events {
		event() // the first observation allocates the bucket
		if n := testing.AllocsPerRun(1000, event); n != 0 {
			t.Errorf("%s costs %v allocations", what, n)
		}
	}
}

func TestMetrics_LabelsBounded(t *testing.T) {
	m := New("", "", nil)
	m.Hub.setProviders([]string{"wechat"})
	m.WatchClients(make([]string, maxClients+1), nil)
	series := func() int {
		return len(m.Hub.finished.known) + len(m.Hub.transitions.known) + len(m.Hub.calls.known)
	}
	before := series()
	for _, id := range []string{"", "oidc", "x"} {
		m.Hub.TicketChanged(ticket.Ticket{State: ticket.Rejected, Seq: 2, Client: "of another node " + id, Identity: provider.Identity{Provider: id}})
		m.Hub.PhoneCallDone("scan", "ok", id)
	}
	if n := series(); n != before {
		t.Errorf("%d series, %d before", n, before)
	}
}
