package chaos_test

import (
	"cmp"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// TestUpgrade rolls a fleet to this release and back while logins go on, as the runbook
// says. UPGRADE_FROM is a program of a release that reads only record version 1 (`task
// upgrade` builds one). Without it the old nodes are of this release and write version 1.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	old := cmp.Or(os.Getenv("UPGRADE_FROM"), program)
	const first, second = "RECORD_VERSION=1", "RECORD_VERSION=2"
	roll := func(program, setting string) fault { return rollNodes(f.nodes, program, setting) }
	for _, n := range f.nodes {
		n.Kill()
		n.RestartAs(t, old, first)
	}
	f.run(t, []faultCase{
		{name: "old, then new with version 1", fault: roll(program, first), check: f.versions("1")},
		{name: "version 1, then 2", fault: roll(program, second), check: f.versions("1", "2")},
		{name: "version 2, then 1", fault: roll(program, first), check: f.versions("1", "2")},
		{name: "new with version 1, then old", fault: roll(old, first)},
	})
}

// rollNodes replaces the nodes one by one, and begins again while logins go on.
func rollNodes(nodes []*hubtest.Node, program, setting string) fault {
	i := 0
	return fault{minTimes: len(nodes), inject: func(t *testing.T, ctx context.Context) {
		n := nodes[i%len(nodes)]
		i++
		check(t, n.Terminate())
		if code, err := n.Wait(20 * time.Second); code != 0 || err != nil {
			t.Errorf("the node ended with %d, %v:\n%s", code, err, n.Log())
		}
		n.RestartAs(t, program, setting)
		pause(ctx, 500*time.Millisecond) // logins on the mixed fleet
	}}
}

// versions returns a check that Redis has only records of these versions, and each of
// them.
func (f *fleet) versions(want ...string) func(*testing.T, *stats) {
	return func(t *testing.T, _ *stats) {
		ctx, cancel := hubtest.WithTimeout(10 * time.Second)
		defer cancel()
		found := map[string]int{}
		for _, key := range f.redis.Client.Keys(ctx, "loginhub:{*}").Val() {
			version, _, _ := strings.Cut(f.redis.Client.HGet(ctx, key, "rec").Val(), ".")
			found[version]++
		}
		for _, version := range want {
			if found[version] == 0 {
				t.Errorf("no record of version %s: %v", version, found)
			}
		}
		if len(found) > len(want) {
			t.Errorf("records of versions %v, want %v", found, want)
		}
	}
}
