package main_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

// emptyHere lists the panels without data: these nodes have no certificate and few pages.
var emptyHere = map[string]bool{"Certificates: time left": true, "Memory by waiting page": true}

// TestDrill_Dashboard runs the queries of every panel against two busy nodes, with native and with
// classic histograms. With DASHBOARD, a duration, the nodes are busy that long and the
// dashboard's picture is written.
func TestDrill_Dashboard(t *testing.T) {
	t.Parallel()
	busy, _ := time.ParseDuration(os.Getenv("DASHBOARD")) // zero without it
	ctx := hubtest.Context(t, busy+2*time.Minute)
	l := startLoad(t, ctx)
	servers := map[string]*prometheus{"classic": startPrometheus(t, false, "1s", l.nodes...), "native": startPrometheus(t, true, "1s", l.nodes...)}
	start := time.Now().Add(-5 * time.Second)
	// A route's series begins with its first request, which a rate does not see.
	for rounds := 0; rounds < 3 || time.Since(start) < busy; rounds++ {
		l.round(rounds)
	}
	for name, p := range servers {
		hubtest.Eventually(t, 30*time.Second, "the last login is scraped", func() bool {
			v, err := p.query(`sum(loginhub_transitions_total{state="consumed"})`)
			return err == nil && len(v) == 1 && v[0] >= float64(l.logins)
		})
		var panels []drawnPanel
		for _, panel := range dashboard(t) {
			drawn := drawnPanel{dashboardPanel: panel}
			for _, target := range panel.Targets {
				query := dashboardVariables.Replace(target.Expr)
				series, err := p.queryRange(query, start, time.Now())
				if err != nil || strings.Contains(query, "$") {
					t.Errorf("%s: panel %q, %s: %v", name, panel.Title, query, err)
				}
				for _, s := range series {
					s.name = regexp.MustCompile(`{{\w+}}`).ReplaceAllStringFunc(target.LegendFormat, func(label string) string { return s.Metric[strings.Trim(label, "{}")] })
					drawn.series = append(drawn.series, s)
				}
			}
			if panel.Type != "row" && (len(drawn.series) == 0) != emptyHere[panel.Title] {
				t.Errorf("%s: panel %q shows %d series", name, panel.Title, len(drawn.series))
			}
			panels = append(panels, drawn)
		}
		picture := drawDashboard(panels)
		if name == "classic" && busy > 0 {
			if err := os.WriteFile(deploy+"grafana/loginhub.svg", []byte(picture), 0o644); err != nil {
				t.Error(err)
			}
		}
	}
}

// dashboardVariables replaces the dashboard's variables, as Grafana does.
var dashboardVariables = strings.NewReplacer("$instance", ".*", "$client", ".*", "$job", "loginhub", "$__rate_interval", "15s")

// load are two nodes with WeChat and two clients, and what people do there.
type load struct {
	*testing.T
	ctx    context.Context
	wechat *wechattest.Server
	nodes  []*hubtest.Node
	logins int
}

func startLoad(t *testing.T, ctx context.Context) *load {
	t.Helper()
	w, settings := startWeChat(t)
	secret := hubtest.WriteFile(t, "secret", "0123456789abcdef-secret")
	clients := "clients:\n  - {id: news, label: {en: News}, origins: ['https://news.test']}\n  - {id: shop, label: {en: Shop}, secret_file: " + secret + ", redirect_uris: ['https://shop.test/cb']}\n"
	settings = append(settings, "REDIS_URL="+hubtest.StartRedis(t).URL, "QR=wxacode", "CLIENTS="+hubtest.WriteFile(t, "clients.yaml", clients))
	return &load{T: t, ctx: ctx, wechat: w, nodes: []*hubtest.Node{startMetered(t, settings...), startMetered(t, settings...)}}
}

// round is a second of what people do: logins, pages that wait, and what is refused.
func (l *load) round(n int) {
	l.Helper()
	next := time.After(time.Second)
	busy := 2 + n/60%3
	for i := range busy {
		here, there := l.nodes[i%2].URL, l.nodes[rand.IntN(2)].URL
		p := mustOpenClient(l.T, l.ctx, []string{"news", "shop", "shop"}[rand.IntN(3)], here)
		pngAt(l.T, p.URL(there, "qr.png"))
		phone := weChatPhone(l.wechat, fmt.Sprint("user", i))
		switch {
		case i == 1 && rand.IntN(4) == 0:
			mustCall(l.T, l.ctx, phone, there, p.ID, "scan", "reject")
			continue
		case i == 2:
			continue // the page waits
		}
		mustCall(l.T, l.ctx, phone, there, p.ID, "scan", "confirm")
		v, err := p.socket.Until(l.ctx, "confirmed")
		if err == nil {
			p.seen = *v
			err = p.ackAndClose(l.ctx, v.Seq)
		}
		if err != nil {
			l.Fatal(err)
		}
		l.logins++
	}
	if n < 2 || n%20 == 0 {
		l.refused()
	}
	<-next
}

// refused are a code that WeChat does not accept, an outage of WeChat, a wrong secret, a token of
// another hub and too many wrong matches.
func (l *load) refused() {
	l.Helper()
	url := l.nodes[0].URL
	ticket := hubtest.MustCreateTicket(l.T, l.ctx, url, map[string]string{"client_id": "shop"})
	for _, errcode := range []int{40163, -1} {
		l.wechat.Fail(wechattest.Fault{Errcode: errcode})
		if a, err := weChatPhone(l.wechat, "refused").Do(l.ctx, url, ticket.ID, "scan", nil); err != nil || a.Status < 400 {
			l.Fatal(a, err)
		}
	}
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for path, body := range map[string]string{"/oauth2/token": "grant_type=authorization_code&client_id=shop&client_secret=wrong", "/oauth2/userinfo": "access_token=x"} {
		if a, err := hubtest.Request(l.ctx, "POST", url+path, body, form...); err != nil || a.Status != 401 {
			l.Fatal(a, err)
		}
	}
	for range 6 { // one more than an address may try in a minute
		if _, err := hubtest.Request(l.ctx, "POST", url+"/device", "user_code=BBBB-BBBB", form...); err != nil {
			l.Fatal(err)
		}
	}
}
