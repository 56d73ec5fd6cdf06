package main_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

func TestMetrics_WaitEndReasons(t *testing.T) {
	t.Parallel()
	node := startMetered(t, "DRAIN=8s") // the first of two tickets is released after 4 s, and counted in the rest
	ctx := testContext(t, 60*time.Second)
	write := func(p *waiter, kind websocket.MessageType, text string) {
		if err := p.socket.Conn.Write(ctx, kind, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	ends := []struct {
		reason string
		pages  float64 // number of waiters that start
		end    func(p *waiter)
	}{
		{"left", 1, func(p *waiter) { p.socket.Conn.Close(websocket.StatusNormalClosure, "") }},
		{"lost", 1, func(p *waiter) { p.socket.Conn.CloseNow() }},
		{"policy", 1, func(p *waiter) { write(p, websocket.MessageBinary, "x"); p.socket.Closed(ctx) }},
		{"too_big", 1, func(p *waiter) { write(p, websocket.MessageText, strings.Repeat("x", 2<<10)); p.socket.Closed(ctx) }},
		{"done", 1, func(p *waiter) {
			mustCall(t, ctx, hubtest.NewPhone("no"), node.URL, p.ID, "reject")
			p.socket.Closed(ctx)
		}},
		{"replaced", 5, func(p *waiter) {
			for range 4 {
				mustAttach(t, ctx, p, node.URL, "pending")
			}
			if code := p.socket.Closed(ctx); code != 4001 {
				t.Errorf("the socket was closed with %d", code)
			}
		}},
		{"draining", 1, func(*waiter) {
			if err := node.Terminate(); err != nil {
				t.Error(err)
			}
		}},
	}
	const ended = `loginhub_waits_ended_total{`
	for _, e := range ends {
		before := scrape(t, node)
		e.end(mustOpenWaiter(t, ctx, node.URL, node.URL))
		waitIncrease(t, node, before, `waits_ended_total{reason="`+e.reason+`",transport="socket"}`, 1)
		after := scrape(t, node)
		all := sum(after, ended) - sum(before, ended)
		if all != 1 && e.reason != "draining" { // draining ends the earlier waits too
			t.Errorf("%s: %v waits ended", e.reason, all)
		}
		const started = `loginhub_waits_started_total{transport="socket"}`
		if n := after[started] - before[started]; n != e.pages {
			t.Errorf("%s: %v waits started, wanted %v", e.reason, n, e.pages)
		}
		if waiting := after[`loginhub_waiters{transport="socket"}`]; after[started]-sum(after, ended) != waiting && e.reason != "draining" {
			t.Errorf("%s: %v waits started and %v ended, but %v are open", e.reason, after[started], sum(after, ended), waiting)
		}
	}
}

// sum adds all samples whose names have the prefix.
func sum(samples map[string]float64, begin string) (all float64) {
	for name, n := range samples {
		if strings.HasPrefix(name, begin) {
			all += n
		}
	}
	return all
}

func TestMetrics_PollEnds(t *testing.T) {
	t.Parallel()
	node := startMetered(t)
	ctx := testContext(t, 30*time.Second)
	ticket, before := mustMake(t, ctx, node.URL), scrape(t, node)
	if v, err := ticket.Poll(ctx, node.URL, 1, 1); err != nil || v != nil {
		t.Fatalf("%+v %v", v, err)
	}
	waitIncrease(t, node, before, `waits_ended_total{reason="timeout",transport="poll"}`, 1)
	cancelled, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = ticket.Poll(cancelled, node.URL, 1, 30) // the client disconnects
	}()
	waitIncrease(t, node, before, `waiters{transport="poll"}`, 1)
	cancel()
	<-over
	waitIncrease(t, node, before, `waits_ended_total{reason="left",transport="poll"}`, 1)
	waitIncrease(t, node, scrape(t, node), `waiters{transport="poll"}`, 0)
	if n := scrape(t, node)[`loginhub_waiters{transport="poll"}`]; n != 0 {
		t.Errorf("%v polls are open", n)
	}
}

func TestMetrics_RedisDown(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	node := startMetered(t, "REDIS_URL="+redis.URL)
	ctx := testContext(t, 60*time.Second)
	mustOpenWaiter(t, ctx, node.URL, node.URL)
	before := scrape(t, node)
	if before["loginhub_ready"] != 1 || before["loginhub_mailbox_probe_age_seconds"] > 3 {
		t.Errorf("at the start: ready %v, probe %v s", before["loginhub_ready"], before["loginhub_mailbox_probe_age_seconds"])
	}
	if err := redis.Stall(); err != nil {
		t.Fatal(err)
	}
	waitIncrease(t, node, before, `redis_errors_total{call="probe"}`, 2)
	waitIncrease(t, node, before, `mailbox_probe_age_seconds`, 5)
	waitIncrease(t, node, before, `waits_ended_total{reason="stalled",transport="socket"}`, 1)
	if ready := scrape(t, node)["loginhub_ready"]; ready != 0 {
		t.Errorf("ready %v while stalled", ready)
	}
	if err := redis.Resume(); err != nil {
		t.Fatal(err)
	}
	waitIncrease(t, node, before, `resyncs_total{cause="recovered"}`, 1)
	hubtest.Eventually(t, 10*time.Second, "ready again", func() bool { return scrape(t, node)["loginhub_ready"] == 1 })
}

func TestMetrics_BrokenSeals(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	node := startMetered(t, "REDIS_URL="+redis.URL)
	ctx := testContext(t, 30*time.Second)
	before := scrape(t, node)
	p := mustOpenWaiter(t, ctx, node.URL, node.URL)
	head, body, err := readRecord(ctx, redis, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	forged := head + strings.Replace(body, `"seq":1`, `"seq":9`, 1)
	foreign := "1.bm9ib2R5aGFz." + strings.SplitN(head, ".", 3)[2] + body
	for reason, message := range map[string]string{"broken": forged, "unknown_key": foreign} {
		if err := redis.Client.Publish(ctx, "loginhub:mail:"+node.ID(), "t"+p.ID+message).Err(); err != nil {
			t.Fatal(err)
		}
		waitIncrease(t, node, before, `seal_failures_total{reason="`+reason+`",where="message"}`, 1)
	}
	if err := redis.Client.HSet(ctx, ticketKey(p.ID), "rec", forged).Err(); err != nil {
		t.Fatal(err)
	}
	if a, err := p.PollResponse(ctx, node.URL, 0, 0); err != nil || a.Status != 404 {
		t.Errorf("a forged record: %+v %v", a, err)
	}
	waitIncrease(t, node, before, `seal_failures_total{reason="broken",where="record"}`, 1)
}

func TestMetrics_ForgedAccessToken(t *testing.T) {
	t.Parallel()
	w, settings := startWeChat(t)
	redis := hubtest.StartRedis(t)
	ctx := testContext(t, 30*time.Second)
	settings = append(settings, "REDIS_URL="+redis.URL, "QR=wxacode")
	show := func(n *hubtest.Node) {
		t.Helper()
		if a, err := hubtest.Request(ctx, "GET", mustMake(t, ctx, n.URL).URL(n.URL, "qr.png"), nil); err != nil || a.Status != 200 {
			t.Fatalf("%+v %v", a, err)
		}
	}
	show(startMetered(t, settings...))
	name := "loginhub:vault:{wechat:token:" + appID + "}"
	value, err := redis.Client.Get(ctx, name).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	value[len(value)-1] ^= 1
	if err := redis.Client.Set(ctx, name, value, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	second := startMetered(t, settings...)
	before := scrape(t, second)
	w.Fail(wechattest.Fault{Errcode: 45011})
	show(second) // shows the link, because WeChat refused
	waitIncrease(t, second, before, `seal_failures_total{reason="broken",where="secret"}`, 1)
	waitIncrease(t, second, before, `wechat_calls_total{code="45011",endpoint="stable_token",kind="busy"}`, 1)
}

func TestMetrics_WeChatErrors(t *testing.T) {
	t.Parallel()
	w, settings := startWeChat(t)
	node := startMetered(t, settings...)
	ctx := testContext(t, 30*time.Second)
	user := weChatUser{"counted", w}
	ticket, before := mustMake(t, ctx, node.URL), scrape(t, node)
	for labels, f := range map[string]wechattest.Fault{
		`code="40163",endpoint="jscode2session",kind="code"`:   {Errcode: 40163},
		`code="40164",endpoint="jscode2session",kind="config"`: {Errcode: 40164},
		`code="45009",endpoint="jscode2session",kind="quota"`:  {Errcode: 45009},
		`code="-1",endpoint="jscode2session",kind="busy"`:      {Errcode: -1},
		`code="other",endpoint="jscode2session",kind="busy"`:   {Errcode: 99999},
		`code="none",endpoint="jscode2session",kind="busy"`:    {Page: wechattest.HTMLPage},
		`code="ok",endpoint="jscode2session",kind="ok"`:        {},
	} {
		w.Fail(f)
		if _, err := user.do(ctx, node.URL, ticket.ID, "scan", 1); err != nil && f.Errcode == 0 && f.Page == 0 {
			t.Fatal(err)
		}
		waitIncrease(t, node, before, `wechat_calls_total{`+labels+`}`, 1)
	}
	waitIncrease(t, node, before, `wechat_call_duration_seconds_count{endpoint="jscode2session"}`, 7)
	waitIncrease(t, node, before, `phone_calls_total{action="scan",outcome="code_invalid"}`, 1)
}

func TestMetrics_Limits(t *testing.T) {
	t.Parallel()
	node := startMetered(t, "RATE_LIMIT=1")
	ctx := testContext(t, 30*time.Second)
	before := scrape(t, node)
	mustMake(t, ctx, node.URL)
	a, err := hubtest.Request(ctx, "POST", node.URL+"/api/login/tickets", nil)
	wantRefusal(t, "a second ticket", a, err, 429, "rate_limited")
	wantChanges(t, node, before, map[string]float64{
		`rate_limited_total{limit="tickets"}`: 1, `tickets_created_total`: 1, `transitions_total{state="pending"}`: 1,
		`redis_call_duration_seconds_count{call="create"}`:                1,
		`http_requests_total{route="/api/login/tickets",status="2xx"}`:    1,
		`http_requests_total{route="/api/login/tickets",status="4xx"}`:    1,
		`http_request_duration_seconds_count{route="/api/login/tickets"}`: 2,
	})
}
