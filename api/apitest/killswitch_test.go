package apitest_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/hubtest"
	"loginhub/hub/redisstore"
)

// operator is the address of the operator in these tests.
var operator = netip.MustParseAddr("192.0.2.77")

// withKillSwitch returns options for a node whose clients can be disabled.
func withKillSwitch(redis string) options {
	other := &client.Client{ID: "other", Origins: []string{site}}
	return options{redis: redis, clients: []*client.Client{demo(), other}, hub: func(c *hub.Config) {
		c.KillSwitches, c.Reloadable.Clients = c.Store.(*redisstore.Store), []string{"demo", "other"}
	}}
}

// TestKillSwitch_OpenID: while a client is off, its codes are neither redeemed nor spent.
func TestKillSwitch_OpenID(t *testing.T) {
	t.Parallel()
	byCode := &client.Client{ID: "code", Delivery: client.DeliveryCode, Secret: hashOf(rpSecret)}
	s := startOpenID(t, options{clients: []*client.Client{byCode}, hub: func(c *hub.Config) {
		c.KillSwitches, c.Reloadable.Clients = c.Store.(*redisstore.Store), []string{"rp", "cli", "code"}
	}})
	hubtest.Eventually(t, stepTimeout, "the switches are read", func() bool { return s.hub.CheckEnabled("rp") == nil })
	d, form := s.newDevice(t, "cli"), codeForm(s.login(t).Get("code"))
	s.phone("alice").mustDo(t, d.page(), "confirm")
	code := s.confirmed(t, "code").view(t)["code"]
	for _, on := range []bool{false, true} {
		must(t, s.hub.SetEnabled(s.stepContext(t), "rp", on, operator))
		must(t, s.hub.SetEnabled(s.stepContext(t), "cli", on, operator))
		for what, a := range map[string]*answer{"code": s.exchange(t, form, basic("rp", rpSecret)...), "device code": d.poll(t)} {
			if on {
				a.ok(t, http.StatusOK)
			} else {
				a.requireOAuth(t, what, 403, "access_denied")
			}
		}
		must(t, s.hub.SetEnabled(s.stepContext(t), "code", on, operator))
		if a := s.redeemCode(t, "code", code); on {
			a.ok(t, http.StatusOK)
		} else {
			a.problem(t, 403, "login_disabled")
		}
	}
}

func TestKillSwitch_AllNodes(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	a, b := start(t, withKillSwitch(redis.URL)), start(t, withKillSwitch(redis.URL))
	hubtest.Eventually(t, stepTimeout, "both have read the switches", func() bool {
		return a.hub.CheckEnabled("demo") == nil && b.hub.CheckEnabled("demo") == nil
	})
	body := map[string]string{"client_id": "demo"}
	waiting, polling, confirmed, fresh := b.createTicket(t, body), b.createTicket(t, body), b.createTicket(t, body), b.createTicket(t, body)
	bystander := b.createTicket(t, map[string]string{"client_id": "other"})
	l, unhurt := waiting.dial(t), bystander.dial(t)
	l.expect(t, "pending", 1)
	unhurt.expect(t, "pending", 1)
	b.phone("ann").mustDo(t, confirmed, "confirm")
	seq := confirmed.view(t)["seq"]
	polled := make(chan *answer, 1)
	go func() {
		got, err := b.send(b.stepContext(t), "GET", polling.path("poll")+"?after=1&wait=50", nil, polling.bearer()...)
		if err != nil {
			t.Error(err)
		}
		polled <- got
	}()
	hubtest.Eventually(t, stepTimeout, "the poll waits", func() bool { return b.hub.Waiting() == 3 })

	before := time.Now()
	must(t, a.hub.SetEnabled(a.stepContext(t), "demo", false, operator))
	a.ask(t, "POST", ticketsPath, body).problem(t, 403, "login_disabled") // effective at once on this node
	l.requireCloseLater(t, 1013)
	(<-polled).problem(t, 403, "login_disabled")
	if took := time.Since(before); took > 10*time.Second {
		t.Errorf("the other node took %v", took)
	}
	b.ask(t, "POST", ticketsPath, body, "Origin", site).problem(t, 403, "login_disabled")
	fresh.poll(t, "wait=0").problem(t, 403, "login_disabled")
	fresh.poll(t, "wait=20").problem(t, 403, "login_disabled")
	b.ask(t, "GET", fresh.path("ws"), nil, handshake("Sec-WebSocket-Protocol", "loginhub.v1, loginhub.secret."+fresh.secret)...).problem(t, 403, "login_disabled")
	b.phone("ann").do(t, fresh, "scan").problem(t, 403, "login_disabled")
	b.phone("ann").do(t, fresh, "confirm").problem(t, 403, "login_disabled")
	// A wrong secret still gets 401. Reject and ack of a delivered token always work.
	b.ask(t, "GET", fresh.path("poll"), nil).problem(t, 401, "invalid_secret")
	b.phone("ann").mustDo(t, fresh, "reject")
	if got := confirmed.ack(t, seq); got.status != http.StatusNoContent {
		t.Errorf("ack: %d %s", got.status, got.body)
	}
	// The other client is not affected.
	b.phone("bob").mustDo(t, bystander, "confirm")
	unhurt.expect(t, "confirmed", 2)

	// The loss of Redis enables no client.
	redis.Kill()
	if err := a.hub.SetEnabled(a.stepContext(t), "demo", true, operator); err == nil {
		t.Error("SetEnabled succeeds without Redis")
	}
	if a.hub.CheckEnabled("demo") == nil || a.hub.CheckEnabled("other") != nil {
		t.Error("the loss of Redis has changed a switch")
	}
}

func TestKillSwitch_NeverRead(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	must(t, redis.Client.Set(t.Context(), "loginhub:switches", "x", 0).Err())
	o := withKillSwitch(redis.URL)
	o.unready = true // the node is not ready before it has read the switches
	s := start(t, o)
	s.ask(t, "POST", ticketsPath, map[string]string{"client_id": "demo"}).problem(t, 503, "store_unavailable")
	hubtest.Eventually(t, stepTimeout, "only the kill switch is missing", func() bool {
		err := s.hub.Ready()
		return err != nil && strings.Contains(err.Error(), "kill switch")
	})
	s.ask(t, "GET", "/readyz", nil).problem(t, 503, "store_unavailable")
	must(t, redis.Client.Del(t.Context(), "loginhub:switches").Err())
	hubtest.Eventually(t, stepTimeout, "it serves once it has read them", func() bool { return s.hub.CheckEnabled("demo") == nil })
	s.createTicket(t, map[string]string{"client_id": "demo"})
}
