package redisstore

import (
	"errors"
	"slices"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

// switchCases run on every kind of Redis.
var switchCases = map[string]func(*testing.T, *fixture){
	"each client has its last value": func(t *testing.T, r *fixture) {
		must(t, r.WriteSwitch(limit(t), "a", "off"))
		must(t, r.WriteSwitch(limit(t), "b", "off"))
		must(t, r.WriteSwitch(limit(t), "b", "on 1"))
		r.assertSwitches(t, []string{"a", "b", "c"}, "off", "on 1", "")
	},
	"a value is set only if no other was faster": func(t *testing.T, r *fixture) {
		restore := func(was string, written bool, stored string) {
			t.Helper()
			if got, err := r.CompareAndSet(limit(t), "d", was, "off"); err != nil || got != written {
				t.Errorf("in place of %q: %v %v", was, got, err)
			}
			r.assertSwitches(t, []string{"d"}, stored)
		}
		restore("on 1", false, "")
		restore("", true, "off")
		must(t, r.WriteSwitch(limit(t), "d", "on 2"))
		restore("", false, "on 2")
		restore("on 1", false, "on 2")
		restore("on 2", true, "off")
	},
	"a key of another type is an error": func(t *testing.T, r *fixture) {
		must(t, r.inspect.Set(limit(t), r.switchesKey(), "x", 0).Err())
		defer r.inspect.Del(limit(t), r.switchesKey())
		_, restored := r.CompareAndSet(limit(t), "a", "", "off")
		_, read := r.ReadSwitches(limit(t), []string{"a"})
		for what, err := range map[string]error{"switch": r.WriteSwitch(limit(t), "a", "off"), "restore": restored, "read": read} {
			if !isUnavailable(err) {
				t.Errorf("%s: %v", what, err)
			}
		}
	},
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// assertSwitches checks the values of these clients.
func (r *fixture) assertSwitches(t *testing.T, clients []string, want ...string) {
	t.Helper()
	if got, err := r.ReadSwitches(limit(t), clients); err != nil || !slices.Equal(got, want) {
		t.Errorf("%q stand there, not %q: %v", got, want, err)
	}
}

func TestKillSwitch_WaitsForReplica(t *testing.T) {
	t.Parallel()
	server := hubtest.StartRedis(t)
	r := newFixture(t, server.URL, 1)
	r.Replicas = 1
	if err := r.WriteSwitch(limit(t), "a", "off"); !errors.Is(err, ticket.ErrNotReplicated) {
		t.Errorf("without a replica: %v", err)
	}
	r.assertSwitches(t, []string{"a"}, "off") // written all the same
	replica := hubtest.StartReplica(t, server)
	must(t, r.WriteSwitch(limit(t), "a", "on 1"))
	if got := replica.Client.HGet(limit(t), r.switchesKey(), "a").Val(); got != "on 1" {
		t.Errorf("it is done, and the replica has %q", got)
	}
	must(t, replica.Stall())
	t.Cleanup(func() { replica.Resume() })
	for _, word := range []string{"off", "off"} { // a repeated call is refused too
		if err := r.WriteSwitch(limit(t), "a", word); !errors.Is(err, ticket.ErrNotReplicated) {
			t.Errorf("with a stalled replica: %v", err)
		}
	}
	// CompareAndSet does not wait for replicas: its caller repeats it every two seconds.
	if written, err := r.CompareAndSet(limit(t), "b", "", "off"); err != nil || !written {
		t.Errorf("restored: %v %v", written, err)
	}
	must(t, replica.Resume())
	hubtest.Eventually(t, 10*time.Second, "a switch with the replica that is back", func() bool { return r.WriteSwitch(limit(t), "a", "off") == nil })
}
