package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "bare" { // started by the floor scenario as a bare hub
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// tiny is each flag's value in a run that only shows that its command works. It
// comes last on the command line and replaces the documented value.
var tiny = map[string]string{"pages": "10", "count": "20", "counts": "1,2", "rate": "50", "for": "500ms", "every": "100ms",
	"rounds": "1", "many": "2", "wait": "100ms", "shapes": "3", "geoip": "../../api/geoip/testdata/city.mmdb"}

// figures are, by scenario, those that must not be zero.
var figures = map[string][]string{
	"peers":   {"confirm sent to token p50"},
	"idle":    {"RSS, the program's own share included"},
	"attach":  {"attached"},
	"storm":   {"all back after", "scripts per page"},
	"push":    {"confirm due to token p50", "confirm sent to token p99"},
	"logins":  {"logins"},
	"floor":   {"attach: attached", "logins: logins", "logins on 2 nodes: logins", "push: confirm sent to token p50"},
	"bus":     {"logins"},
	"nodes":   {"logins", "scripts per login", "live heap after all"},
	"oauth":   {"logins", "confirm sent to token p50", "scripts per login"},
	"options": {"Redis commands per login", "hub allocations per login"},
	"devices": {"confirm sent to token, mean"},
	"poll":    {"requests", "confirm answered to token, mean"},
}

// span matches inline code in Markdown. After a command, a scenario may follow
// alone: `loginbench idle`, `poll`.
var span = regexp.MustCompile("(, )?`([^`]+)`")

// documented returns the command lines of a document, without the program's name.
func documented(t *testing.T, file string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile("../../" + file)
	if err != nil {
		t.Fatal(err)
	}
	line := func(words string) (args string, ours bool) {
		for _, program := range []string{"loginbench", "go run ./cmd/loginbench"} {
			if args, ours = strings.CutPrefix(words+" ", program+" "); ours {
				break
			}
		}
		args, _, _ = strings.Cut(args, "{{") // Task's template
		return strings.TrimSpace(args), ours && args != "SCENARIO "
	}
	for row := range strings.Lines(string(text)) {
		after := false
		for _, m := range span.FindAllStringSubmatch(row, -1) {
			args, ours := line(m[2])
			if more := after && m[1] != "" && !strings.Contains(m[2], "/"); more {
				args, ours = m[2], true
			}
			if after = ours; ours {
				lines = append(lines, args)
			}
		}
		if args, ours := line(strings.TrimPrefix(strings.TrimSpace(row), "- ")); ours {
			lines = append(lines, args) // in a code block
		}
	}
	return lines
}

// TestScenarios runs the command lines of the documents, each made small, with nodes and
// a Redis of its own: a flag or scenario that is renamed, or that no longer takes such a
// value, fails.
func TestScenarios(t *testing.T) {
	hub := filepath.Join(t.TempDir(), "loginhub") // without the race detector
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", hub, "loginhub/cmd/loginhub")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as in the image: one cache serves both
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	files, err := raiseFileLimit()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("allocations", func(t *testing.T) { checkAllocations(t, hub, files) })
	t.Run("bytes of a page", func(t *testing.T) { checkPage(t, hub, files) })
	lines := []string{"attach", "logins --provider wechat"}
	for _, file := range []string{"cmd/loginbench/README.md", "deploy/RUNBOOK.md", "Taskfile.yml"} {
		lines = append(lines, documented(t, file)...)
	}
	slices.Sort(lines)
	ran, same := map[string]bool{}, map[string]bool{}
	for _, line := range slices.Compact(lines) {
		var cli commands
		parser, err := kong.New(&cli, kong.Name("loginbench"))
		if err != nil {
			t.Fatal(err)
		}
		args := strings.Fields(line)
		k, err := parser.Parse(args)
		if err != nil {
			t.Errorf("the documents say `loginbench %s`: %v", line, err)
			continue
		}
		name := k.Selected().Name
		if name == "standard" { // runs the others
			continue
		}
		for _, f := range k.Selected().Flags { // flags that tiny lacks keep the documented value
			if small, ok := tiny[f.Name]; ok {
				args = append(args, "--"+f.Name+"="+small)
			}
		}
		if k, err = parser.Parse(append(args, "--bin="+hub, "--at-once=8", "--sources=2")); err != nil {
			t.Fatal(err)
		}
		run := fmt.Sprintf("%s %+v %+v", name, k.Selected().Target, cli.bench)
		if same[run] { // another line that differs only in what tiny replaces
			continue
		}
		same[run], ran[name], cli.files = true, true, files
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			checkScenario(t, name, k.Selected().Target.Addr().Interface().(scenario), &cli.bench)
		})
	}
	if len(ran) != len(figures) {
		t.Errorf("ran %v", ran)
	}
}

// maxAllocations is the most that a node may allocate for a login, in objects. The number
// is the same on every machine, up to a hundredth. Lower it with every saving.
const maxAllocations = 435

func checkAllocations(t *testing.T, hub string, files uint64) {
	all, err := (&loginsScenario{Count: 1000}).measure(t.Context(), &bench{Provider: "sandbox", Bin: hub, AtOnce: 1, Log: "info", files: files})
	if err != nil {
		t.Fatal(err)
	}
	if n := figureOf(all[0], "hub allocations per login"); n <= 0 || n > maxAllocations {
		t.Errorf("%.0f allocations for a login, wanted at most %d", n, maxAllocations)
	} else {
		t.Logf("%.0f allocations for a login", n)
	}
}

// checkPage: a waiting page costs no goroutine and no more memory than README.md says.
// The limits are 30 % above what was measured.
func checkPage(t *testing.T, hub string, files uint64) {
	idle := &idleScenario{Pages: 3000, For: time.Second, TicketTTL: time.Hour}
	all, err := idle.measure(t.Context(), &bench{Provider: "sandbox", Bin: hub, AtOnce: 8, Sources: 2, Log: "info", files: files})
	if err != nil {
		t.Fatal(err)
	}
	for name, limit := range map[string]float64{"live heap per page": 1.9, "stack per page": 0.4, "goroutines per page": 0.05, "pages lost": 0} {
		if got := figureOf(all[0], name); got > limit {
			t.Errorf("%s: %.3g, wanted at most %v", name, got, limit)
		} else {
			t.Logf("%s: %.3g", name, got)
		}
	}
}

func checkScenario(t *testing.T, name string, s scenario, b *bench) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	all, err := s.measure(ctx, b)
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
		for _, f := range figures[name] {
			if figureOf(r, f) <= 0 {
				t.Errorf("%s is %v in %+v", f, figureOf(r, f), r)
			}
		}
		if lost := figureOf(r, "pages lost") + figureOf(r, "failed") + figureOf(r, "push: failed"); lost > 0 {
			t.Errorf("lost %v", lost)
		}
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

// TestPeers_AnswersPings answers the pings of Centrifugo, whose client must.
func TestPeers_AnswersPings(t *testing.T) {
	server, browser := net.Pipe()
	defer server.Close()
	p := &page{line: &conn{Conn: browser, r: bufio.NewReader(browser)}}
	defer browser.Close()
	answered := make(chan byte, 1)
	go func() {
		server.Write([]byte{0x80 | opText, 2, '{', '}'})
		answer := make([]byte, 8) // masked
		io.ReadFull(server, answer)
		answered <- answer[6] ^ answer[2]
		server.Write([]byte{0x80 | opText, 1, 'x'})
	}()
	if _, err := p.published(); err != nil || <-answered != '{' {
		t.Errorf("published: %v", err)
	}
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
