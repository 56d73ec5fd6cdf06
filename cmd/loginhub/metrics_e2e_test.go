package main_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

func TestMetrics_WholeLogin(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	waiterNode := startMetered(t, "REDIS_URL="+redis.URL)
	decides := startMetered(t, "REDIS_URL="+redis.URL)
	ctx := hubtest.Context(t, 30*time.Second)
	before, decided := scrape(t, waiterNode), scrape(t, decides)

	p := mustOpenWaiter(t, ctx, decides.URL, waiterNode.URL)
	opened := map[string]float64{
		`waiters{transport="socket"}`:                                                1,
		`waits_started_total{transport="socket"}`:                                    1,
		`redis_call_duration_seconds_count{call="attach"}`:                           1,
		`http_requests_total{route="/api/login/tickets/:ticket/ws",status="1xx"}`:    1,
		`http_request_duration_seconds_count{route="/api/login/tickets/:ticket/ws"}`: 1,
	}
	wantChanges(t, waiterNode, before, opened)

	phone := hubtest.NewPhone("counted")
	mustCall(t, ctx, phone, decides.URL, p.ID, "scan", "confirm")
	v, err := p.waitToken(ctx, waiterNode.URL, "sandbox:counted")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.ackAndClose(ctx, v.Seq); err != nil {
		t.Fatal(err)
	}
	want := maps.Clone(opened)
	delete(want, `waiters{transport="socket"}`)
	maps.Copy(want, map[string]float64{
		`confirm_to_push_seconds_count{transport="socket"}`:                   1,
		`tokens_delivered_total{delivery="pushed",transport="socket"}`:        1,
		`transitions_total{client="default",state="consumed"}`:                1,
		`tickets_finished_total{outcome="consumed",provider="sandbox"}`:       1,
		`waits_ended_total{reason="done",transport="socket"}`:                 1,
		`redis_call_duration_seconds_count{call="change"}`:                    1, // for the ack
		`http_requests_total{route="/.well-known/jwks.json",status="2xx"}`:    1, // by waitToken
		`http_request_duration_seconds_count{route="/.well-known/jwks.json"}`: 1,
	})
	wantChanges(t, waiterNode, before, want)
	want = map[string]float64{
		`tickets_created_total`:                                               1,
		`transitions_total{client="default",state="pending"}`:                 1,
		`transitions_total{client="default",state="scanned"}`:                 1,
		`transitions_total{client="default",state="confirmed"}`:               1,
		`phone_calls_total{action="scan",outcome="ok",provider="sandbox"}`:    1,
		`phone_calls_total{action="confirm",outcome="ok",provider="sandbox"}`: 1,
		`redis_call_duration_seconds_count{call="create"}`:                    1,
		`provider_exchange_duration_seconds_count{provider="sandbox"}`:        2,
		`redis_call_duration_seconds_count{call="attach"}`:                    2, // the reads before
		`redis_call_duration_seconds_count{call="change"}`:                    2,
	}
	for _, route := range []string{"/api/login/tickets", "/api/login/tickets/:ticket/scan", "/api/login/tickets/:ticket/confirm"} {
		want[`http_requests_total{route="`+route+`",status="2xx"}`] = 1
		want[`http_request_duration_seconds_count{route="`+route+`"}`] = 1
	}
	wantChanges(t, decides, decided, want)

	// The time is measured for the push only, without the confirm's own waits.
	if took := scrape(t, waiterNode)[`loginhub_confirm_to_push_seconds_sum{transport="socket"}`]; took <= 0 || took > 5 {
		t.Errorf("the push took %v s", took)
	}
}

