package chaos_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// TestUpgrade_MixedFleet replaces the nodes of the previous release by this one and back,
// one by one. Meanwhile logins go on, pages wait, keys rotate, and both releases read
// what the other has written. UPGRADE_REF is the previous release; previous.sh has the
// default.
func TestUpgrade_MixedFleet(t *testing.T) {
	t.Parallel()
	old := buildPrevious(t, os.Getenv("UPGRADE_REF"))
	m := startMixedFleet(t, old)
	first, second := m.keyIDs(t, m.nodes[0], "OKP"), ""
	m.roll(t, "previous release, then this one", program, func(t *testing.T, ctx context.Context) {
		second = m.addKey(t, ctx, first)
	})
	m.roll(t, "this release, then the previous one", old, func(t *testing.T, _ context.Context) {
		m.setKeys(t, second, hubtest.OtherKey) // tickets under the first key have ended
	})
}

// TestUpgrade_RecordVersions rolls a fleet to record version 2 and back while logins go on,
// as the runbook says. UPGRADE_OLDEST is a release that reads only version 1 (`task
// upgrade` sets it). Without it the old nodes are of this release and write version 1.
func TestUpgrade_RecordVersions(t *testing.T) {
	t.Parallel()
	const first, second = "RECORD_VERSION=1", "RECORD_VERSION=2"
	old, ref := program, os.Getenv("UPGRADE_OLDEST")
	if ref != "" {
		old = buildPrevious(t, ref)
	}
	f := startFleetOf(t, old, first)
	roll := func(program, setting string) fault { return rollNodes(f.nodes, program, setting, nil) }
	rounds := []faultCase{
		{name: "version 1, then 2", fault: roll(program, second), check: f.versions("1", "2")},
		{name: "version 2, then 1", fault: roll(program, first), check: f.versions("1", "2")},
	}
	if ref != "" {
		rounds = append([]faultCase{{name: "old, then new with version 1", fault: roll(program, first), check: f.versions("1")}}, rounds...)
		rounds = append(rounds, faultCase{name: "new with version 1, then old", fault: roll(old, first)})
	}
	f.run(t, rounds)
}

// buildPrevious builds the program of an earlier release. Without the repository's history
// it returns this release's, and the log says so.
func buildPrevious(t *testing.T, ref string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "previous")
	out, err := exec.Command("sh", "previous.sh", path, ref).CombinedOutput()
	if err != nil {
		t.Fatalf("previous.sh: %v\n%s", err, out)
	}
	if _, err := os.Stat(path); err != nil {
		t.Logf("%s", out)
		return program
	}
	return path
}

// rollNodes replaces the nodes one by one, and begins again while logins go on. After each
// it calls mixed, if that is not nil, with how many were replaced.
func rollNodes(nodes []*hubtest.Node, program, setting string, mixed func(t *testing.T, ctx context.Context, replaced int)) fault {
	i := 0
	return fault{minTimes: len(nodes), inject: func(t *testing.T, ctx context.Context) {
		n := nodes[i%len(nodes)]
		i++
		check(t, n.Terminate())
		if code, err := n.Wait(20 * time.Second); code != 0 || err != nil {
			t.Errorf("the node ended with %d, %v:\n%s", code, err, n.Log())
		}
		n.RestartAs(t, program, setting)
		if mixed != nil {
			mixed(t, ctx, i)
		}
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

// roll replaces all nodes by the program while pages wait and logins go on. With one node
// replaced it calls mixed; with each mix it makes the steps of a login on both releases.
func (m *mixedFleet) roll(t *testing.T, name, program string, mixed func(*testing.T, context.Context)) {
	ctx := hubtest.Context(t, 100*time.Second)
	confirm := m.holdPages(t, ctx)
	m.run(t, []faultCase{{name: name,
		ways: func(w *scenario) { w.request = defaultClient },
		fault: rollNodes(m.nodes, program, "DRAIN=1s", func(t *testing.T, ctx context.Context, replaced int) {
			if replaced == 1 {
				mixed(t, ctx)
			}
			if replaced >= len(m.nodes) {
				return
			}
			a, b := m.nodes[0], m.nodes[replaced] // of two releases
			for _, pair := range [][2]*hubtest.Node{{a, b}, {b, a}} {
				m.switchSite(t, ctx, pair[0], pair[1])
				m.comparePushedToken(t, ctx, pair[0], pair[1])
				m.logInAtSite(t, ctx, pair[0], pair[1])
			}
		})}})
	confirm()
}

// holdPages opens pages that wait. confirm logs their users in and checks the tokens.
func (m *mixedFleet) holdPages(t *testing.T, ctx context.Context) (confirm func()) {
	var waiting sync.WaitGroup
	pages := make([]*hubtest.Page, 10)
	for i := range pages {
		p := &hubtest.Page{Entry: m.front, Request: defaultClient, Blocked: i%3 == 0}
		check(t, p.CreateTicket(ctx))
		waiting.Go(func() { check(t, p.Wait(ctx)) })
		pages[i] = p
	}
	return func() {
		for _, p := range pages {
			_, err := hubtest.NewPhone("patient").Retry(ctx, m.front, p.Ticket.ID, "confirm")
			check(t, err)
		}
		waiting.Wait()
		for _, p := range pages {
			if !p.Acked || p.Conflict != "" || subjectOf(p.Token) != "sandbox:patient" {
				t.Errorf("a page that waited ended as %q:\n%s", p.End, strings.Join(p.Trace, "\n"))
			}
		}
	}
}
