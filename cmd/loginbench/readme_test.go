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

// tiny is each flag's value in a run that only shows that its command works. It
// comes last on the command line and replaces the documented value.
var tiny = map[string]string{"pages": "10", "count": "20", "counts": "1,2", "rate": "50", "for": "500ms", "every": "100ms",
	"rounds": "1", "many": "2", "wait": "100ms"}

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

// TestDocuments_CommandsRun takes the command lines as they stand there,
// makes each small and runs it: a flag or scenario that is renamed, or
// that no longer takes such a value, fails.
func TestDocuments_CommandsRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bench, hub := filepath.Join(dir, "loginbench"), filepath.Join(dir, "loginhub")
	for program, pkg := range map[string]string{bench: "loginhub/cmd/loginbench", hub: "loginhub/cmd/loginhub"} {
		if out, err := exec.Command("go", "build", "-o", program, pkg).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	run := map[string][]string{}
	for _, file := range []string{"cmd/loginbench/README.md", "deploy/RUNBOOK.md", "Taskfile.yml"} {
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
			case "standard": // runs all others, which takes minutes
				continue
			case "peers": // TestScenarios runs it: beside ten others, nchan loses messages
				continue
			}
			for _, f := range k.Selected().Flags { // flags that tiny lacks keep the documented value
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
