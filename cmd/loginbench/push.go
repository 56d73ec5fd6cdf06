package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"
)

type pushScenario struct {
	Pages int           `default:"10000" help:"Idle pages beside the logins."`
	Rate  int           `default:"1000" help:"Logins per second."`
	For   time.Duration `default:"20s" help:"How long."`
}

// lead is the time from the start of a login to its confirm: enough to create the
// ticket, attach and scan. It is no multiple of usual intervals, so that the start
// of one login does not always coincide with the confirm of another.
const lead = 503 * time.Millisecond

// sample is one confirm in an open loop.
type sample struct {
	intended time.Time
	*login
	err error
}

// measure runs whole logins at a steady rate, independent of the hub (open loop).
// The latency counts from when the confirm was due, so that a stall of the hub
// counts for every delayed confirm (coordinated omission). A second figure counts
// from the first byte that was really sent.
func (c *pushScenario) measure(ctx context.Context, b *bench) ([]result, error) {
	s, err := b.start(ctx, b.nodes(2), time.Hour)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	empty := s.rss()
	if err := b.idlePages(ctx, s, c.Pages); err != nil {
		return nil, err
	}
	full := s.rss()
	if _, err := s.whole(ctx, 0); err != nil {
		return nil, err
	}
	n := int(float64(c.Rate) * c.For.Seconds())
	samples := make([]sample, n)
	begin := s.mark()
	var logins sync.WaitGroup
	pace(n, c.Rate, func(i int, at time.Time) func() {
		l, node := s.newLogin(i)
		samples[i].intended, samples[i].login = at, l
		now := make(chan struct{})
		logins.Go(func() {
			err := l.prepare(ctx, node)
			<-now
			if err == nil {
				err = l.confirm(ctx)
			}
			if err == nil {
				err = l.finish()
			}
			samples[i].err = err
		})
		return func() { close(now) }
	})
	logins.Wait()
	u := s.since(begin)
	r := result{Scenario: "push", Nodes: len(s.nodes), Pages: c.Pages}
	r.add(u.per(float64(n)/1000, 1, "CPU-s/1,000 logins")...)
	if full > 0 && c.Pages > 0 {
		r.add(figure{"RSS per page", (full - empty) / float64(c.Pages) / 1024, "KiB"})
	}
	r.add(figure{"logins", float64(n) / u.Seconds, "/s"})
	if err := r.addSamples(samples); err != nil {
		return nil, err
	}
	return []result{r}, nil
}

// pace calls begin for each login one lead before its confirm is due, and the
// function that begin returned when it is due. It uses a thread of its own,
// because Go's timers have a resolution of a millisecond.
func pace(n, rate int, begin func(i int, at time.Time) func()) {
	var thread sync.WaitGroup
	thread.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		fire := make([]func(), n)
		start := time.Now().Add(lead)
		due := func(i int) time.Time { return start.Add(time.Duration(i) * time.Second / time.Duration(rate)) }
		for begun, fired := 0, 0; fired < n; {
			now := time.Now()
			for ; begun < n && !now.Before(due(begun).Add(-lead)); begun++ {
				fire[begun] = begin(begun, due(begun))
			}
			for ; fired < begun && !now.Before(due(fired)); fired++ {
				fire[fired]()
			}
			next := due(fired)
			if begun < n && due(begun).Add(-lead).Before(next) {
				next = due(begun).Add(-lead)
			}
			if wait := time.Until(next); wait > 0 {
				t := syscall.NsecToTimespec(int64(wait))
				syscall.Nanosleep(&t, nil) // the loop checks the clock again
			}
		}
	})
	thread.Wait()
}

// addSamples adds the latencies. It fails if more than one login in a thousand was
// lost.
func (r *result) addSamples(samples []sample) error {
	var whole, wire []time.Duration
	var failed int
	var last error
	for _, s := range samples {
		if s.err != nil {
			failed, last = failed+1, s.err
			continue
		}
		whole = append(whole, s.pushed.Sub(s.intended))
		wire = append(wire, s.pushed.Sub(s.sent))
	}
	if failed*1000 > len(samples) {
		return fmt.Errorf("%d of %d logins failed, the last: %w", failed, len(samples), last)
	}
	r.add(latencies("confirm due to token", whole)...)
	r.add(latencies("confirm sent to token", wire)...)
	r.add(figure{"failed", float64(failed), ""})
	return nil
}
