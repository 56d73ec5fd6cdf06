package main

import (
	"errors"
	"testing"
	"time"

	"loginhub/hub"
	"loginhub/hub/ticket"
)

func TestAnEventCostsTheMetricsNoAllocation(t *testing.T) {
	m := newMetrics()
	done := ticket.Ticket{State: ticket.Consumed, Seq: 4, By: ticket.Identity{Provider: "wechat"}}
	events := map[string]func(){
		"a change":         func() { m.hub.Changed(done) },
		"a phone's call":   func() { m.hub.Called("confirm", "ok") },
		"a wait":           func() { m.hub.Began(hub.BySocket); m.hub.Ended(hub.BySocket, hub.EndedDone) },
		"a push":           func() { m.hub.Delivered(hub.ByPoll, hub.Pushed, time.Millisecond) },
		"a sweep's look":   func() { m.hub.Resynced(hub.FoundSame) },
		"a call of Redis":  func() { m.redis.Called("attach", time.Millisecond, true) },
		"a request":        func() { m.edge.Answered("/", "2xx", time.Millisecond) },
		"a hit on a limit": func() { m.edge.Limited("phones") },
	}
	for what, event := range events {
		event() // the first of a histogram's bucket makes it
		if n := testing.AllocsPerRun(1000, event); n != 0 {
			t.Errorf("%s costs %v allocations", what, n)
		}
	}
}

func TestWhatAMetricIsToldBeyondItsWordsStaysBounded(t *testing.T) {
	if got := codeOf("userinfo", errors.New("no error of WeChat's")); got != (words{"userinfo", "none", "busy"}) {
		t.Errorf("%v", got)
	}
	m := newMetrics()
	before := len(m.hub.finished.known)
	for _, provider := range []string{"", "oidc", "x"} {
		m.hub.Changed(ticket.Ticket{State: ticket.Rejected, Seq: 2, By: ticket.Identity{Provider: provider}})
	}
	if n := len(m.hub.finished.known); n != before {
		t.Errorf("%d series, %d before", n, before)
	}
}
