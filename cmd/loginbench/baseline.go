package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"loginhub/cmd/loginbench/bare"
)

type floorScenario struct {
	Rounds int           `default:"3" help:"How often each is measured, in turns; the medians count."`
	Pages  int           `default:"10000" help:"Pages that come, and that wait beside the pushes."`
	Count  int           `default:"10000" help:"Whole logins."`
	Many   int           `default:"8" help:"Nodes on which the logins are measured too."`
	Rate   int           `default:"250" help:"Logins per second of the pushes."`
	For    time.Duration `default:"10s" help:"How long they go on."`
}

// measure runs attach, logins and push against the hub and a bare hub of the same
// libraries in turns, so that the ratio does not depend on the machine.
func (c *floorScenario) measure(ctx context.Context, b *bench) ([]result, error) {
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	values := map[string]map[bool][]float64{} // by figure, then true for the hub and false for bare
	var order []figure
	for range c.Rounds {
		for _, one := range []struct {
			name  string
			nodes int
			scenario
		}{
			{"attach", 1, &attachScenario{Pages: c.Pages}},
			{"logins", 1, &loginsScenario{Count: c.Count}},
			{fmt.Sprintf("logins on %d nodes", c.Many), c.Many, &loginsScenario{Count: c.Count}},
			{"push", 2, &pushScenario{Pages: c.Pages, Rate: c.Rate, For: c.For}},
		} {
			for _, ours := range []bool{true, false} {
				r, err := c.one(ctx, b, one.scenario, one.nodes, ours)
				if err != nil {
					return nil, err
				}
				for _, f := range r.Figures {
					name := one.name + ": " + f.Name
					if values[name] == nil {
						values[name] = map[bool][]float64{}
						order = append(order, figure{name, 0, f.Unit})
					}
					values[name][ours] = append(values[name][ours], f.Value)
				}
			}
		}
	}
	ours, floor, ratio := result{Scenario: "ours", Pages: c.Pages}, result{Scenario: "bare", Pages: c.Pages}, result{Scenario: "ours / bare", Pages: c.Pages}
	for _, f := range order {
		v := values[f.Name]
		for of, values := range map[*result][]float64{&ours: v[true], &floor: v[false]} {
			if len(values) > 0 {
				of.add(figure{f.Name, median(values), f.Unit})
			}
		}
		if len(v[true]) > 0 && len(v[false]) > 0 && median(v[false]) > 0 {
			ratio.add(figure{f.Name, median(v[true]) / median(v[false]), "times"})
		}
	}
	return []result{ours, floor, ratio}, nil
}

func (c *floorScenario) one(ctx context.Context, b *bench, s scenario, nodes int, ours bool) (result, error) {
	if ours {
		with := *b
		with.Nodes = nodes
		b = &with
	} else {
		with, stop, err := b.startBare(ctx, nodes)
		if err != nil {
			return result{}, err
		}
		defer stop()
		b = with
	}
	all, err := s.measure(ctx, b)
	if err != nil {
		return result{}, err
	}
	return all[0], nil
}

// bareCommand runs a bare hub, for the floor scenario.
type bareCommand struct {
	Listen string `required:"" help:"Address. Its Redis is --redis."`
}

func (c *bareCommand) measure(ctx context.Context, b *bench) ([]result, error) {
	return nil, bare.Serve(ctx, c.Listen, b.Redis)
}

// startBare starts bare hubs and their Redis. It returns a bench that uses them
// and a function that stops them.
func (b *bench) startBare(ctx context.Context, nodes int) (with *bench, stop func(), err error) {
	s := &cluster{}
	defer func() {
		if err != nil {
			err = s.abandon(err)
		}
	}()
	if s.dir, err = os.MkdirTemp("", "loginbench-"); err != nil {
		return nil, nil, err
	}
	if err := s.startRedis(ctx); err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	copied := *b
	copied.Redis = s.redis
	for range nodes {
		address := s.freePort()
		cmd, err := s.child("bare"+strings.ReplaceAll(address, ":", "-"), self, []string{"bare", "--listen", address, "--redis", s.redis})
		if err != nil {
			return nil, nil, err
		}
		copied.Hub, copied.PID = append(slices.Clip(copied.Hub), "http://"+address), append(slices.Clip(copied.PID), cmd.Process.Pid)
		d, err := newTarget("http://"+address, 0)
		if err != nil {
			return nil, nil, err
		}
		defer d.close()
		if err := until(ctx, func() bool {
			status, _, _, err := d.call(ctx, "/readyz", "", "")
			return err == nil && status == 200
		}); err != nil {
			return nil, nil, err
		}
	}
	return &copied, s.stop, nil
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
