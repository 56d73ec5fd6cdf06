package hubtest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Key is a master key for tests; OtherKey is another.
const (
	Key      = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	OtherKey = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
)

// Build builds the program for tests that start nodes as processes. It uses the race
// detector if the test does. Call it in TestMain; remove deletes the program.
func Build() (program string, remove func(), err error) {
	if given := os.Getenv("LOGINHUB_BIN"); given != "" {
		return given, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "loginhub-test-")
	if err != nil {
		return "", nil, err
	}
	program = filepath.Join(dir, "loginhub")
	args := []string{"build", "-ldflags", "-s -w", "-o", program} // without the debugger's tables, which take half of the link
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "loginhub/cmd/loginhub")...).CombinedOutput()
	if err != nil {
		return "", nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return program, func() { os.RemoveAll(dir) }, nil
}

// readSources lists the module's folders, because another process builds the program. Go
// then repeats a test whose program has changed, and does not take its result from the cache.
var readSources = sync.OnceFunc(func() {
	root := ".."
	for _, err := os.Stat(root + "/go.mod"); err != nil; _, err = os.Stat(root + "/go.mod") {
		root += "/.."
	}
	filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && (d.Name() == "node_modules" || d.Name() == ".git") && d.IsDir() {
			return filepath.SkipDir
		}
		return err
	})
})

// Node is a hub process.
type Node struct {
	process
	URL   string
	Admin string // URL of the admin listener; "" if ADMIN_LISTEN is not set
}

// StartNode starts a node on a free port and waits until it is ready. Settings are
// NAME=VALUE without the prefix LOGINHUB_. They override the defaults for tests: no
// admin listener, no rate limit, and the same public URL and keys for all. The node ends
// with the test, which fails if the race detector reported a race.
func StartNode(t testing.TB, program string, settings ...string) *Node {
	t.Helper()
	n := LaunchNode(t, program, settings...)
	Eventually(t, 20*time.Second, "node is ready", func() bool {
		select {
		case <-n.done:
			t.Fatalf("node ended at once:\n%s", n.Log())
		default:
		}
		return n.Get("/readyz") == http.StatusOK
	})
	return n
}

// LaunchNode is StartNode without waiting.
func LaunchNode(t testing.TB, program string, settings ...string) *Node {
	t.Helper()
	return LaunchWithoutDefaults(t, program, append(nodeDefaults(), settings...)...)
}

func nodeDefaults() []string {
	return []string{"ADMIN_LISTEN=", "RATE_LIMIT=0", "PUBLIC_URL=http://login.test", "KEYS=" + Key, "DRAIN=1s"}
}

// LaunchWithoutDefaults is LaunchNode without the defaults for tests: only the listen
// address and the given settings are set.
func LaunchWithoutDefaults(t testing.TB, program string, settings ...string) *Node {
	t.Helper()
	n := &Node{}
	n.start(t, program, settings)
	return n
}

// LaunchPiped is LaunchNode with a pipe as the node's output. The test may read it or
// not. Log stays empty.
func LaunchPiped(t testing.TB, program string, settings ...string) (n *Node, reader *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	n = &Node{process: process{pipe: writer}}
	n.start(t, program, append(nodeDefaults(), settings...))
	writer.Close()
	return n, reader
}

// start starts the program on a free port and ends it with the test.
func (n *Node) start(t testing.TB, program string, settings []string) {
	t.Helper()
	for _, s := range settings {
		if addr, ok := strings.CutPrefix(s, "ADMIN_LISTEN="); ok && addr != "" {
			n.Admin = "http://" + addr
		}
	}
	readSources()
	addr := "127.0.0.1:" + FreePort(t)
	n.URL = "http://" + addr
	n.run(t, environment(append([]string{"LISTEN=" + addr}, settings...)), program)
	t.Cleanup(func() {
		n.Kill()
		if strings.Contains(n.Log(), "DATA RACE") {
			t.Errorf("data race in a node:\n%s", n.Log())
		}
	})
}

// Run runs a command of the program with the given settings, without defaults. It
// returns the output and the exit code.
func Run(t testing.TB, program string, args []string, settings ...string) (printed string, code int) {
	t.Helper()
	return RunTrusting(t, program, "", args, settings...)
}

// RunTrusting is Run of a program that trusts the authorities of this file; "" means the
// system's.
func RunTrusting(t testing.TB, program, ca string, args []string, settings ...string) (printed string, code int) {
	t.Helper()
	ctx, cancel := WithTimeout(60 * time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = environment(settings)
	if ca != "" {
		cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+ca)
	}
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatalf("run %v: %v", args, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// environment returns the test's environment without LOGINHUB_ variables, plus these
// settings. Those of OpenTelemetry begin with OTEL_.
func environment(settings []string) []string {
	env := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "LOGINHUB_") })
	env = append(env, "GORACE=halt_on_error=1 atexit_sleep_ms=0") // the race detector would sleep a second at every exit
	for _, s := range settings {
		if !strings.HasPrefix(s, "OTEL_") {
			s = "LOGINHUB_" + s
		}
		env = append(env, s)
	}
	return env
}

// Restart starts a node that has ended again, on the same port, and waits until it is
// ready.
func (n *Node) Restart(t testing.TB) {
	t.Helper()
	n.RestartAs(t, n.cmd.Path)
}

// RestartAs is Restart with another program, and with more settings.
func (n *Node) RestartAs(t testing.TB, program string, settings ...string) {
	t.Helper()
	select {
	case <-n.done:
	default:
		t.Fatal("restart node: it still runs; stop it first (Kill, or Terminate and Wait)")
	}
	env := slices.Clone(n.cmd.Env)
	for _, s := range settings {
		env = append(env, "LOGINHUB_"+s)
	}
	n.run(t, env, program)
	Eventually(t, 20*time.Second, "node is ready again", func() bool { return n.Get("/readyz") == http.StatusOK })
}

// Stop sends SIGTERM, which must end the node with exit code 0. It returns all that the
// node has logged: only then the absence or the number of lines is certain.
func (n *Node) Stop(t testing.TB) (log string) {
	t.Helper()
	if err := n.Terminate(); err != nil {
		t.Fatal(err)
	}
	if code, err := n.Wait(60 * time.Second); code != 0 || err != nil {
		t.Errorf("the node ended with %d %v:\n%s", code, err, n.Log())
	}
	return n.Log()
}

// Get returns the status of a GET, or 0 if it failed.
func (n *Node) Get(path string) int {
	client := http.Client{Timeout: 10 * time.Second}
	r, err := client.Get(n.URL + path)
	if err != nil {
		return 0
	}
	io.Copy(io.Discard, r.Body)
	r.Body.Close()
	return r.StatusCode
}

// ID returns the node's id, which is the name of its mailbox. It waits for the line of the
// log that has it.
func (n *Node) ID(t testing.TB) (id string) {
	t.Helper()
	Eventually(t, 20*time.Second, "the node logs its id", func() (found bool) {
		_, rest, _ := strings.Cut(n.Log(), `"node":"`)
		id, _, found = strings.Cut(rest, `"`)
		return found
	})
	return id
}
