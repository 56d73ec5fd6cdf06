package main_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// startPiped is a ready node whose output is a pipe.
func startPiped(t *testing.T, settings ...string) (*hubtest.Node, *os.File) {
	t.Helper()
	n, reader := hubtest.LaunchPiped(t, program, settings...)
	hubtest.Eventually(t, 20*time.Second, "the node is ready", func() bool { return n.Get("/readyz") == 200 })
	return n, reader
}

// pipeLines is more audit lines than a pipe of 64 KiB contains.
const pipeLines = 600

func TestLog_StoppedReader(t *testing.T) {
	t.Parallel()
	n, _ := startPiped(t, "ADMIN_LISTEN=127.0.0.1:"+hubtest.FreePort(t)) // the pipe is never read
	ctx := hubtest.Context(t, 60*time.Second)
	for range pipeLines {
		hubtest.MustCreateTicket(t, ctx, n.URL)
	}
	if err := login(ctx, "stalled log", n.URL); err != nil {
		t.Error(err)
	}
	hubtest.Eventually(t, 5*time.Second, "the metrics show the stalled log", func() bool {
		m := scrape(t, n)
		return m[`loginhub_log_stalled{stream="audit"}`] == 1 && m[`loginhub_log_lines_queued{stream="log"}`] > 100
	})
	if n.Get("/readyz") != 200 {
		t.Error("not ready, although the audit is not required")
	}
	n.Stop(t)
}

func TestLog_ClosedReader(t *testing.T) {
	t.Parallel()
	n, reader := startPiped(t)
	ctx := hubtest.Context(t, 30*time.Second)
	p := mustOpenWaiter(t, ctx, n.URL, n.URL)
	reader.Close()
	if err := login(ctx, "broken pipe", n.URL); err != nil {
		t.Error(err)
	}
	if err := n.Terminate(); err != nil {
		t.Fatal(err)
	}
	if code := p.socket.Closed(ctx); code != 1012 {
		t.Errorf("the socket was closed with %d, not drained", code)
	}
	if code, err := n.Wait(10 * time.Second); code != 0 || err != nil {
		t.Errorf("the node ended with %d %v", code, err)
	}
}

func TestLog_AuditRequired(t *testing.T) {
	t.Parallel()
	n, reader := startPiped(t, "AUDIT_REQUIRED=true")
	ctx := hubtest.Context(t, 60*time.Second)
	made := map[string]bool{} // key: the ticket's short name
	var refusal *hubtest.Response
	hubtest.Eventually(t, 30*time.Second, "a ticket is refused", func() bool {
		a, err := hubtest.Request(ctx, "POST", n.URL+"/api/login/tickets", nil)
		if err != nil {
			t.Fatal(err)
		}
		refusal = a
		if a.Status != 201 {
			return true
		}
		var ticket hubtest.Ticket
		if err := a.Decode(201, &ticket); err != nil {
			t.Fatal(err)
		}
		made[ticket.ID[:8]] = true
		return false
	})
	hubtest.AssertRefusal(t, "a ticket", refusal, nil, 503, "overloaded")
	if refusal.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if n.Get("/readyz") != 503 {
		t.Error("ready, although calls are refused")
	}

	lines := bufio.NewReader(reader)
	read := make(chan int, 1)
	go func() { // reads the log again, which must have a line for every ticket
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				read <- len(made)
				return
			}
			var l struct {
				Audit struct{ Event, Ticket string }
			}
			if json.Unmarshal(line, &l) == nil && l.Audit.Event == "made" {
				delete(made, l.Audit.Ticket)
			}
		}
	}()
	hubtest.Eventually(t, 10*time.Second, "the node is ready again", func() bool { return n.Get("/readyz") == 200 })
	if err := login(ctx, "read again", n.URL); err != nil {
		t.Error(err)
	}
	n.Stop(t)
	if missing := <-read; missing > 0 {
		t.Errorf("%d tickets were created without an audit line", missing)
	}
}

