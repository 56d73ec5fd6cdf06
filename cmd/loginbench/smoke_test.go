package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "bare" { // started by the floor scenario as a bare hub
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// Every scenario runs with nodes and a Redis of its own.
func TestScenarios(t *testing.T) {
	files, err := raiseFileLimit()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{files: files, AtOnce: 8, Sources: 2, Provider: "sandbox", Log: "info"}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel) // after the parallel ones
	if err := b.build(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.after)
	const nchan = "/usr/lib/nginx/modules/ngx_nchan_module.so"
	wechat := *b
	wechat.Provider = "wechat"
	for name, one := range map[string]struct {
		scenario
		figures []string // that must not be zero
	}{
		"peers":  {&peersScenario{pushScenario{Pages: 10, Rate: 50, For: 400 * time.Millisecond}, nchan}, []string{"confirm sent to token p50"}},
		"idle":   {&idleScenario{Pages: 20, For: 200 * time.Millisecond, TicketTTL: time.Hour}, []string{"goroutines per page", "RSS, the program's own share included"}},
		"attach": {&attachScenario{Pages: 20}, []string{"attached"}},
		"storm":  {&stormScenario{Pages: 20}, []string{"all back after", "scripts per page"}},
		"push":   {&pushScenario{Pages: 10, Rate: 50, For: 400 * time.Millisecond}, []string{"confirm due to token p50", "confirm sent to token p99"}},
		"logins": {&loginsScenario{Count: 40, Pages: 10, Wait: 100 * time.Millisecond}, []string{"logins", "scripts per login", "messages per login", "live heap after all"}},
		"floor":  {&floorScenario{Rounds: 1, Pages: 10, Count: 20, Many: 2, Rate: 50, For: 400 * time.Millisecond}, []string{"attach: attached", "logins: logins", "logins on 2 nodes: logins", "push: confirm sent to token p50"}},
		"wechat": {&loginsScenario{Count: 40}, []string{"logins"}},
		"nodes":  {&nodesScenario{Counts: []int{1, 2}, Count: 20}, []string{"logins", "scripts per login"}},
		"poll":   {&pollScenario{Pages: 10, Every: 100 * time.Millisecond, For: 500 * time.Millisecond, Rate: 20}, []string{"requests", "confirm answered to token, mean"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			with := b
			if name == "wechat" {
				with = &wechat
			}
			all, err := one.measure(ctx, with)
			if err != nil {
				t.Fatal(err)
			}
			if name == "floor" {
				const scripts = "logins: scripts per login" // bare has none
				if figureOf(all[0], scripts) <= 0 || figureOf(all[1], scripts) != 0 {
					t.Errorf("ours and bare are not apart: %+v", all)
				}
			}
			for _, r := range all {
				for _, f := range one.figures {
					if figureOf(r, f) <= 0 {
						t.Errorf("%s is %v in %+v", f, figureOf(r, f), r)
					}
				}
				if lost := figureOf(r, "pages lost") + figureOf(r, "failed") + figureOf(r, "push: failed"); lost > 0 {
					t.Errorf("lost %v", lost)
				}
			}
		})
	}
}

func figureOf(r result, name string) float64 {
	for _, f := range r.Figures {
		if f.Name == name {
			return f.Value
		}
	}
	return 0
}

func TestReport_Formats(t *testing.T) {
	all := []result{{Scenario: "push", Nodes: 2, Figures: []figure{{"p50", 0.51234, "ms"}}}}
	var table, machine bytes.Buffer
	if err := report(&table, all, false); err != nil || !strings.Contains(table.String(), "0.512  ms") {
		t.Errorf("%v: %s", err, table.String())
	}
	var back []result
	if err := report(&machine, all, true); err != nil || json.Unmarshal(machine.Bytes(), &back) != nil || back[0].Figures[0].Value != 0.51234 {
		t.Errorf("%v: %s", err, machine.String())
	}
}
