package main

import (
	"context"
	"time"
)

type idleScenario struct {
	Pages     int           `default:"10000" help:"Waiting pages."`
	For       time.Duration `default:"60s" help:"How long they wait while it is measured."`
	TicketTTL time.Duration `name:"ticket-ttl" default:"1h" help:"Time to scan, of the nodes that are started; 2m adds what the renewal of tickets costs."`
}

// measure holds idle pages and measures their memory and CPU.
func (c *idleScenario) measure(ctx context.Context, b *bench) ([]result, error) {
	s, err := b.start(ctx, b.nodes(1), c.TicketTTL)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	empty, kernel, liveBefore := s.memory(ctx), sockets(), s.liveHeap(ctx)
	if err := b.idlePages(ctx, s, c.Pages); err != nil {
		return nil, err
	}
	if err := sleep(ctx, min(5*time.Second, c.For)); err != nil {
		return nil, err
	}
	begin := s.mark()
	views, renewed := s.lost.views.Load(), s.lost.renewed.Load()
	if err := sleep(ctx, c.For); err != nil {
		return nil, err
	}
	u := s.since(begin)
	full, pages := s.memory(ctx), float64(c.Pages)
	kib := func(after, before float64) float64 { return (after - before) / pages / 1024 }
	r := result{Scenario: "idle", Nodes: len(s.nodes), Pages: c.Pages, Figures: []figure{
		{"RSS per page", kib(full.rss, empty.rss), "KiB"},
		{"RSS, the program's own share included", kib(full.rss, 0), "KiB/page"},
		{"heap in use per page", kib(full.heap, empty.heap), "KiB"},
		{"live heap per page", kib(s.liveHeap(ctx), liveBefore), "KiB"},
		{"stack per page", kib(full.stack, empty.stack), "KiB"},
		{"goroutines per page", (full.goroutines - empty.goroutines) / pages, ""},
		{"kernel socket memory per page, both ends", kib(sockets(), kernel), "KiB"},
	}}
	r.add(u.per(u.Seconds/60, 1, "CPU-s/min")...)
	r.add(figure{"scripts", float64(u.Commands) / u.Seconds, "/s"},
		figure{"views", float64(s.lost.views.Load()-views) / u.Seconds, "/s"},
		figure{"tickets renewed", float64(s.lost.renewed.Load()-renewed) / u.Seconds, "/s"},
		figure{"pages lost", float64(s.lost.dropped.Load()), ""})
	return []result{r}, nil
}

// memory is the sum over all nodes, in bytes.
type memory struct{ rss, heap, stack, goroutines float64 }

func (s *cluster) memory(ctx context.Context) (m memory) {
	for _, n := range s.nodes {
		m.rss += rss(n.pid)
		f := n.runtimeFigures(ctx, false)
		m.heap += f["go_memstats_heap_inuse_bytes"]
		m.stack += f["go_memstats_stack_inuse_bytes"]
		m.goroutines += f["go_goroutines"]
	}
	return m
}

type attachScenario struct {
	Pages int `default:"10000" help:"Pages that come."`
}

// measure attaches pages, 64 at a time, and measures the CPU.
func (c *attachScenario) measure(ctx context.Context, b *bench) ([]result, error) {
	s, err := b.start(ctx, b.nodes(1), time.Hour)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	begin := s.mark()
	if err := b.make(ctx, s, c.Pages); err != nil {
		return nil, err
	}
	made := s.since(begin)
	begin = s.mark()
	if err := b.attach(ctx, s); err != nil {
		return nil, err
	}
	u, pages := s.since(begin), float64(c.Pages)
	r := result{Scenario: "attach", Nodes: len(s.nodes), Pages: c.Pages}
	r.add(u.per(pages, 1e6, "µs")...)
	r.add(figure{"attached", pages / u.Seconds, "/s"}, figure{"hub CPU to make a ticket", 1e6 * made.Hub / pages, "µs"})
	return []result{r}, nil
}

type stormScenario struct {
	Pages int `default:"10000" help:"Pages that are cut off at once."`
}

// measure closes all pages' connections. They reconnect at once, without the
// jitter of real pages.
func (c *stormScenario) measure(ctx context.Context, b *bench) ([]result, error) {
	s, err := b.start(ctx, b.nodes(1), time.Hour)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if err := b.idlePages(ctx, s, c.Pages); err != nil {
		return nil, err
	}
	begin := s.mark()
	s.dropAll()
	dropped := time.Since(begin.at)
	if err := b.attach(ctx, s); err != nil {
		return nil, err
	}
	u := s.since(begin)
	r := result{Scenario: "storm", Nodes: len(s.nodes), Pages: c.Pages, Figures: []figure{
		{"all dropped after", dropped.Seconds(), "s"},
		{"all back after", u.Seconds, "s"},
		{"scripts per page", float64(u.Commands) / float64(c.Pages), ""},
	}}
	r.add(u.per(float64(c.Pages), 1e6, "µs/page")...)
	return []result{r}, nil
}