func TestMetrics_LostMessageDelay(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	line := hubtest.StartProxy(t, redis)
	other := startMetered(t, "REDIS_URL="+redis.URL)
	node := startMetered(t, "REDIS_URL="+line.URL)
	ctx := hubtest.Context(t, 30*time.Second)
	p := mustOpenWaiter(t, ctx, other.URL, node.URL)
	before := scrape(t, node)
	if n := line.Mute(); n != 1 {
		t.Fatalf("%d subscriptions were removed", n)
	}
	asked := time.Now()
	mustCall(t, ctx, hubtest.NewPhone("late"), other.URL, p.ID, "confirm")
	began := time.Now()
	if _, err := p.waitToken(ctx, other.URL, "sandbox:late"); err != nil {
		t.Fatal(err)
	}
	waited, most := time.Since(began).Seconds(), time.Since(asked).Seconds()
	waitIncrease(t, node, before, `confirm_to_push_seconds_count{transport="socket"}`, 1)
	waitIncrease(t, node, before, `resyncs_total{cause="subscribed"}`, 1)
	waitIncrease(t, node, before, `resynced_tickets_total{found="newer"}`, 1)
	after := scrape(t, node)
	// The browser reads the token after it was written. Both times are from Redis's clock.
	if took := after[`loginhub_confirm_to_push_seconds_sum{transport="socket"}`]; took < waited/2 || took > most+0.1 {
		t.Errorf("measured %v s, waited %v to %v s", took, waited, most)
	}
}

// metricsFixture is a node with WeChat that counts, and its Redis.
type metricsFixture struct {
	*testing.T
	ctx   context.Context
	w     *wechattest.Server
	redis *hubtest.Redis
	node  *hubtest.Node
	phone *hubtest.Phone
}

// event is something that a node counts: samples without the prefix, and by how much they grow.
type event struct {
	what string
	do   func()
	want map[string]float64
}

func TestMetrics_Events(t *testing.T) {
	t.Parallel()
	w, settings := startWeChat(t)
	s := &metricsFixture{T: t, ctx: hubtest.Context(t, 60*time.Second), w: w, redis: hubtest.StartRedis(t), phone: weChatPhone(w, "counted")}
	s.node = startMetered(t, append(settings, "REDIS_URL="+s.redis.URL, "RESULT_TTL=3s", "DRAIN=8s")...)
	runEvents(t, s.node, slices.Concat(s.weChatErrors(), s.brokenSeals(), s.polls(), s.socketEnds()))
	before := scrape(t, s.node)
	for range 4 { // the first is released after a quarter of the drain
		mustOpenWaiter(t, s.ctx, s.node.URL, s.node.URL)
	}
	if err := s.node.Terminate(); err != nil {
		t.Fatal(err)
	}
	waitIncrease(t, s.node, before, `waits_ended_total{reason="draining",transport="socket"}`, 1)
}

// runEvents lets each event happen on a node and checks what it counts.
func runEvents(t *testing.T, n *hubtest.Node, events []event) {
	t.Helper()
	for _, e := range events {
		before := scrape(t, n)
		e.do()
		for name, by := range e.want {
			waitIncrease(t, n, before, name, by)
		}
		after := scrape(t, n)
		for name, by := range e.want {
			if grown := after["loginhub_"+name] - before["loginhub_"+name]; grown != by {
				t.Errorf("%s: %s grew by %v, wanted %v", e.what, name, grown, by)
			}
		}
	}
}

// socketEnds are the ways in which the wait of a socket ends.
func (s *metricsFixture) socketEnds() (all []event) {
	write := func(p *waiter, kind websocket.MessageType, text string) {
		if err := p.socket.Conn.Write(s.ctx, kind, []byte(text)); err != nil {
			s.Fatal(err)
		}
		p.socket.Closed(s.ctx)
	}
	for _, e := range []struct {
		reason string
		starts float64
		end    func(p *waiter)
	}{
		{"left", 1, func(p *waiter) { p.socket.Conn.Close(websocket.StatusNormalClosure, "") }},
		{"lost", 1, func(p *waiter) { p.socket.Conn.CloseNow() }},
		{"policy", 1, func(p *waiter) { write(p, websocket.MessageBinary, "x") }},
		{"too_big", 1, func(p *waiter) { write(p, websocket.MessageText, strings.Repeat("x", 2<<10)) }},
		{"done", 1, func(p *waiter) { mustCall(s.T, s.ctx, s.phone, s.node.URL, p.ID, "reject") }},
		{"replaced", 5, func(p *waiter) {
			for range 4 {
				mustAttach(s.T, s.ctx, p, s.node.URL, "pending")
			}
		}},
	} {
		ended := map[string]float64{`waits_started_total{transport="socket"}`: e.starts, `waits_ended_total{reason="` + e.reason + `",transport="socket"}`: 1}
		all = append(all, event{e.reason, func() { e.end(mustOpenWaiter(s.T, s.ctx, s.node.URL, s.node.URL)) }, ended})
	}
	return all
}

