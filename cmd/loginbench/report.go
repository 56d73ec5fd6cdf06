package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/term"
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

// bar shows progress on a terminal. A nil bar shows nothing.
type bar struct {
	name  string
	total int64
	done  atomic.Int64
}

// bar returns a progress bar, or nil if the output is not a terminal.
func (b *bench) bar(name string, total int) *bar {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return nil
	}
	return &bar{name: name, total: int64(total)}
}

// add advances the bar and draws every hundredth.
func (b *bar) add(n int64) {
	if b == nil || b.total == 0 {
		return
	}
	const width = 40
	done := b.done.Add(n)
	if done*100/b.total == (done-n)*100/b.total {
		return
	}
	full := int(done * width / b.total)
	fmt.Fprintf(os.Stderr, "\r\033[K%-14s [%s%s] %d/%d", b.name, strings.Repeat("=", full), strings.Repeat(" ", width-full), done, b.total)
	if done == b.total {
		fmt.Fprint(os.Stderr, "\r\033[K")
	}
}

// sleep waits for d and shows a bar.
func (b *bench) sleep(ctx context.Context, name string, d time.Duration) error {
	const steps = 100
	bar := b.bar(name, steps)
	for range steps {
		if err := sleep(ctx, d/steps); err != nil {
			return err
		}
		bar.add(1)
	}
	return nil
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
