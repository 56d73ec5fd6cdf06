package chaos_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// fault is what goes wrong during logins. The zero value means none, or a fault that
// lasts the whole run.
type fault struct {
	interval time.Duration // before the first injection, and between two
	minTimes int           // required injections while logins are in progress
	maxTimes int           // allowed injections; 0: until the wanted logins have ended
	// inject makes the fault once, from beginning to end. Its context is that of the
	// run, which ends early only if the run is far too late.
	inject func(t *testing.T, ctx context.Context)
}

// span is the time of a login, from its ticket to its end, or of an injection.
type span struct{ from, to time.Time }

func (s span) overlaps(o span) bool { return s.from.Before(o.to) && o.from.Before(s.to) }

// outcome is the result of one login, with its time.
type outcome struct {
	stats
	span
	end   string // state in which the page ended
	trace string // only of a lost login
}

// run is the state of a run.
type run struct {
	wanted int // logins

	mu         sync.Mutex // guards the fields below
	begun      int
	ended      []outcome
	injections []span
	over       bool // no more injections follow
}

// next begins a login, until all wanted ones have begun and the fault is over. After the
// wanted ones only a fifth of the users go on, so that a long fault does not use the
// whole machine.
func (c *run) next(person int) (user string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begun >= c.wanted && (c.over || person%5 > 0) {
		return "", false
	}
	c.begun++
	return fmt.Sprintf("user-%d", c.begun), true
}

func (c *run) end(o outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = append(c.ended, o)
}

// enough reports whether the fault may stop.
func (c *run) enough(f fault) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.injections) >= f.minTimes && len(c.ended) >= c.wanted
}

// injectFault injects the fault repeatedly, each time while a login is in progress.
func (c *run) injectFault(t *testing.T, ctx context.Context, w scenario, f fault) {
	defer func() { // also if an injection has failed the test
		c.mu.Lock()
		defer c.mu.Unlock()
		c.over = true
	}()
	for n := 0; f.inject != nil && (f.maxTimes == 0 || n < f.maxTimes); {
		pause(ctx, max(f.interval, time.Millisecond))
		if ctx.Err() != nil || c.enough(f) {
			return
		}
		if w.underWay.Load() == 0 {
			continue
		}
		n++
		from := time.Now()
		f.inject(t, ctx)
		c.mu.Lock()
		c.injections = append(c.injections, span{from, time.Now()})
		c.mu.Unlock()
	}
}

// sum adds up the outcomes. It checks that the fault was injected often enough during
// logins, and that logins succeeded between the first and the last injection.
func (c *run) sum(t *testing.T, w scenario, f fault) *stats {
	t.Helper()
	s := &stats{}
	between := 0
	for _, o := range c.ended {
		for _, injection := range c.injections {
			if !injection.overlaps(o.span) {
				continue
			}
			o.Affected = 1
			if w.wiped && o.Delivered == 0 {
				o.Wiped, o.Lost = 1, 0
				if o.end != "expired" && o.end != "gone" {
					t.Errorf("a page whose ticket was wiped ended as %q", o.end)
				}
			}
		}
		if n := len(c.injections); n > 1 && o.Delivered == 1 && o.to.After(c.injections[0].from) && o.to.Before(c.injections[n-1].to) {
			between++
		}
		if o.Lost > 0 {
			t.Logf("lost: %s", o.trace)
		}
		s.add(o.stats)
	}
	if w.polls > 0 && s.Delivered >= 60 && s.Polled == 0 {
		t.Error("no page got its token by a long poll")
	}
	s.Injected = len(c.injections)
	if s.Injected < f.minTimes || s.Affected < min(f.minTimes, c.wanted/2) {
		t.Errorf("the fault struck %d times during logins, %d of them; it must %d times", s.Injected, s.Affected, f.minTimes)
	}
	if f.minTimes > 1 && between == 0 {
		t.Error("no login succeeded between the first and the last injection")
	}
	return s
}

// repeat repeats f at that interval until ctx ends.
func repeat(ctx context.Context, every time.Duration, f func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