// polls are deliveries by poll, and the ways in which the wait of a poll ends.
func (s *metricsFixture) polls() []event {
	url := s.node.URL
	poll := func(ctx context.Context, ticket *hubtest.Ticket, wait int, meanwhile func()) {
		before, ended := scrape(s.T, s.node), make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = ticket.Poll(ctx, url, 1, wait) // the metrics show how it ends
		}()
		if meanwhile != nil {
			waitIncrease(s.T, s.node, before, `waiters{transport="poll"}`, 1)
			meanwhile()
		}
		<-ended
	}
	return []event{
		{"pushed, then resumed", func() {
			ticket := hubtest.MustCreateTicket(s.T, s.ctx, url)
			poll(s.ctx, ticket, 30, func() { mustCall(s.T, s.ctx, s.phone, url, ticket.ID, "confirm") })
			poll(s.ctx, ticket, 0, nil)
			poll(s.ctx, ticket, 5, nil)
		}, map[string]float64{
			`confirm_to_push_seconds_count{transport="poll"}`: 1, `tokens_delivered_total{delivery="pushed",transport="poll"}`: 1,
			`tokens_delivered_total{delivery="resumed",transport="poll"}`: 2, `waits_started_total{transport="poll"}`: 2, // one returned at once
			`waits_ended_total{reason="done",transport="poll"}`: 2, `redis_call_duration_seconds_count{call="attach"}`: 4,
		}},
		{"a time-out", func() { poll(s.ctx, hubtest.MustCreateTicket(s.T, s.ctx, url), 1, nil) }, map[string]float64{`waits_ended_total{reason="timeout",transport="poll"}`: 1}},
		{"a client that disconnects", func() {
			ctx, cancel := context.WithCancel(s.ctx)
			poll(ctx, hubtest.MustCreateTicket(s.T, s.ctx, url), 30, cancel)
		}, map[string]float64{`waits_ended_total{reason="left",transport="poll"}`: 1, `waiters{transport="poll"}`: 0}},
		{"a cancel", func() {
			ticket := hubtest.MustCreateTicket(s.T, s.ctx, url)
			a, err := hubtest.Request(s.ctx, "POST", ticket.URL(url, "cancel"), nil, "Authorization", "Bearer "+ticket.Secret)
			hubtest.AssertRefusal(s.T, "cancel", a, err, 200, "")
		}, map[string]float64{`tickets_finished_total{outcome="cancelled",provider="none"}`: 1, `transitions_total{client="default",state="rejected"}`: 1}},
		{"a token that is not fetched", func() {
			p := mustOpenWaiter(s.T, s.ctx, url, url)
			mustCall(s.T, s.ctx, s.phone, url, p.ID, "confirm")
			if _, err := p.socket.Until(s.ctx, "expired"); err != nil {
				s.Error(err)
			}
		}, map[string]float64{`tickets_finished_total{outcome="undelivered",provider="wechat"}`: 1, `transitions_total{client="default",state="confirmed"}`: 1,
			`transitions_total{client="default",state="expired"}`: 1, `transitions_total{client="default",state="consumed"}`: 0, `tickets_finished_total{outcome="expired",provider="wechat"}`: 0}},
	}
}

