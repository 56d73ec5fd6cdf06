package main_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// traceOfLogin is one login: PC on node A, phone on node B. Each span has its node, and below it
// what it has caused.
const traceOfLogin = `
POST /api/login/tickets A server
  redis create A client
  GET /api/login/tickets/:ticket/ws A server
    redis attach A client
  POST /api/login/tickets/:ticket/scan B server
    redis attach B client
    provider exchange B client
    publish B producer
      receive A consumer
        push A producer
    redis change B client
  POST /api/login/tickets/:ticket/confirm B server
    redis attach B client
    provider exchange B client
    publish B producer
      receive A consumer
        push A producer
    redis change B client
  ack A server
    publish A producer
      push A producer
    redis change A client
`

// TestTrace_OneLoginOverTwoNodes: the requests of a login are one trace, although its browser and its
// phone talk to different nodes and share no header.
func TestTrace_OneLoginOverTwoNodes(t *testing.T) {
	t.Parallel()
	sent := hubtest.StartCollector(t)
	wechat, settings := startWeChat(t)
	_, nodes := cluster(t, 2, append(settings, sent.Settings()...)...)
	ctx := loginContext(t)
	const caller = "4bf92f3577b34da6a3ce929d0e0e4736"
	ticket, err := hubtest.CreateTicket(ctx, nodes[0].URL, nil, "Traceparent", "00-"+caller+"-00f067aa0ba902b7-01")
	if err != nil {
		t.Fatal(err)
	}
	p := &waiter{Ticket: ticket}
	if err := p.attach(ctx, nodes[0].URL, "pending"); err != nil {
		t.Fatal(err)
	}
	defer p.socket.Conn.CloseNow()
	for _, action := range []string{"scan", "confirm"} {
		a, err := hubtest.Request(ctx, "POST", p.URL(nodes[1].URL, action), map[string]string{"provider": "wechat", "code": wechat.Code(appID, "ann")})
		if err != nil || a.Status != 200 {
			t.Fatalf("%s: %+v %v", action, a, err)
		}
		if _, err := p.nextState(ctx, map[string]string{"scan": "scanned", "confirm": "confirmed"}[action]); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.ackAndClose(ctx, 3); err != nil {
		t.Fatal(err)
	}
	all := strings.Count(traceOfLogin, "\n") - 1
	hubtest.Eventually(t, 10*time.Second, "the spans arrive", func() bool { return len(sent.Spans()) >= all })
	spans := sent.Spans()
	names := map[string]string{nodes[0].ID(t): "A", nodes[1].ID(t): "B"}
	if got := renderTrace(spans, names, "", ""); got != strings.TrimPrefix(traceOfLogin, "\n") || len(spans) != all {
		t.Errorf("%d spans:\n%s", len(spans), got)
	}
	slices.SortFunc(spans, func(a, b hubtest.Span) int { return a.Start.Compare(b.Start) })
	root := spans[0]
	drawTrace(t, spans, names)
	if !slices.Equal(root.Links, []string{caller}) || root.Attrs["loginhub.request_id"] != caller || root.Attrs["loginhub.client"] != "default" {
		t.Errorf("root %+v", root)
	}
	for _, s := range spans {
		if s.Trace != root.Trace || s.Trace == caller || s.Failed || s.End.Before(s.Start) {
			t.Errorf("span %+v", s)
		}
	}
	waitLog(t, nodes[1], 1, fmt.Sprintf(`"trace_id":%q`, root.Trace)) // the phone's node
}

// renderTrace returns the spans below a parent, in the order of their start.
func renderTrace(spans []hubtest.Span, nodes map[string]string, parent, indent string) (text string) {
	slices.SortStableFunc(spans, func(a, b hubtest.Span) int { return a.Start.Compare(b.Start) })
	for _, s := range spans {
		if s.Parent == parent {
			text += indent + s.Name + " " + nodes[s.Node] + " " + s.Kind + "\n" + renderTrace(spans, nodes, s.ID, indent+"  ")
		}
	}
	return text
}

// TestTrace_CollectorIsDown: logins need no collector. The log has one line about it, and the node
// stops in time.
func TestTrace_CollectorIsDown(t *testing.T) {
	t.Parallel()
	_, nodes := cluster(t, 1, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:"+hubtest.FreePort(t)+"/s3cret", "OTEL_BSP_SCHEDULE_DELAY=10", "OTEL_EXPORTER_OTLP_TIMEOUT=100", "OTEL_BSP_EXPORT_TIMEOUT=100")
	ctx := loginContext(t)
	for i := range 3 {
		if err := login(ctx, fmt.Sprint("ann", i), nodes[0].URL); err != nil {
			t.Fatal(err)
		}
	}
	waitLog(t, nodes[0], 1, "traces are not sent")
	if log := nodes[0].Stop(t); strings.Count(log, "traces are not sent") != 1 || strings.Contains(log, "s3cret") {
		t.Errorf("not one line, or the endpoint's path:\n%s", log)
	}
}
