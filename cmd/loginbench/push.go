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

// lead is how long before its confirm a login begins: time to make the ticket,
// attach and scan. Not a multiple of usual intervals, so that one login's
// beginning does not always meet another's confirm.
const lead = 503 * time.Millisecond

// sample is one confirm in an open loop.
type sample struct {
	intended time.Time
	*login
	err error
}

// measure does whole logins at a steady rate, whatever the hub does (open
// loop). The latency counts from when the confirm was due, so that a hub that
// stalls pays for every confirm that it kept waiting (coordinated omission);
// and, apart, from the first byte of the confirm that was really sent.
func (c *pushScenario) measure(ctx context.Context, b *bench) ([]result, error) {
	s, err := b.start(ctx, b.nodes(2), time.Hour)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if err := b.crowd(ctx, s, c.Pages); err != nil {
		return nil, err
	}
	if _, err := s.whole(ctx, 0); err != nil {
		return nil, err
	}
	n := int(float64(c.Rate) * c.For.Seconds())
	shots := make([]sample, n)
	begin := s.mark()
	bar := b.bar("logins", n)
	var logins sync.WaitGroup
	pace(n, c.Rate, func(i int, at time.Time) func() {
		l, door := s.newLogin(i)
		shots[i].intended, shots[i].login = at, l
		now := make(chan struct{})
		logins.Go(func() {
			defer bar.add(1)
			err := l.prepare(ctx, door)
			<-now
			if err == nil {
				err = l.confirm(ctx)
			}
			if err == nil {
				err = l.finish()
			}
			shots[i].err = err
		})
		return func() { close(now) }
	})
	logins.Wait()
	u := s.since(begin)
	r := result{Scenario: "push", Nodes: len(s.nodes), Pages: c.Pages}
	if err := r.addShots(shots); err != nil {
		return nil, err
	}
	r.add(figure{"logins", float64(n) / u.Seconds, "/s"})
	r.add(u.per(float64(n)/1000, 1, "CPU-s/1,000 logins")...)
	return []result{r}, nil
}

// pace calls begin for each shot one lead before it is due, and what begin
// returned when it is due, on a thread of its own: Go's timers are a
// millisecond coarse.
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
				syscall.Nanosleep(&t, nil) // woken early: the loop looks again
			}
		}
	})
	thread.Wait()
}

// addShots adds the latencies. More than one lost login in a thousand makes a
// run worthless.
func (r *result) addShots(shots []sample) error {
	var whole, wire []time.Duration
	var failed int
	var last error
	for _, s := range shots {
		if s.err != nil {
			failed, last = failed+1, s.err
			continue
		}
		whole = append(whole, s.pushed.Sub(s.intended))
		wire = append(wire, s.pushed.Sub(s.sent))
	}
	if failed*1000 > len(shots) {
		return fmt.Errorf("%d of %d logins failed, the last: %w", failed, len(shots), last)
	}
	r.add(latencies("confirm due to token", whole)...)
	r.add(latencies("confirm sent to token", wire)...)
	r.add(figure{"failed", float64(failed), ""})
	return nil
}
