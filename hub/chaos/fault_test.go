package chaos_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// fault is what goes wrong while logins go on. The zero value is none, or one that
// stands during the whole run.
type fault struct {
	interval time.Duration // from the first login to the first strike, and from the end of one to the next
	minTimes int           // how often it must strike while logins are under way
	maxTimes int           // how often it can; 0: until the wanted logins have ended
	// inject is one from its beginning to its end. Its context is the run's, which
	// ends early only where the run is far too late.
	inject func(ctx context.Context)
}

// span is a time: of a login from its ticket to its end, of a strike.
type span struct{ from, to time.Time }

func (s span) overlaps(o span) bool { return s.from.Before(o.to) && o.from.Before(s.to) }

// outcome is what became of one login, and when it was under way.
type outcome struct {
	stats
	span
	end   string // the page's
	trace string // of a login that was lost
}

// run is a run under way.
type run struct {
	wanted int // logins

	mu         sync.Mutex // guards what follows
	begun      int
	ended      []outcome
	injections []span
	over       bool // there will be no more strikes
}

// next begins a login: until all that were wanted are begun and the fault is over.
// Beyond those wanted, a third of the people go on, so that a fault that takes its
// time leaves the machine to others.
func (c *run) next(person int) (user string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begun >= c.wanted && (c.over || person%3 > 0) {
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

// injectFault has the fault strike. One that finds no login under way does not count.
func (c *run) injectFault(ctx context.Context, w scenario, f fault) {
	defer func() { // also where a strike has failed the test
		c.mu.Lock()
		defer c.mu.Unlock()
		c.over = true
	}()
	for n := 0; f.inject != nil && (f.maxTimes == 0 || n < f.maxTimes); n++ {
		pause(ctx, f.interval)
		if ctx.Err() != nil || c.enough(f) {
			return
		}
		hit, from := w.underWay.Load() > 0, time.Now()
		f.inject(ctx)
		if hit {
			c.mu.Lock()
			c.injections = append(c.injections, span{from, time.Now()})
			c.mu.Unlock()
		}
	}
}

// sum adds up, and checks that the fault and the logins met: that it struck as
// often as it must, and that people came through from its first strike to the end
// of its last.
func (c *run) sum(t *testing.T, w scenario, f fault) *stats {
	t.Helper()
	s := &stats{}
	between := 0
	for _, o := range c.ended {
		for _, strike := range c.injections {
			if !strike.overlaps(o.span) {
				continue
			}
			o.Affected = 1
			if w.wiped && o.Delivered == 0 {
				o.Wiped, o.Lost = 1, 0
				if o.end != "expired" && o.end != "gone" {
					t.Errorf("a page whose ticket was wiped heard %q", o.end)
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
	if w.polls > 0 && s.Delivered >= 100 && s.Polled == 0 {
		t.Error("nobody has a token by a long poll")
	}
	s.Injected = len(c.injections)
	if s.Injected < f.minTimes || s.Affected < f.minTimes {
		t.Errorf("the fault struck %d times while logins were under way, at %d of them; it must %d times", s.Injected, s.Affected, f.minTimes)
	}
	if f.minTimes > 1 && between == 0 {
		t.Error("nobody got through between the first strike of the fault and the last")
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

// pause waits within a fault.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