// brokenSeals are forged messages and records.
func (s *metricsFixture) brokenSeals() []event {
	p := mustOpenWaiter(s.T, s.ctx, s.node.URL, s.node.URL)
	version, kid, rest := readRecord(s.ctx, s, s.redis, p.ID)
	forged := version + "." + kid + "." + flip(rest, -1)
	publish := func(message string) func() {
		return func() {
			if err := s.redis.Client.Publish(s.ctx, "loginhub:mail:"+s.node.ID(s.T), "t"+p.ID+message).Err(); err != nil {
				s.Error(err)
			}
		}
	}
	return []event{
		{"a forged message", publish(forged), map[string]float64{`seal_failures_total{reason="broken",where="message"}`: 1}},
		{"a foreign key", publish(version + ".bm9ib2R5aGFz." + rest), map[string]float64{`seal_failures_total{reason="unknown_key",where="message"}`: 1}},
		{"a forged record", func() {
			if err := s.redis.Client.HSet(s.ctx, ticketKey(p.ID), "rec", forged).Err(); err != nil {
				s.Error(err)
			}
			a, err := p.PollResponse(s.ctx, s.node.URL, 0, 0)
			hubtest.AssertRefusal(s.T, "a forged record", a, err, 404, "ticket_not_found")
			p.socket.Conn.CloseNow()
		}, map[string]float64{`seal_failures_total{reason="broken",where="record"}`: 1}},
	}
}

// weChatErrors are calls that WeChat refuses, and one that it accepts.
func (s *metricsFixture) weChatErrors() (all []event) {
	ticket := hubtest.MustCreateTicket(s.T, s.ctx, s.node.URL)
	for labels, f := range map[string]wechattest.Fault{
		`code="40163",endpoint="jscode2session",kind="code"`:   {Errcode: 40163},
		`code="40164",endpoint="jscode2session",kind="config"`: {Errcode: 40164},
		`code="45009",endpoint="jscode2session",kind="quota"`:  {Errcode: 45009},
		`code="-1",endpoint="jscode2session",kind="busy"`:      {Errcode: -1},
		`code="other",endpoint="jscode2session",kind="busy"`:   {Errcode: 99999},
		`code="none",endpoint="jscode2session",kind="busy"`:    {Page: wechattest.HTMLPage},
		`code="ok",endpoint="jscode2session",kind="ok"`:        {},
	} {
		want := map[string]float64{`wechat_calls_total{` + labels + `}`: 1, `wechat_call_duration_seconds_count{endpoint="jscode2session"}`: 1}
		if f.Errcode == 40163 {
			want[`phone_calls_total{action="scan",outcome="code_invalid",provider="wechat"}`] = 1
		}
		all = append(all, event{labels, func() {
			s.w.Fail(f)
			if _, err := s.phone.Do(s.ctx, s.node.URL, ticket.ID, "scan", nil); err != nil {
				s.Error(err)
			}
		}, want})
	}
	return all
}

func TestMetrics_RedisDown(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	node := startMetered(t, "REDIS_URL="+redis.URL)
	ctx := hubtest.Context(t, 60*time.Second)
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

// TestMetrics_ForgedAccessToken: WeChat's access token in Redis is sealed too. The second ticket of
// the node is over a limit.
func TestMetrics_ForgedAccessToken(t *testing.T) {
	t.Parallel()
	w, settings := startWeChat(t)
	redis := hubtest.StartRedis(t)
	ctx := hubtest.Context(t, 30*time.Second)
	settings = append(settings, "REDIS_URL="+redis.URL, "QR=wxacode", "RATE_LIMIT=1")
	first := startMetered(t, settings...)
	pngAt(t, hubtest.MustCreateTicket(t, ctx, first.URL).URL(first.URL, "qr.png"))
	name := "loginhub:vault:{wechat:token:" + appID + "}"
	value, err := redis.Client.Get(ctx, name).Result()
	if err != nil {
		t.Fatal(err)
	}
	if err := redis.Client.Set(ctx, name, flip(value, -1), time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	second := startMetered(t, settings...)
	before := scrape(t, second)
	w.Fail(wechattest.Fault{Errcode: 45011})
	pngAt(t, hubtest.MustCreateTicket(t, ctx, second.URL).URL(second.URL, "qr.png")) // shows the link, because WeChat refused
	a, err := hubtest.Request(ctx, "POST", second.URL+"/api/login/tickets", nil)
	hubtest.AssertRefusal(t, "a second ticket", a, err, 429, "rate_limited")
	for _, name := range []string{`seal_failures_total{reason="broken",where="secret"}`, `rate_limited_total{limit="tickets"}`,
		`wechat_calls_total{code="45011",endpoint="stable_token",kind="busy"}`} {
		waitIncrease(t, second, before, name, 1)
	}
}
