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

// checkTimeout bounds all of `loginhub check` but the socket that --hold holds.
const checkTimeout = 30 * time.Second

// checkCmd is `loginhub check`: the settings that a node would take, tried
// against the world. It makes tickets of its own, which expire, and changes
// nothing else. Run it where a node runs, with a node's settings, while nodes
// run.
type checkCmd struct {
	Hold time.Duration `env:"-" help:"Hold the socket through the proxy so long, to see that nothing on the way cuts it: 70s is more than an idle limit of 60s." placeholder:"DURATION"`
}

// A grade says whether something has to be mended.
type severity string

const (
	severityOK   severity = "ok"
	severityWarn severity = "warn" // works, or cannot be told; better to look
	severityFail severity = "FAIL" // has to be mended
)

// finding is one line.
type finding struct {
	severity severity
	subject  string // redis, wechat, public URL, …
	text     string // what was found, and how to mend it; never a secret
}

// checker collects the findings of one part, in their order.
type checker struct {
	set      *settings
	hold     time.Duration
	findings []finding
}

func (e *checker) add(g severity, what, format string, args ...any) {
	e.findings = append(e.findings, finding{g, what, fmt.Sprintf(format, args...)})
}

// addResult notes what err says, with the way to mend it, or that it went well. It
// reports whether it did.
func (e *checker) addResult(what string, err error, well, mend string) bool {
	if err != nil {
		e.add(severityFail, what, "%v%s", err, ifElse(mend != "", "; "+mend, ""))
		return false
	}
	e.add(severityOK, what, "%s", well)
	return true
}

// Run examines everything and is an error where something has to be mended. A
// configuration that no node would start with is one as it is for `serve`.
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

// run runs the parts at once. The public URL is looked at with the Redis in
// hand, which tells what the hub has written.
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

// printFindings prints the findings, one a line, and is an error where one is wrong.
func printFindings(out io.Writer, found []finding) error {
	broken := 0
	for _, f := range found {
		if f.severity == severityFail {
			broken++
		}
		text := strings.Join(strings.Fields(f.text), " ") // one line, whatever an error holds
		if _, err := fmt.Fprintf(out, "%-4s  %-16s %s\n", f.severity, f.subject, text); err != nil {
			return fmt.Errorf("check: %w", err)
		}
	}
	if broken > 0 {
		return fmt.Errorf("%d to mend", broken)
	}
	return nil
}

// errNoAnswer is what remains where a part's time is over.
var errNoAnswer = errors.New("no answer in time")

// timeoutError says of a context's end what it means.
func timeoutError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errNoAnswer
	}
	return err
}
