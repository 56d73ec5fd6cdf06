package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// tiny is each flag's value in a run that only shows that its command works. Given
// last, it counts in place of what the document says.
var tiny = map[string]string{"pages": "10", "count": "20", "counts": "1,2", "rate": "50", "for": "500ms", "every": "100ms",
	"rounds": "1", "many": "2", "wait": "100ms"}

// span is one piece of code within a line of Markdown; after a command a further
// scenario may stand alone: `loginbench idle`, `poll`.
var span = regexp.MustCompile("(, )?`([^`]+)`")

// documented are the command lines of a document, without the program's name.
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
		args, _, _ = strings.Cut(args, "{{") // what Task puts in
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
			lines = append(lines, args) // of a block
		}
	}
	return lines
}

// TestEveryDocumentedCommandRuns takes the command lines as they stand there,
// makes each small and runs it: a flag or scenario that is renamed, or
// that no longer takes such a value, fails.
func TestEveryDocumentedCommandRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bench, hub := filepath.Join(dir, "loginbench"), filepath.Join(dir, "loginhub")
	for program, pkg := range map[string]string{bench: "loginhub/cmd/loginbench", hub: "loginhub/cmd/loginhub"} {
		if out, err := exec.Command("go", "build", "-o", program, pkg).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	run := map[string][]string{}
	for _, file := range []string{"README.md", "deploy/RUNBOOK.md", "Taskfile.yml"} {
		for _, line := range documented(t, file) {
			parser, err := kong.New(&commands{}, kong.Name("loginbench"))
			if err != nil {
				t.Fatal(err)
			}
			args := strings.Fields(line)
			k, err := parser.Parse(args)
			if err != nil {
				t.Errorf("%s says `loginbench %s`: %v", file, line, err)
				continue
			}
			switch k.Selected().Name {
			case "standard": // all of the others in a row, which takes minutes
				continue
			case "peers": // TestEveryScenarioMeasures runs it: beside ten others, nchan loses messages
				continue
			}
			for _, f := range k.Selected().Flags { // one that tiny does not know stands as it is documented
				if small, ok := tiny[f.Name]; ok {
					args = append(args, "--"+f.Name+"="+small)
				}
			}
			run[line] = args
		}
	}
	if len(run) < 8 {
		t.Errorf("%d commands: is this test blind?", len(run))
	}
	for line, args := range run {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(bench, append(args, "--bin="+hub, "--at-once=8", "--sources=2")...)
			stop := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Signal(os.Interrupt) })
			defer stop.Stop()
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), ": nodes ") {
				t.Errorf("loginbench %v: %v\n%s", args, err, out)
			}
		})
	}
}
