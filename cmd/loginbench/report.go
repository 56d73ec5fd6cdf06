package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// figure is one number of a result.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
}

// result is the outcome of one run of a scenario.
type result struct {
	Scenario string   `json:"scenario"`
	Nodes    int      `json:"nodes"`
	Pages    int      `json:"pages"`
	Figures  []figure `json:"figures"`
}

func (r *result) add(f ...figure) { r.Figures = append(r.Figures, f...) }

// report prints results as a table, or as JSON.
func report(out io.Writer, all []result, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(all)
	}
	var text strings.Builder
	for _, r := range all {
		fmt.Fprintf(&text, "\n%s: nodes %d, idle pages %d\n", r.Scenario, r.Nodes, r.Pages)
		for _, f := range r.Figures {
			fmt.Fprintf(&text, "  %-42s%14s  %s\n", f.Name, number(f.Value), f.Unit)
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// number formats v with three significant digits below 1,000, and without a
// fraction above.
func number(v float64) string {
	if v == math.Trunc(v) || math.Abs(v) >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// sleep waits for d. It returns ctx's error if ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
