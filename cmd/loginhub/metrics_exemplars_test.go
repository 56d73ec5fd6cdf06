package main_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// TestMetrics_Exemplars: in OpenMetrics each histogram of a login names its trace. The text format
// has no exemplars.
func TestMetrics_Exemplars(t *testing.T) {
	t.Parallel()
	sent := hubtest.StartCollector(t)
	w, settings := startWeChat(t)
	n := startMetered(t, slices.Concat(settings, sent.Settings(), []string{"REDIS_URL=embedded"})...)
	ctx := hubtest.Context(t, 30*time.Second)
	p := mustOpenWaiter(t, ctx, n.URL, n.URL)
	mustCall(t, ctx, weChatPhone(w, "ann"), n.URL, p.ID, "scan", "confirm")
	v, err := p.socket.Until(ctx, "confirmed")
	if err != nil {
		t.Fatal(err)
	}
	p.seen = *v
	if err := p.ackAndClose(ctx, v.Seq); err != nil {
		t.Fatal(err)
	}
	hubtest.Eventually(t, 10*time.Second, "the trace arrives", func() bool { return len(sent.Spans()) > 0 })
	exemplar := ` # {trace_id="` + sent.Spans()[0].Trace + `"} `
	a, err := hubtest.Request(ctx, "GET", n.Admin+"/metrics", nil, "Accept", "application/openmetrics-text;version=1.0.0")
	if err != nil || !strings.HasPrefix(a.Header.Get("Content-Type"), "application/openmetrics-text; version=1.0.0") || !strings.HasSuffix(string(a.Body), "# EOF\n") {
		t.Fatalf("%v %v", a.Header, err)
	}
	found := map[string]bool{}
	for line := range strings.Lines(string(a.Body)) {
		if strings.Contains(line, exemplar) {
			found[regexp.MustCompile(`^\w+`).FindString(line)] = true
		}
	}
	var want []string
	for _, name := range []string{"confirm_to_push", "http_request_duration", "provider_exchange_duration", "redis_call_duration", "wechat_call_duration"} {
		want = append(want, "loginhub_"+name+"_seconds_bucket")
	}
	if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, want) {
		t.Errorf("exemplars in %v, wanted %v", got, want)
	}
	if text, _, err := n.Scrape(); err != nil || strings.Contains(text, "trace_id") || strings.Contains(text, "# EOF") {
		t.Errorf("the text format has changed: %v", err)
	}
}
