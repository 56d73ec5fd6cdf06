package deploytest_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// drills returns the drills by path.
func drills(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../drills/*.sh")
	if err != nil || len(paths) < 8 {
		t.Fatal(paths, err)
	}
	all := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if name := filepath.Base(path); name != "lib.sh" && name != "local.sh" {
			all[path] = string(text)
		}
	}
	return all
}

// TestDrill_Scripts runs each drill on the system that it starts. A drill makes a fault,
// waits for its alert in Prometheus, and runs the runbook's commands; then logins must work.
func TestDrill_Scripts(t *testing.T) {
	t.Parallel()
	wechat := filepath.Join(t.TempDir(), "wechat")
	if out, err := exec.Command("go", "build", "-o", wechat, "loginhub/wechat/wechattest/server").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	slots := make(chan struct{}, 4) // each has two nodes, Redis and Prometheus
	for path := range drills(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".sh"), func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			var ports []string
			for range 8 {
				ports = append(ports, hubtest.FreePort(t))
			}
			ctx, cancel := context.WithTimeout(context.Background(), 7*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "sh", path)
			cmd.Env = append(os.Environ(), "DRILL_SLOWNESS=5", "DRILL_PROGRAM="+program, "DRILL_WECHAT="+wechat, "DRILL_PORTS="+strings.Join(ports, " "), "TMPDIR="+t.TempDir())
			cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it ends what it has started
			cmd.WaitDelay = 10 * time.Second
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}

// undrilled are the alerts whose cause no drill can make.
var undrilled = map[string]bool{
	"LoginhubInternalErrors": true, // a bug
	"LoginhubMemoryPerPage":  true, // more than 5,000 pages
}

// TestRunbook_Drills: a drill carries out each alert and each block of commands of the runbook.
func TestRunbook_Drills(t *testing.T) {
	t.Parallel()
	text := ""
	for _, drill := range drills(t) {
		text += drill
	}
	called := func(function string) (names []string) {
		for _, m := range regexp.MustCompile(`(?m)^\s*`+function+` (\S+)`).FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
	runbook := documents(t)["deploy/RUNBOOK.md"]
	find := func(pattern, text string) (names []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
		slices.Sort(names)
		return names
	}
	rules, err := os.ReadFile("../prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := slices.DeleteFunc(find(`(?m)^ +- alert: (\w+)$`, string(rules)), func(name string) bool { return undrilled[name] })
	if !slices.Equal(called("alert"), want) {
		t.Errorf("the drills raise\n%v\nthe alerts are\n%v", called("alert"), want)
	}
	if want := find("(?m)^<!-- drill: (\\S+) -->\n```sh$", runbook); !slices.Equal(called("runbook"), want) {
		t.Errorf("the drills run the blocks\n%v\nof the runbook's\n%v", called("runbook"), want)
	}
	if plain := find("(?m)(?:^|[^>])\n(```sh)$", runbook); len(plain) != 1 { // the one that sets the names
		t.Errorf("the runbook has %d blocks of commands that no drill runs", len(plain)-1)
	}
}
