package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

type peersScenario struct {
	pushScenario
	Rounds     int    `default:"3" help:"How often each is measured, in turns; the medians count."`
	Module     string `default:"/usr/lib/nginx/modules/ngx_nchan_module.so" help:"nginx's nchan module (Debian: libnginx-mod-nchan)."`
	Centrifugo string `help:"A centrifugo program (go install github.com/centrifugal/centrifugo/v6@v6.9.1). Default: left out." env:"CENTRIFUGO" placeholder:"PATH"`
}

// relay is a program that passes what is published to a channel on to its WebSockets.
type relay struct {
	name      string
	start     func(ctx context.Context, b *bench) (*cluster, error)
	subscribe func(p *page, ctx context.Context, channel string) error
	publish   func(channel, text string) (path, body string)
	pids      func(s *cluster) []int // of the processes that do the work
}

// measure runs the hub and its peers in turns. The peers relay what is published; the
// hub also reads, checks, exchanges the code, seals, changes and signs.
func (c *peersScenario) measure(ctx context.Context, b *bench) ([]result, error) {
	peers := []relay{nchan(c.Module)}
	if c.Centrifugo != "" {
		peers = append(peers, centrifugo(c.Centrifugo))
	}
	rounds := make([][]result, 1+len(peers)) // by system
	for range c.Rounds {
		all, err := c.pushScenario.measure(ctx, b)
		if err != nil {
			return nil, err
		}
		rounds[0] = append(rounds[0], all...)
		for i, peer := range peers {
			r, err := c.through(ctx, b, peer)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", peer.name, err)
			}
			rounds[i+1] = append(rounds[i+1], r)
		}
	}
	all := make([]result, len(rounds))
	for i, of := range rounds {
		all[i] = medians(of[0].Scenario, of)
	}
	return all, nil
}

// through is push through a relay.
func (c *peersScenario) through(ctx context.Context, b *bench, peer relay) (result, error) {
	r := result{Scenario: "push through " + peer.name, Nodes: 1, Pages: c.Pages}
	s, err := peer.start(ctx, b)
	if err != nil {
		return r, err
	}
	defer s.stop()
	d, pids := s.nodes[0].target, peer.pids(s)
	empty := sum(pids, rss)
	s.waiting = make([]*page, c.Pages)
	if err := each(ctx, c.Pages, b.AtOnce, func(ctx context.Context, i int) error {
		p := &page{target: d}
		s.waiting[i] = p
		if err := peer.subscribe(p, ctx, "idle"+strconv.Itoa(i)); err != nil {
			return err
		}
		p.line.SetDeadline(time.Time{})
		s.readers.Go(func() { p.published() })
		return nil
	}); err != nil {
		return r, err
	}
	full := sum(pids, rss)
	samples := make([]sample, int(float64(c.Rate)*c.For.Seconds()))
	begin := s.mark()
	before := sum(pids, cpu)
	var all sync.WaitGroup
	pace(len(samples), c.Rate, func(i int, at time.Time) func() {
		now := make(chan struct{})
		samples[i].intended, samples[i].login = at, &login{}
		all.Go(func() {
			samples[i].err = peer.pass(ctx, d, "c"+strconv.Itoa(i), samples[i].login, now)
		})
		return func() { close(now) }
	})
	all.Wait()
	u := s.since(begin)
	u.Hub = sum(pids, cpu) - before
	r.add(u.per(float64(len(samples))/1000, 1, "CPU-s/1,000 messages")...)
	r.add(figure{"RSS per page", (full - empty) / float64(c.Pages) / 1024, "KiB"})
	return r, r.addSamples(samples)
}

// pass subscribes one page and publishes a text of a token's length to it.
func (peer relay) pass(ctx context.Context, d *target, channel string, l *login, now <-chan struct{}) error {
	p := &page{target: d}
	defer p.drop()
	err := peer.subscribe(p, ctx, channel)
	<-now
	if err != nil {
		return err
	}
	received := make(chan error, 1)
	go func() { // ends with the message or the connection's deadline
		at, err := p.published()
		l.pushed = at
		received <- err
	}()
	path, body := peer.publish(channel, strings.Repeat("x", 600))
	status, answer, sent, err := d.call(ctx, path, "", body)
	l.sent = sent
	if err != nil || status/100 != 2 {
		p.drop()
		<-received
		return fmt.Errorf("publish: %d %.100s %w", status, answer, err)
	}
	return <-received
}

// published waits for a message that was published, and returns the time of its arrival.
// It answers Centrifugo's own pings, which are empty objects.
func (p *page) published() (time.Time, error) {
	for {
		text, at, err := p.message()
		if err != nil || string(text) != "{}" {
			return at, err
		}
		if _, err := p.line.Write(appendFrame(nil, opText, text)); err != nil {
			return at, err
		}
	}
}

// sum returns the sum of a figure of some processes.
func sum(pids []int, of func(int) float64) (all float64) {
	for _, pid := range pids {
		all += of(pid)
	}
	return all
}