func TestLog_AuditFileAtAnyLevel(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	n := hubtest.LaunchNode(t, program, "LOG=error", "AUDIT_FILE="+path)
	hubtest.Eventually(t, 20*time.Second, "the node is ready", func() bool { return n.Get("/readyz") == 200 })
	ctx := hubtest.Context(t, 30*time.Second)
	contains := func(path string, texts ...string) func() bool {
		return func() bool {
			text, _ := os.ReadFile(path)
			for _, want := range texts {
				if !strings.Contains(string(text), want) {
					return false
				}
			}
			return true
		}
	}
	if err := login(ctx, "first", n.URL); err != nil {
		t.Fatal(err)
	}
	hubtest.Eventually(t, 10*time.Second, "the file has the login", contains(path, `"login made"`, `"login scanned"`, `"login confirmed"`,
		`"login delivered"`, `"receiver":"127.0.0.1"`, `"login consumed"`))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	hubtest.Eventually(t, 10*time.Second, "a new file replaces the moved one", func() bool {
		hubtest.MustCreateTicket(t, ctx, n.URL)
		return contains(path, `"login made"`)()
	})
	if log := n.Stop(t); strings.Contains(log, "login made") {
		t.Errorf("the log contains audit lines:\n%s", log)
	}
}

// TestLog_AuditChain: the chain continues over a rotation and a restart. Any change is found.
func TestLog_AuditChain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, keys := filepath.Join(dir, "audit.log"), filepath.Join(dir, "jwks.json")
	n := hubtest.LaunchNode(t, program, "REDIS_URL=embedded", "KEYS="+hubtest.Key, "AUDIT_FILE="+path, "AUDIT_CHAIN=true")
	hubtest.Eventually(t, 20*time.Second, "the node is ready", func() bool { return n.Get("/readyz") == 200 })
	ctx := hubtest.Context(t, 60*time.Second)
	if err := login(ctx, "before the rotation", n.URL); err != nil {
		t.Fatal(err)
	}
	n.Stop(t)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	n.Restart(t)
	hubtest.Eventually(t, 20*time.Second, "the node is ready again", func() bool { return n.Get("/readyz") == 200 })
	if err := login(ctx, "after the rotation", n.URL); err != nil {
		t.Fatal(err)
	}
	published, err := hubtest.Request(ctx, "GET", n.URL+"/.well-known/jwks.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	replaceFile(t, keys, string(published.Body))
	n.Stop(t)
	for _, c := range []struct {
		exit int
		want string
		args []string
	}{
		{0, "\nok\n", []string{path + ".1", path, "--jwks", keys}},
		{1, "lines are missing", []string{path, path + ".1", "--jwks", keys}},
		{2, "--jwks PATH", []string{path}}, // no keys
	} {
		if out, exit := hubtest.Run(t, program, append([]string{"audit", "verify"}, c.args...)); exit != c.exit || !strings.Contains(out, c.want) {
			t.Errorf("%q: exit %d\n%s", c.args, exit, out)
		}
	}
	replaceFile(t, path, strings.Replace(readFile(t, path), "after the rotation", "other", 1))
	if out, exit := hubtest.Run(t, program, []string{"audit", "verify", path, "--jwks", keys}); exit != 1 || !strings.Contains(out, "the line before was changed") {
		t.Errorf("a changed line: exit %d\n%s", exit, out)
	}
}

func TestLog_OutageRateLimited(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 1)
	n := nodes[0]
	redis.Kill()
	began, ctx := time.Now(), hubtest.Context(t, 120*time.Second)
	hubtest.Eventually(t, 20*time.Second, "the node is not ready", func() bool { return n.Get("/readyz") == 503 })
	for range 20 {
		a, err := hubtest.Request(ctx, "POST", n.URL+"/api/login/tickets", nil)
		hubtest.AssertRefusal(t, "a ticket", a, err, 503, "store_unavailable")
		n.Get("/readyz")
	}
	redis.Start(t)
	hubtest.Eventually(t, 20*time.Second, "the node is ready", func() bool { return n.Get("/readyz") == 200 })
	log, repeats := n.Stop(t), int(time.Since(began)/(30*time.Second)) // a line may be repeated after 30 seconds
	for message, most := range map[string]int{"mailbox subscription lost": 2, "request refused": 2, `"msg":"not ready"`: 1, `"msg":"draining"`: 1, `"msg":"stopped"`: 1} {
		// The second line is written when the outage ends, with the count of suppressed lines.
		if got := strings.Count(log, message); got < 1 || got > most+repeats {
			t.Errorf("%d lines of %s:\n%s", got, message, log)
		}
	}
	if got := strings.Count(log, `"msg":"ready"`); got != 2 {
		t.Errorf("%d lines with ready:\n%s", got, log)
	}
	if !strings.Contains(log, `"repeated":`) {
		t.Errorf("no count of repeated lines:\n%s", log)
	}
}
