package api_test

import (
	"errors"
	"strings"
	"testing"

	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

// words is the hash of the switches.
const words = "loginhub:switches"

// isOff reports whether the node has demo's QR login switched off.
func (s *testServer) isOff() bool {
	return errors.Is(s.hub.CheckEnabled("demo"), ticket.ErrLoginDisabled)
}

// reread has the node read the switches now: it does so after each of its own.
func (s *testServer) reread(t *testing.T) {
	t.Helper()
	must(t, s.hub.SetEnabled(s.soon(t), "other", true, operator))
}

// TestKillSwitch_SurvivesDataLoss: what is switched off stays off on the nodes
// that know it, stands in Redis again, and is turned on by the operator alone.
func TestKillSwitch_SurvivesDataLoss(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, r *hubtest.Redis, old string){
		"everything": func(t *testing.T, r *hubtest.Redis, _ string) { must(t, r.Client.FlushAll(t.Context()).Err()) },
		"the word": func(t *testing.T, r *hubtest.Redis, _ string) {
			must(t, r.Client.HDel(t.Context(), words, "demo").Err())
		},
		"the last word: the one before it is back": func(t *testing.T, r *hubtest.Redis, old string) {
			must(t, r.Client.HSet(t.Context(), words, "demo", old).Err())
		},
		"its mind": func(t *testing.T, r *hubtest.Redis, _ string) {
			must(t, r.Client.HSet(t.Context(), words, "demo", "on "+strings.Repeat("x", 100)).Err())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := hubtest.StartRedis(t)
			a, b := start(t, switchable(redis.URL)), start(t, switchable(redis.URL))
			hubtest.Eventually(t, patience, "both have read the switches", func() bool {
				return a.hub.CheckEnabled("demo") == nil && b.hub.CheckEnabled("demo") == nil
			})
			must(t, a.hub.SetEnabled(a.soon(t), "demo", false, operator))
			must(t, a.hub.SetEnabled(a.soon(t), "demo", true, operator))
			old := redis.Client.HGet(t.Context(), words, "demo").Val()
			b.reread(t)
			must(t, a.hub.SetEnabled(a.soon(t), "demo", false, operator))
			b.reread(t)
			off := redis.Client.HGet(t.Context(), words, "demo").Val()

			lose(t, redis, old)
			b.reread(t) // now Redis has it again, from b or from a
			if got := redis.Client.HGet(t.Context(), words, "demo").Val(); got != off {
				t.Errorf("Redis says %q", got)
			}
			a.reread(t)
			late := start(t, switchable(redis.URL))
			hubtest.Eventually(t, patience, "a new node has read the switches", late.isOff)
			for _, s := range []*testServer{a, b, late} {
				s.ask(t, "POST", making, map[string]string{"client_id": "demo"}).problem(t, 403, "login_disabled")
			}
			// The word of the operator counts, on a node that remembers otherwise too.
			must(t, late.hub.SetEnabled(late.soon(t), "demo", true, operator))
			for _, s := range []*testServer{a, b, late} {
				s.reread(t)
				s.make(t, map[string]string{"client_id": "demo"})
			}
			if got := redis.Client.HGet(t.Context(), words, "demo").Val(); got == off || got == old {
				t.Errorf("on again, and Redis says %q", got)
			}
			// What is on and lost is on.
			must(t, redis.Client.FlushAll(t.Context()).Err())
			a.reread(t)
			a.make(t, map[string]string{"client_id": "demo"})
		})
	}
}

// TestKillSwitch_FollowsOtherNode: the node that started between the loss
// and the writing again is on for that long and no longer.
func TestKillSwitch_FollowsOtherNode(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	knows := start(t, switchable(redis.URL))
	hubtest.Eventually(t, patience, "it has read the switches", func() bool { return knows.hub.CheckEnabled("demo") == nil })
	must(t, knows.hub.SetEnabled(knows.soon(t), "demo", false, operator))
	must(t, redis.Client.FlushAll(t.Context()).Err())
	news := start(t, switchable(redis.URL))
	hubtest.Eventually(t, patience, "the new node is off too", news.isOff)
	if !knows.isOff() {
		t.Error("it has forgotten it")
	}
}
