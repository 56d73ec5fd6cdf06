package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"loginhub/hub/redisstore"
)

// checkTimeout bounds `loginhub check`, except the time for which --hold keeps the
// socket open.
const checkTimeout = 30 * time.Second

// checkCmd is `loginhub check`. It tests the settings of a node against Redis, the
// providers and the public URL. It creates tickets of its own, which expire, and
// changes nothing else. Run it on a node's machine, with the node's settings, while
// the nodes run.
type checkCmd struct {
	Hold time.Duration `env:"-" help:"How long to keep the WebSocket through the proxy open. 70s detects an idle timeout of 60s." placeholder:"DURATION"`
}

// severity says whether a finding needs a change.
type severity string

const (
	severityOK   severity = "ok"
	severityWarn severity = "warn" // works, or is not known; look at it
	severityFail severity = "FAIL" // needs a change
)

// finding is one line of the output.
type finding struct {
	severity severity
	subject  string // redis, wechat, public URL, …
	text     string // what was found and what to do; never a secret
}

// checker collects the findings of one part, in order.
type checker struct {
	set      *settings
	hold     time.Duration
	findings []finding
}

func (e *checker) add(g severity, what, format string, args ...any) {
	e.findings = append(e.findings, finding{g, what, fmt.Sprintf(format, args...)})
}

// addResult adds err with the hint as a failure, or the text success if err is nil. It
// reports whether err is nil.
func (e *checker) addResult(what string, err error, success, hint string) bool {
	if err != nil {
		e.add(severityFail, what, "%v%s", err, ifElse(hint != "", "; "+hint, ""))
		return false
	}
	e.add(severityOK, what, "%s", success)
	return true
}

// Run runs all checks. It returns an error if a finding is a failure, and a
// usageError if the settings are invalid, as `serve` does.
func (k checkCmd) Run(c *Config) error {
	set, err := c.load()
	if err != nil {
		return &usageError{err}
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout+k.Hold)
	defer cancel()
	store, err := openStore(set)
	if err != nil {
		return &usageError{err}
	}
	defer store.Close()
	return printFindings(os.Stdout, k.run(ctx, set, store))
}

// run runs the three parts at the same time. The check of the public URL uses the
// store to read what the nodes have written.
func (k checkCmd) run(ctx context.Context, set *settings, store *redisstore.Store) []finding {
	parts := []*checker{{set: set}, {set: set, hold: k.Hold}, {set: set}}
	var all sync.WaitGroup
	all.Go(func() { parts[0].checkRedis(ctx, store) })
	all.Go(func() { parts[1].checkPublic(ctx, store) })
	all.Go(func() { parts[2].checkProviders(ctx) })
	all.Wait()
	found := []finding{{severityOK, "settings", "a node would start with them"}}
	for _, text := range set.warnings(time.Now()) {
		part := "settings"
		if strings.HasPrefix(text, "client ") {
			part = "clients"
		}
		found = append(found, finding{severityWarn, part, text})
	}
	for _, p := range parts {
		found = append(found, p.findings...)
	}
	return found
}

// printFindings prints one finding a line. It returns an error if one is a failure.
func printFindings(out io.Writer, found []finding) error {
	broken := 0
	for _, f := range found {
		if f.severity == severityFail {
			broken++
		}
		text := strings.Join(strings.Fields(f.text), " ") // an error may have several lines
		if _, err := fmt.Fprintf(out, "%-4s  %-16s %s\n", f.severity, f.subject, text); err != nil {
			return fmt.Errorf("check: %w", err)
		}
	}
	if broken > 0 {
		return fmt.Errorf("%d checks failed", broken)
	}
	return nil
}

// errNoAnswer replaces the error of a context whose time is over.
var errNoAnswer = errors.New("no answer in time")

// timeoutError replaces context.DeadlineExceeded by errNoAnswer.
func timeoutError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errNoAnswer
	}
	return err
}
