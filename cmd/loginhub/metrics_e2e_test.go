package main_test

import (
	"maps"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

func TestMetrics_WholeLogin(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	waiterNode := startMetered(t, "REDIS_URL="+redis.URL)
	decides := startMetered(t, "REDIS_URL="+redis.URL)
	ctx := testContext(t, 30*time.Second)
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
		`transitions_total{state="consumed"}`:                                 1,
		`tickets_finished_total{outcome="consumed",provider="sandbox"}`:       1,
		`waits_ended_total{reason="done",transport="socket"}`:                 1,
		`redis_call_duration_seconds_count{call="change"}`:                    1, // for the ack
		`http_requests_total{route="/.well-known/jwks.json",status="2xx"}`:    1, // by waitToken
		`http_request_duration_seconds_count{route="/.well-known/jwks.json"}`: 1,
	})
	wantChanges(t, waiterNode, before, want)
	want = map[string]float64{
		`tickets_created_total`:                            1,
		`transitions_total{state="pending"}`:               1,
		`transitions_total{state="scanned"}`:               1,
		`transitions_total{state="confirmed"}`:             1,
		`phone_calls_total{action="scan",outcome="ok"}`:    1,
		`phone_calls_total{action="confirm",outcome="ok"}`: 1,
		`redis_call_duration_seconds_count{call="create"}`: 1,
		`redis_call_duration_seconds_count{call="attach"}`: 2, // the reads before
		`redis_call_duration_seconds_count{call="change"}`: 2,
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

func TestMetrics_PollPush(t *testing.T) {
	t.Parallel()
	node := startMetered(t)
	ctx := testContext(t, 30*time.Second)
	ticket := mustMake(t, ctx, node.URL)
	before := scrape(t, node)
	got := make(chan error, 1)
	go func() {
		_, err := ticket.Poll(ctx, node.URL, 1, 30)
		got <- err
	}()
	waitIncrease(t, node, before, `waiters{transport="poll"}`, 1)
	mustCall(t, ctx, hubtest.NewPhone("poller"), node.URL, ticket.ID, "confirm")
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	for _, wait := range []int{0, 5} {
		if v, err := ticket.Poll(ctx, node.URL, 1, wait); err != nil || v == nil || v.Token == "" {
			t.Fatalf("late poll %+v %v", v, err)
		}
	}
	wantChanges(t, node, before, map[string]float64{
		`confirm_to_push_seconds_count{transport="poll"}`:                                 1,
		`tokens_delivered_total{delivery="pushed",transport="poll"}`:                      1,
		`tokens_delivered_total{delivery="resumed",transport="poll"}`:                     2,
		`waits_started_total{transport="poll"}`:                                           2, // one returned at once
		`waits_ended_total{reason="done",transport="poll"}`:                               2,
		`transitions_total{state="confirmed"}`:                                            1,
		`phone_calls_total{action="confirm",outcome="ok"}`:                                1,
		`redis_call_duration_seconds_count{call="attach"}`:                                4,
		`redis_call_duration_seconds_count{call="change"}`:                                1,
		`http_requests_total{route="/api/login/tickets/:ticket/poll",status="2xx"}`:       3,
		`http_request_duration_seconds_count{route="/api/login/tickets/:ticket/poll"}`:    3,
		`http_requests_total{route="/api/login/tickets/:ticket/confirm",status="2xx"}`:    1,
		`http_request_duration_seconds_count{route="/api/login/tickets/:ticket/confirm"}`: 1,
	})
}

func TestMetrics_LostMessageDelay(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	line := hubtest.StartPubSubProxy(t, redis)
	other := startMetered(t, "REDIS_URL="+redis.URL)
	node := startMetered(t, "REDIS_URL="+line.URL)
	ctx := testContext(t, 30*time.Second)
	p := mustOpenWaiter(t, ctx, other.URL, node.URL)
	before := scrape(t, node)
	if n := line.Mute(); n != 1 {
		t.Fatalf("%d subscriptions were removed", n)
	}
	mustCall(t, ctx, hubtest.NewPhone("late"), other.URL, p.ID, "confirm")
	began := time.Now()
	if _, err := p.waitToken(ctx, other.URL, "sandbox:late"); err != nil {
		t.Fatal(err)
	}
	waited := time.Since(began).Seconds()
	waitIncrease(t, node, before, `confirm_to_push_seconds_count{transport="socket"}`, 1)
	waitIncrease(t, node, before, `resyncs_total{cause="subscribed"}`, 1)
	waitIncrease(t, node, before, `resynced_tickets_total{found="newer"}`, 1)
	after := scrape(t, node)
	// The browser reads the token just after it was written. Both times are from Redis's clock.
	if took := after[`loginhub_confirm_to_push_seconds_sum{transport="socket"}`]; took < waited-0.5 || took > waited+1.5 {
		t.Errorf("measured %v s, waited %v s", took, waited)
	}
}

func TestMetrics_Undelivered(t *testing.T) {
	t.Parallel()
	node := startMetered(t, "RESULT_TTL=1s")
	ctx := testContext(t, 30*time.Second)
	before := scrape(t, node)
	p := mustOpenWaiter(t, ctx, node.URL, node.URL)
	mustCall(t, ctx, hubtest.NewPhone("closed"), node.URL, p.ID, "confirm")
	if _, err := p.socket.Until(ctx, "expired"); err != nil {
		t.Fatal(err)
	}
	waitIncrease(t, node, before, `tickets_finished_total{outcome="undelivered",provider="sandbox"}`, 1)
	after := scrape(t, node)
	for name, want := range map[string]float64{`transitions_total{state="confirmed"}`: 1, `transitions_total{state="consumed"}`: 0,
		`transitions_total{state="expired"}`: 1, `tickets_finished_total{outcome="expired",provider="sandbox"}`: 0} {
		if got := after["loginhub_"+name] - before["loginhub_"+name]; got != want {
			t.Errorf("%s moved by %v, not %v", name, got, want)
		}
	}
}
