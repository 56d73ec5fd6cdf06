package main_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"loginhub/api/geoip/geoiptest"
	"loginhub/hub/hubtest"
)

// startMetered starts a node with an admin listener.
func startMetered(t testing.TB, settings ...string) *hubtest.Node {
	t.Helper()
	return hubtest.StartNode(t, program, append([]string{"ADMIN_LISTEN=127.0.0.1:" + hubtest.FreePort(t)}, settings...)...)
}

// scrape returns the node's metrics.
func scrape(t testing.TB, n *hubtest.Node) map[string]float64 {
	t.Helper()
	_, samples, err := n.Scrape()
	if err != nil {
		t.Fatal(err)
	}
	return samples
}

// dependsOnTime reports whether a sample changes without a login, or is not an event count (a
// histogram's buckets and sum).
func dependsOnTime(name string) bool {
	return !strings.HasPrefix(name, "loginhub_") || strings.Contains(name, "_bucket{") || strings.Contains(name, "_sum{") ||
		strings.Contains(name, "probe_age") || strings.Contains(name, "resynced_tickets") ||
		strings.Contains(name, `"probe"`) || strings.Contains(name, `"killswitch_read"`) || strings.Contains(name, `"nodes"`) || strings.Contains(name, `"attach_many"`) ||
		strings.Contains(name, "/readyz") || name == "loginhub_connections" || strings.Contains(name, "log_lines_queued")
}

// changedSamples returns the differences between two scrapes, by sample without the prefix.
func changedSamples(before, after map[string]float64) map[string]float64 {
	d := map[string]float64{}
	for name, value := range after {
		if by := value - before[name]; by != 0 && !dependsOnTime(name) {
			d[strings.TrimPrefix(name, "loginhub_")] = by
		}
	}
	return d
}

// requirePreset checks that a sample exists before its first event; rate() would miss that event
// otherwise. Only request counts are exempt.
func requirePreset(t *testing.T, before map[string]float64, name string) {
	t.Helper()
	if _, ok := before["loginhub_"+name]; !ok && !strings.HasPrefix(name, "http_") {
		t.Errorf("%s does not exist before its first event", name)
	}
}

// wantChanges waits until exactly these samples have changed by these amounts since before. It
// waits because a request may be counted after its answer arrives.
func wantChanges(t *testing.T, n *hubtest.Node, before, want map[string]float64) {
	t.Helper()
	for name := range want {
		requirePreset(t, before, name)
	}
	var got map[string]float64
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if got = changedSamples(before, scrape(t, n)); maps.Equal(got, want) {
			return
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if got[name] != want[name] {
			t.Errorf("%s changed by %v, wanted %v", name, got[name], want[name])
		}
	}
	for name, by := range want {
		if got[name] == 0 {
			t.Errorf("%s did not change, wanted %v", name, by)
		}
	}
}

// waitIncrease waits until a sample has grown by at least that amount.
func waitIncrease(t *testing.T, n *hubtest.Node, before map[string]float64, name string, by float64) {
	t.Helper()
	requirePreset(t, before, name)
	hubtest.Eventually(t, 20*time.Second, name, func() bool { return scrape(t, n)["loginhub_"+name]-before["loginhub_"+name] >= by })
}

// startBusyNode returns a node with a mini-program on which every kind of event has happened, the
// secrets that a scrape must not contain, and a function that logs in once more.
func startBusyNode(t testing.TB, ctx context.Context) (node *hubtest.Node, hidden *secrets, login func()) {
	t.Helper()
	w, settings := startWeChat(t)
	places := filepath.Join(t.TempDir(), "city.mmdb")
	writePlaces(t, places, time.Now(), geoiptest.Places())
	node = startMetered(t, append(settings, "REDIS_URL="+hubtest.StartRedis(t).URL, "QR=wxacode", "GEOIP_FILE="+places, "TRUSTED_PROXIES=127.0.0.1/32",
		"CLIENTS="+hubtest.WriteFile(t, "clients.yaml", fmt.Sprintf("clients: [{id: default, events: {url: 'http://127.0.0.1:1/', secret_file: %s}}]", hubtest.WriteFile(t, "secret", eventSecret))))...)
	hidden = &secrets{}
	hidden.add("master key", hubtest.Key)
	hidden.add("app secret", appSecret)
	hidden.add("openid", w.OpenID(appID, "marked"))
	hidden.add("address", "203.0.113.77")
	phone := hubtest.NewPhone("marked")
	phone.Login = func(string) (string, string) {
		code := w.Code(appID, "marked")
		hidden.add("code", code)
		return "wechat", code
	}
	login = func() {
		p := mustOpenWaiter(t, ctx, node.URL, node.URL)
		hidden.add("ticket", p.ID)
		hidden.addEncodings("secret", p.Secret)
		if a, err := hubtest.Request(ctx, "GET", p.URL(node.URL, "qr.png"), nil, "X-Forwarded-For", "203.0.113.77"); err != nil || a.Status != 200 {
			t.Fatalf("qr: %+v %v", a, err)
		}
		mustCall(t, ctx, phone, node.URL, p.ID, "scan", "confirm")
		v, err := p.socket.Until(ctx, "confirmed")
		if err != nil {
			t.Fatal(err)
		}
		hidden.addToken(v.Token)
		p.seen = *v
		if err := p.ackAndClose(ctx, v.Seq); err != nil {
			t.Fatal(err)
		}
	}
	login()
	return node, hidden, login
}
