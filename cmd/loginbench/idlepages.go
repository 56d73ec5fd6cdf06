package main

import (
	"context"
	"sync"
	"sync/atomic"
)

// lost counts what should not happen to a page that only waits.
type lost struct {
	dropped atomic.Int64 // by the hub, or by an error
	renewed atomic.Int64 // tickets that ran out and were made anew
	views   atomic.Int64 // heartbeats and first views
}

// each runs do for 0 to n-1, so many at once, and stops at the first error.
func each(ctx context.Context, n, atOnce int, bar *bar, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, atOnce) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
					return
				}
				bar.add(1)
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// make makes n tickets, spread over the nodes.
func (b *bench) make(ctx context.Context, s *cluster, n int) error {
	s.waiting = make([]*page, n)
	return each(ctx, n, b.AtOnce, b.bar("make tickets", n), func(ctx context.Context, i int) (err error) {
		s.waiting[i], err = newPage(ctx, s.nodes[i%len(s.nodes)].door)
		return err
	})
}

// attach opens all their sockets; each is read from then on.
func (b *bench) attach(ctx context.Context, s *cluster) error {
	return each(ctx, len(s.waiting), b.AtOnce, b.bar("attach", len(s.waiting)), func(ctx context.Context, i int) error {
		p := s.waiting[i]
		if _, err := p.attach(ctx); err != nil {
			return err
		}
		s.readers.Go(func() { s.wait(ctx, p) })
		return nil
	})
}

// wait is an idle page's life: it reads heartbeats, and where its ticket runs
// out it makes a new one, as a real page does.
func (s *cluster) wait(ctx context.Context, p *page) {
	for {
		v, err := p.next()
		if err != nil {
			s.lost.dropped.Add(1)
			return
		}
		s.lost.views.Add(1)
		if v.State != "expired" {
			continue
		}
		p.drop()
		fresh, err := newPage(context.WithoutCancel(ctx), p.door)
		if err == nil {
			p.Ticket, p.Secret = fresh.Ticket, fresh.Secret
			_, err = p.attach(context.WithoutCancel(ctx))
		}
		if err != nil {
			s.lost.dropped.Add(1)
			return
		}
		s.lost.renewed.Add(1)
	}
}

// crowd makes and attaches n pages.
func (b *bench) crowd(ctx context.Context, s *cluster, n int) error {
	if err := b.make(ctx, s, n); err != nil {
		return err
	}
	return b.attach(ctx, s)
}

// dropAll cuts every idle page off at once, and waits for their readers.
func (s *cluster) dropAll() {
	for _, p := range s.waiting {
		if p != nil {
			p.drop()
		}
	}
	s.readers.Wait()
	s.lost.dropped.Store(0) // it was us
}
