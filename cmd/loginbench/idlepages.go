package main

import (
	"context"
	"sync"
	"sync/atomic"
)

// lost counts events that an idle page should not see.
type lost struct {
	dropped atomic.Int64 // by the hub, or by an error
	renewed atomic.Int64 // expired tickets that were replaced
	views   atomic.Int64 // heartbeats and first views
}

// each calls do for 0 to n-1, at most atOnce in parallel, and stops at the first
// error.
func each(ctx context.Context, n, atOnce int, do func(ctx context.Context, i int) error) error {
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
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// make creates n tickets, spread over the nodes.
func (b *bench) make(ctx context.Context, s *cluster, n int) error {
	s.waiting = make([]*page, n)
	return each(ctx, n, b.AtOnce, func(ctx context.Context, i int) (err error) {
		s.waiting[i], err = newPage(ctx, s.nodes[i%len(s.nodes)].target, "", "{}")
		return err
	})
}

// attach opens the sockets of all pages and starts their readers.
func (b *bench) attach(ctx context.Context, s *cluster) error {
	return each(ctx, len(s.waiting), b.AtOnce, func(ctx context.Context, i int) error {
		p := s.waiting[i]
		if _, err := p.attach(ctx); err != nil {
			return err
		}
		s.readers.Go(func() { s.wait(ctx, p) })
		return nil
	})
}

// wait reads the heartbeats of an idle page. When the ticket expires it creates a
// new one, as a real page does.
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
		fresh, err := newPage(context.WithoutCancel(ctx), p.target, "", "{}")
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

// idlePages creates and attaches n pages.
func (b *bench) idlePages(ctx context.Context, s *cluster, n int) error {
	if err := b.make(ctx, s, n); err != nil {
		return err
	}
	return b.attach(ctx, s)
}

// dropAll closes the connections of all idle pages and waits for their readers.
func (s *cluster) dropAll() {
	for _, p := range s.waiting {
		if p != nil {
			p.drop()
		}
	}
	s.readers.Wait()
	s.lost.dropped.Store(0) // not the hub
}
