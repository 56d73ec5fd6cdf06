package apitest_test

import (
	"errors"
	"strings"
	"testing"

	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

// switchesKey is the Redis hash of the kill switches.
const switchesKey = "loginhub:switches"

// isOff reports whether demo's QR login is disabled on the node.
func (s *testServer) isOff() bool {
	return errors.Is(s.hub.CheckEnabled("demo"), ticket.ErrLoginDisabled)
}

// refreshSwitches makes the node read the kill switches now, as after each change of its
// own.
func (s *testServer) refreshSwitches(t *testing.T) {
	t.Helper()
	must(t, s.hub.SetEnabled(s.stepContext(t), "other", true, operator))
}

// A client that was disabled stays disabled on the nodes that know it. They restore the
// value in Redis. Only the operator enables it again.
func TestKillSwitch_SurvivesDataLoss(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, r *hubtest.Redis, old string){
		"everything": func(t *testing.T, r *hubtest.Redis, _ string) { must(t, r.Client.FlushAll(t.Context()).Err()) },
		"one value": func(t *testing.T, r *hubtest.Redis, _ string) {
			must(t, r.Client.HDel(t.Context(), switchesKey, "demo").Err())
		},
		"the last value, an older one is back": func(t *testing.T, r *hubtest.Redis, old string) {
			must(t, r.Client.HSet(t.Context(), switchesKey, "demo", old).Err())
		},
		"a valid value": func(t *testing.T, r *hubtest.Redis, _ string) {
			must(t, r.Client.HSet(t.Context(), switchesKey, "demo", "on "+strings.Repeat("x", 100)).Err())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := hubtest.StartRedis(t)
			a, b := start(t, withKillSwitch(redis.URL)), start(t, withKillSwitch(redis.URL))
			hubtest.Eventually(t, stepTimeout, "both have read the switches", func() bool {
				return a.hub.CheckEnabled("demo") == nil && b.hub.CheckEnabled("demo") == nil
			})
			must(t, a.hub.SetEnabled(a.stepContext(t), "demo", false, operator))
			must(t, a.hub.SetEnabled(a.stepContext(t), "demo", true, operator))
			old := redis.Client.HGet(t.Context(), switchesKey, "demo").Val()
			b.refreshSwitches(t)
			must(t, a.hub.SetEnabled(a.stepContext(t), "demo", false, operator))
			b.refreshSwitches(t)
			off := redis.Client.HGet(t.Context(), switchesKey, "demo").Val()

			lose(t, redis, old)
			b.refreshSwitches(t) // now b or a has restored the value in Redis
			if got := redis.Client.HGet(t.Context(), switchesKey, "demo").Val(); got != off {
				t.Errorf("the value in Redis is %q", got)
			}
			a.refreshSwitches(t)
			late := start(t, withKillSwitch(redis.URL))
			hubtest.Eventually(t, stepTimeout, "a new node has read the switches", late.isOff)
			for _, s := range []*testServer{a, b, late} {
				s.ask(t, "POST", ticketsPath, map[string]string{"client_id": "demo"}).problem(t, 403, "login_disabled")
			}
			// The operator's change takes effect, also against a node that remembers
			// another value.
			must(t, late.hub.SetEnabled(late.stepContext(t), "demo", true, operator))
			for _, s := range []*testServer{a, b, late} {
				s.refreshSwitches(t)
				s.createTicket(t, map[string]string{"client_id": "demo"})
			}
			if got := redis.Client.HGet(t.Context(), switchesKey, "demo").Val(); got == off || got == old {
				t.Errorf("on again, and the value in Redis is %q", got)
			}
			// A client that was enabled stays enabled if Redis loses the value.
			must(t, redis.Client.FlushAll(t.Context()).Err())
			a.refreshSwitches(t)
			a.createTicket(t, map[string]string{"client_id": "demo"})
		})
	}
}

// A node that started after the loss enables the client only until another node has
// restored the value.
func TestKillSwitch_FollowsOtherNode(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	knows := start(t, withKillSwitch(redis.URL))
	hubtest.Eventually(t, stepTimeout, "it has read the switches", func() bool { return knows.hub.CheckEnabled("demo") == nil })
	must(t, knows.hub.SetEnabled(knows.stepContext(t), "demo", false, operator))
	must(t, redis.Client.FlushAll(t.Context()).Err())
	news := start(t, withKillSwitch(redis.URL))
	hubtest.Eventually(t, stepTimeout, "the new node is off too", news.isOff)
	if !knows.isOff() {
		t.Error("the node has lost the change")
	}
}
