package main

import (
	"context"
	"sync/atomic"
	"time"
)

type loginsScenario struct {
	Count int           `default:"20000" help:"Whole logins."`
	Pages int           `default:"0" help:"Idle pages beside them."`
	Wait  time.Duration `default:"20s" help:"How long to watch what the idle pages cost by themselves: once round the heartbeats."`
}

// measure runs whole logins in a closed loop. It compares the live heap after a
// tenth of them with the one after all, which shows memory that logins leak.
func (c *loginsScenario) measure(ctx context.Context, b *bench) ([]result, error) {
	s, err := b.start(ctx, b.nodes(1), time.Hour)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if err := b.idlePages(ctx, s, c.Pages); err != nil {
		return nil, err
	}
	idle, err := c.watch(ctx, s)
	if err != nil {
		return nil, err
	}
	tenth := c.Count / 10
	pushes := make([]time.Duration, c.Count)
	some := func(from, to int) error {
		return each(ctx, to-from, b.AtOnce, func(ctx context.Context, i int) error {
			l, err := s.whole(ctx, from+i)
			pushes[from+i] = l.pushed.Sub(l.sent)
			return err
		})
	}
	if err := some(0, tenth); err != nil { // also the warm-up
		return nil, err
	}
	early := s.liveHeap(ctx)
	mallocs := s.sum(ctx, "go_memstats_mallocs_total", false)
	begin := s.mark()
	if err := some(tenth, c.Count); err != nil {
		return nil, err
	}
	u, n := s.since(begin), float64(c.Count-tenth)
	mallocs = s.sum(ctx, "go_memstats_mallocs_total", false) - mallocs
	r := result{Scenario: "logins", Nodes: len(s.nodes), Pages: c.Pages}
	r.add(figure{"at once", float64(b.AtOnce), ""}, figure{"logins", n / u.Seconds, "/s"})
	r.add(u.per(n/1000, 1, "CPU-s/1,000 logins")...)
	if c.Pages > 0 {
		r.add(figure{"hub CPU without what the pages cost anyway", 1000 * (u.Hub - idle*u.Seconds) / n, "CPU-s/1,000 logins"})
	}
	r.add(latencies("confirm sent to token", pushes[tenth:])...)
	if u.Counted {
		r.add(figure{"scripts per login", float64(u.Commands) / n, ""}, figure{"messages per login", float64(u.Messages) / n, ""})
	}
	r.add(figure{"hub allocations per login", mallocs / n, "objects"})
	if late := s.liveHeap(ctx); late > 0 {
		r.add(figure{"live heap after a tenth", early / 1024, "KiB"}, figure{"live heap after all", late / 1024, "KiB"})
	}
	return []result{r}, nil
}

// watch returns the nodes' CPU while their pages are idle, in seconds per second.
func (c *loginsScenario) watch(ctx context.Context, s *cluster) (float64, error) {
	if c.Pages == 0 {
		return 0, nil
	}
	begin := s.mark()
	if err := sleep(ctx, c.Wait); err != nil {
		return 0, err
	}
	u := s.since(begin)
	return u.Hub / u.Seconds, nil
}

func (s *cluster) liveHeap(ctx context.Context) float64 {
	return s.sum(ctx, "go_memstats_heap_alloc_bytes", true)
}

// sum returns the sum of a figure of the Go runtime over all nodes; see runtimeFigures.
func (s *cluster) sum(ctx context.Context, figure string, live bool) (sum float64) {
	for _, n := range s.nodes {
		sum += n.runtimeFigures(ctx, live)[figure]
	}
	return sum
}

type nodesScenario struct {
	Counts []int `default:"1,2,4,8" help:"Numbers of nodes."`
	Count  int   `default:"10000" help:"Whole logins at each."`
}

// measure runs the same logins on 1, 2, 4 and 8 nodes. The cost of a login in Redis
// must not grow with the nodes.
func (c *nodesScenario) measure(ctx context.Context, b *bench) ([]result, error) {
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	var all []result
	for _, n := range c.Counts {
		with := *b
		with.Nodes = n
		r, err := (&loginsScenario{Count: c.Count}).measure(ctx, &with)
		if err != nil {
			return nil, err
		}
		all = append(all, r...)
	}
	return all, nil
}

type pollScenario struct {
	Pages int           `default:"10000" help:"Pages that ask."`
	Every time.Duration `default:"2s" help:"How often each asks."`
	For   time.Duration `default:"60s" help:"How long."`
	Rate  int           `default:"20" help:"How many of them are confirmed per second, to see when they learn of it."`
}

// measure lets the pages poll instead of waiting for a push.
func (c *pollScenario) measure(ctx context.Context, b *bench) ([]result, error) {
	s, err := b.start(ctx, b.nodes(1), time.Hour)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if err := b.make(ctx, s, c.Pages); err != nil {
		return nil, err
	}
	confirmed := min(c.Pages, int(float64(c.Rate)*(c.For-c.Every).Seconds()))
	answered := make([]atomic.Int64, c.Pages) // time of the phone's answer, ns
	learned := make([]time.Duration, confirmed)
	var requests atomic.Int64
	begin := s.mark()
	end := time.Now().Add(c.For)
	// One worker per page, and one that confirms.
	err = each(ctx, c.Pages+1, c.Pages+1, func(ctx context.Context, i int) error {
		if i == c.Pages {
			return c.confirmSome(ctx, s, answered, confirmed)
		}
		p := s.waiting[i]
		next := time.Now().Add(time.Duration(i) * c.Every / time.Duration(c.Pages))
		for sleep(ctx, time.Until(next)) == nil && time.Now().Before(end) {
			status, _, _, err := p.target.call(ctx, p.path("poll")+"?after=1&wait=0", "Authorization: Bearer "+p.Secret+"\r\n", "")
			if err != nil {
				return err
			}
			requests.Add(1)
			if at := answered[i].Load(); status == 200 && at > 0 {
				learned[i] = time.Since(time.Unix(0, at))
				return nil
			}
			next = next.Add(c.Every)
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	u := s.since(begin)
	r := result{Scenario: "poll", Nodes: len(s.nodes), Pages: c.Pages}
	r.add(figure{"requests", float64(requests.Load()) / u.Seconds, "/s"})
	r.add(u.per(u.Seconds/60, 1, "CPU-s/min")...)
	r.add(figure{"confirm answered to token, mean", mean(learned).Seconds() * 1000, "ms"})
	r.add(latencies("confirm answered to token", learned)...)
	return []result{r}, nil
}

func (c *pollScenario) confirmSome(ctx context.Context, s *cluster, answered []atomic.Int64, n int) error {
	for i := range n {
		l, _ := s.newLogin(i)
		l.page = s.waiting[i]
		if _, err := l.tell(ctx, "confirm"); err != nil {
			return err
		}
		answered[i].Store(time.Now().UnixNano())
		if err := sleep(ctx, time.Second/time.Duration(c.Rate)); err != nil {
			return err
		}
	}
	return nil
}
