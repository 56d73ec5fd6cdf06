package chaos_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// soakRate is the number of logins that begin each second.
const soakRate = 8

// soak makes steady logins through the shipped nginx, with one fault after the other.
type soak struct {
	scenario
	*fleet

	mu     sync.Mutex // guards the fields below
	sum    stats
	begun  int
	faults map[string]int
}

// TestSoak runs for the time in SOAK (30m in `task soak`), or 10 s.
func TestSoak(t *testing.T) {
	t.Parallel()
	length, report := 10*time.Second, 5*time.Second
	if text := os.Getenv("SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("SOAK: %v", err)
		}
		report = min(time.Minute, length)
	}
	s := &soak{fleet: startFleet(t), faults: map[string]int{}}
	s.scenario = scenario{nodes: s.fleet.nodes, entry: s.front}
	s.defaults(t)
	before := hubtest.MeasureUsage(t, s.fleet.nodes)
	begun := time.Now()
	during, over := context.WithTimeout(context.Background(), length)
	defer over()
	whole, cancel := context.WithTimeout(context.Background(), length+3*time.Minute)
	defer cancel()
	var beside sync.WaitGroup
	beside.Go(func() { s.randomFault(t, during, length/40) })
	beside.Go(func() {
		repeat(during, report, func() { t.Logf("%v: %s", time.Since(begun).Round(time.Second), s.progress()) })
	})
	var logins sync.WaitGroup
	repeat(during, time.Second/soakRate, func() {
		s.mu.Lock()
		s.begun++
		user := fmt.Sprintf("soak-%d", s.begun)
		s.mu.Unlock()
		logins.Go(func() {
			one := s.login(whole, user)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.sum.add(one.stats)
		})
	})
	beside.Wait()
	logins.Wait()
	t.Logf("%s\n\n%s", s.progress(), s.table(length))
	s.sum.assert(t, s.scenario)
	complete(t, &s.sum)
	hubtest.AssertNoLeak(t, s.fleet.nodes, before)
}

// randomFault injects one fault after the other, each kind equally often, in random
// order.
func (s *soak) randomFault(t *testing.T, ctx context.Context, rest time.Duration) {
	kinds := s.faultKinds(t)
	rest = min(rest, 20*time.Second)
	for {
		names := slices.Collect(maps.Keys(kinds))
		rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			pause(ctx, rest/2+rand.N(rest))
			if ctx.Err() != nil {
				return
			}
			kinds[name]()
			s.mu.Lock()
			s.faults[name]++
			s.mu.Unlock()
		}
	}
}

// faultKinds returns the faults. Each ends by itself, also after the soak is over.
func (s *soak) faultKinds(t *testing.T) map[string]func() {
	always := context.Background()
	often := func(f func()) {
		for range 20 {
			f()
			pause(always, 50*time.Millisecond)
		}
	}
	return map[string]func(){
		"every subscription killed, 20 times in a second": func() {
			often(func() { s.command(t, always, "CLIENT", "KILL", "TYPE", "pubsub") })
		},
		"scripts flushed, 20 times in a second": func() { often(func() { s.command(t, always, "SCRIPT", "FLUSH") }) },
		"every link to Redis cut":               func() { s.each((*hubtest.Proxy).Cut) },
		"a node killed with -9 and started again after a second": func() {
			n := s.fleet.nodes[rand.IntN(len(s.fleet.nodes))]
			n.Kill()
			pause(always, time.Second)
			n.Restart(t)
		},
		"rolling restart of all nodes": func() {
			for _, n := range s.fleet.nodes {
				restart(t, n)
			}
		},
		"Redis stalled for one to five seconds": func() {
			s.redis.Stall()
			pause(always, time.Second+rand.N(4*time.Second))
			s.redis.Resume()
		},
		"200 ms more to Redis each way, for three seconds": func() {
			s.each(func(p *hubtest.Proxy) { p.Latency(200 * time.Millisecond) })
			pause(always, 3*time.Second)
			s.each(func(p *hubtest.Proxy) { p.Latency(0) })
		},
	}
}

func (s *soak) progress() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%d begun, %d kinds of faults; of those that ended: %s", s.begun, len(s.faults), &s.sum)
}

// table returns the result for README.md.
func (s *soak) table(length time.Duration) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	row := func(what string, number any) { fmt.Fprintf(&b, "| %s | %v |\n", what, number) }
	fmt.Fprintf(&b, "`SOAK=%v go test -run TestSoak ./hub/chaos`\n\n| what | number |\n| --- | --- |\n", length)
	row("logins begun, at "+fmt.Sprint(soakRate)+" a second", s.begun)
	row("confirmed to the phone", s.sum.Confirmed)
	row("token delivered to the page", s.sum.Delivered)
	row("acknowledged", s.sum.Acked)
	row("**lost**", s.sum.Lost)
	row("**a second identity, or another token**", s.sum.WrongUser+s.sum.OtherToken)
	row("delivered again before the ack", s.sum.Duplicated)
	row("errors that phones saw and repeated", s.sum.Errors)
	row("from the phone's confirm to the page's token: median, 99 %, longest",
		fmt.Sprint(s.sum.waited(0.5), ", ", s.sum.waited(0.99), ", ", s.sum.waited(1)))
	for _, name := range slices.Sorted(maps.Keys(s.faults)) {
		row("fault: "+name, s.faults[name])
	}
	return b.String()
}
