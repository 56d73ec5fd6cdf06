package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"time"

	"loginhub/hub/provider"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

// Settings are the values of a node's settings that the checks need. All are fixed.
type Settings struct {
	PublicURL string         // origin of the public URL; "" if none is set
	Local     bool           // the public URL's host is this machine or in a private network
	Proxies   []netip.Prefix // LOGINHUB_TRUSTED_PROXIES
	ClientID  string         // client of the created tickets; "" for the default client
	Keys      []string       // ids of the master keys

	Embedded    bool   // no Redis server
	RedisPrefix string // without a colon
	RedisWait   int    // replicas that must have a confirm
	Records     *ticket.Keyring
	Secrets     *redisstore.SecretKeyring

	VerifyFile     [2]string // name and text of WeChat's verification file; "" if none
	NeedVerifyFile bool      // a mini-program is opened by an ordinary link

	Providers []Provider
	Warnings  []string // of the settings; those of a client begin with "client "
}

// Provider is a configured provider with the environment of its check.
type Provider struct {
	Config provider.Config
	Env    provider.Env
}

// checker collects the findings of one part, in order.
type checker struct {
	set      *Settings
	hold     time.Duration
	findings []provider.Finding
}

func (e *checker) add(g provider.Severity, what, format string, args ...any) {
	e.findings = append(e.findings, provider.Finding{Severity: g, Subject: what, Text: fmt.Sprintf(format, args...)})
}

// addResult adds err with the hint as a failure, or the text success if err is nil. It
// reports whether err is nil.
func (e *checker) addResult(what string, err error, success, hint string) bool {
	if err != nil {
		e.add(provider.Fail, what, "%v%s", err, ifElse(hint != "", "; "+hint, ""))
		return false
	}
	e.add(provider.OK, what, "%s", success)
	return true
}

// Run tests the settings against Redis, the public URL and the providers at the same
// time. It creates tickets of its own, which expire, and changes nothing else. hold is
// how long a WebSocket is kept open. The check of the public URL uses the store to read
// what the nodes have written.
func Run(ctx context.Context, set *Settings, store *redisstore.Store, hold time.Duration) []provider.Finding {
	parts := []*checker{{set: set}, {set: set, hold: hold}, {set: set}}
	var all sync.WaitGroup
	all.Go(func() { parts[0].checkRedis(ctx, store) })
	all.Go(func() { parts[1].checkPublic(ctx, store) })
	all.Go(func() { parts[2].checkProviders(ctx) })
	all.Wait()
	found := []provider.Finding{{Severity: provider.OK, Subject: "settings", Text: "a node would start with them"}}
	for _, text := range set.Warnings {
		part := "settings"
		if strings.HasPrefix(text, "client ") {
			part = "clients"
		}
		found = append(found, provider.Finding{Severity: provider.Warn, Subject: part, Text: text})
	}
	for _, p := range parts {
		found = append(found, p.findings...)
	}
	return found
}

// Print prints one finding a line. It returns an error if one is a failure.
func Print(out io.Writer, found []provider.Finding) error {
	broken := 0
	for _, f := range found {
		if f.Severity == provider.Fail {
			broken++
		}
		text := strings.Join(strings.Fields(f.Text), " ") // an error may have several lines
		if _, err := fmt.Fprintf(out, "%-4s  %-16s %s\n", f.Severity, f.Subject, text); err != nil {
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
