package chaos_test

import (
	"context"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// fleet is some nodes on one Redis behind the shipped nginx.
type fleet struct {
	redis *hubtest.Redis
	lines []*hubtest.Proxy // between each node and Redis
	nodes []*hubtest.Node
	front func() string // URL of nginx
}

// startFleet starts three nodes (CHAOS_NODES), each with its own proxy to Redis.
func startFleet(t *testing.T) *fleet {
	t.Helper()
	return startFleetOf(t, program)
}

// startFleetOf is startFleet with another program, or with settings.
func startFleetOf(t *testing.T, program string, settings ...string) *fleet {
	t.Helper()
	f := &fleet{redis: hubtest.StartRedis(t, "--appendfsync", "always")}
	for range intFromEnv(t, "CHAOS_NODES", 3) {
		line := hubtest.StartProxy(t, f.redis)
		f.lines = append(f.lines, line)
		f.nodes = append(f.nodes, startNodeAs(t, program, line.URL, settings...))
	}
	f.front = front(t, f.nodes...)
	return f
}

// faultCase is one fault on a fleet, and what people may see of it. A case demands that
// every login succeeds.
type faultCase struct {
	name string
	fault
	parallel    bool                     // runs beside other cases
	ways        func(*scenario)          // other ways to the nodes than nginx
	phoneErrors bool                     // phones may be asked to try again
	check       func(*testing.T, *stats) // what else must hold
}

// run makes logins during each fault, one after the other. The nodes are checked for leaks
// after the last one.
func (f *fleet) run(t *testing.T, cases []faultCase) {
	before := hubtest.MeasureUsage(t, f.nodes)
	t.Cleanup(func() { hubtest.AssertNoLeak(t, f.nodes, before) })
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.parallel {
				t.Parallel()
			}
			waitReadyz(t, 200, f.nodes...)
			w := scenario{nodes: f.nodes, entry: f.front, leaksLater: true}
			if c.ways != nil {
				c.ways(&w)
			}
			total := logins(t)
			if w.patience > 0 {
				total = atOnce // each user once, at the same time
			}
			s := w.run(t, total, c.fault)
			if !w.wiped {
				complete(t, s)
			}
			if s.Errors > 0 && !c.phoneErrors {
				t.Errorf("phones saw %d errors", s.Errors)
			}
			if c.check != nil {
				c.check(t, s)
			}
		})
	}
}

// each calls f with the fleet's proxies.
func (f *fleet) each(do func(*hubtest.Proxy)) {
	for _, line := range f.lines {
		do(line)
	}
}

// elsewhere sends phones to every node but the first, on which the fault is made. Pages
// may use any node.
func (f *fleet) elsewhere(w *scenario) { w.phone = oneOf(f.nodes[1:]...) }

// sawErrors fails if no phone was asked to try again: then the fault was none.
func sawErrors(t *testing.T, s *stats) {
	if s.Errors == 0 {
		t.Error("no phone was asked to try again")
	}
}

// keptSockets fails if a socket was closed.
func keptSockets(t *testing.T, s *stats) {
	if s.Closed > 0 {
		t.Errorf("%d sockets were closed", s.Closed)
	}
}

// waitReadyz waits until /readyz of all nodes has that status.
func waitReadyz(t *testing.T, status int, nodes ...*hubtest.Node) {
	t.Helper()
	for _, n := range nodes {
		hubtest.Eventually(t, 15*time.Second, "/readyz of "+n.URL, func() bool { return n.Get("/readyz") == status })
	}
}

// check reports an error of a step.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// command runs a command of the operator on Redis.
func (f *fleet) command(t *testing.T, ctx context.Context, words ...any) {
	t.Helper()
	check(t, f.redis.Client.Do(ctx, words...).Err())
}
