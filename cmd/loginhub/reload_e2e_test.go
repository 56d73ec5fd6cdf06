package main_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// replaceFile writes a file under another name and renames it, as programs do that replace
// settings.
func replaceFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// waitLog waits until the node has logged the text that many times.
func waitLog(t *testing.T, n *hubtest.Node, times int, text string) {
	t.Helper()
	hubtest.Eventually(t, 20*time.Second, "the log has "+text, func() bool { return strings.Count(n.Log(), text) >= times })
}

// sendSIGHUP sends SIGHUP.
func sendSIGHUP(t *testing.T, n *hubtest.Node) {
	t.Helper()
	if err := n.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

const (
	reloadDone    = `"msg":"reloaded"`
	reloadRefused = `"msg":"reload refused`
)

func TestReload_AllOrNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keys, clients := filepath.Join(dir, "keys"), filepath.Join(dir, "clients.yaml")
	replaceFile(t, keys, hubtest.Key)
	replaceFile(t, clients, "clients: [{id: a, origins: ['https://a.test']}]")
	n := hubtest.StartNode(t, program, "REDIS_URL=embedded", "KEYS=", "KEYS_FILE="+keys, "CLIENTS="+clients)
	ctx := hubtest.Context(t, 60*time.Second)
	makes := func(client string) int {
		a, err := hubtest.Request(ctx, "POST", n.URL+"/api/login/tickets", map[string]string{"client_id": client})
		if err != nil {
			t.Fatal(err)
		}
		return a.Status
	}
	first := publishedKIDs(t, ctx, n.URL)
	// Valid keys with invalid clients: neither is applied.
	replaceFile(t, keys, hubtest.Key+","+hubtest.OtherKey)
	replaceFile(t, clients, "clients:\n  - id: a\n    orgins: [https://a.test]\n")
	sendSIGHUP(t, n)
	waitLog(t, n, 1, reloadRefused)
	if got := publishedKIDs(t, ctx, n.URL); !slices.Equal(got, first) || makes("a") != 201 {
		t.Errorf("a part of the invalid settings is applied: %v", got)
	}
	for _, text := range []string{clients, "line 3", "orgins"} {
		waitLog(t, n, 1, text)
	}
	sendSIGHUP(t, n)
	waitLog(t, n, 2, reloadRefused) // each SIGHUP logs
	replaceFile(t, clients, "clients: [{id: b, origins: ['https://b.test']}]")
	sendSIGHUP(t, n)
	waitLog(t, n, 1, reloadDone)
	if got := publishedKIDs(t, ctx, n.URL); len(got) != 2 || got[0] != first[0] {
		t.Errorf("published %v, before %v", got, first)
	}
	if a, b := makes("a"), makes("b"); a != 400 || b != 201 {
		t.Errorf("the removed client %d, the new one %d", a, b)
	}
	waitLog(t, n, 1, `"clients_added":["b"],"clients_removed":["a"],"keys_added"`)
	replaceFile(t, keys, hubtest.OtherKey+","+hubtest.Key)
	sendSIGHUP(t, n)
	waitLog(t, n, 2, reloadDone)
	if kid := publishedKIDs(t, ctx, n.URL)[0]; strings.Count(n.Stop(t), `"signing_key":"`+kid+`"`) != 1 {
		t.Errorf("the log does not name the new signing key %s once:\n%s", kid, n.Log())
	}
}

// TestReload_SwappedLinks: Kubernetes updates a mounted secret or config map by renaming the link
// ..data, and sends no signal.
func TestReload_SwappedLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mount := func(version, text string) {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		replaceFile(t, filepath.Join(dir, version, "clients.yaml"), text)
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	mount("..1", "clients: [{id: a, origins: ['https://a.test']}]")
	path := filepath.Join(dir, "clients.yaml")
	if err := os.Symlink("..data/clients.yaml", path); err != nil {
		t.Fatal(err)
	}
	n := hubtest.StartNode(t, program, "REDIS_URL=embedded", "CLIENTS="+path)
	mount("..2", "clients: [{id: b, origins: ['https://b.test']}]")
	waitLog(t, n, 1, reloadDone)
	waitLog(t, n, 1, `"clients_added":["b"],"clients_removed":["a"]`)
	waitLog(t, n, 1, `"cause":"file changed"`)
	mount("..3", "clients: [") // is refused once, not at every check
	waitLog(t, n, 1, reloadRefused)
	mount("..4", "clients: [{id: c, origins: ['https://c.test']}]")
	waitLog(t, n, 2, reloadDone)
	if log := n.Stop(t); strings.Count(log, reloadRefused) != 1 {
		t.Errorf("the log:\n%s", log)
	}
}

// TestReload_NoSignalKills: neither SIGHUP at any time nor the signals that end a program by
// default end the node.
func TestReload_NoSignalKills(t *testing.T) {
	t.Parallel()
	n := hubtest.StartNode(t, program, "REDIS_URL=embedded", "DRAIN=1s")
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGVTALRM, syscall.SIGIO, syscall.SIGPIPE, syscall.SIGHUP} {
		if err := n.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	waitLog(t, n, 1, "nothing to reload: no setting names a file")
	if n.Get("/readyz") != 200 {
		t.Errorf("no longer ready:\n%s", n.Log())
	}
	if err := n.Terminate(); err != nil {
		t.Fatal(err)
	}
	waitLog(t, n, 1, `"msg":"draining"`)
	sendSIGHUP(t, n)
	if code, err := n.Wait(15 * time.Second); code != 0 || err != nil {
		t.Errorf("after SIGHUP during the drain the node ended with %d %v", code, err)
	}
}

// TestReload_RollingNodes changes keys, clients and their secrets on two nodes, one after the
// other, during logins. The node that is not updated yet must not refuse a browser or phone of the
// updated node permanently.
func TestReload_RollingNodes(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	ctx := hubtest.Context(t, 90*time.Second)
	var nodes []*hubtest.Node
	var dirs []string
	set := func(i int, keys, clients string) {
		replaceFile(t, filepath.Join(dirs[i], "keys"), keys)
		replaceFile(t, filepath.Join(dirs[i], "clients.yaml"), clients)
	}
	const before, after = "clients: [{id: a, origins: ['https://a.test']}]", "clients: [{id: a, origins: ['https://a.test']}, {id: b, origins: ['https://b.test']}]"
	for i := range 2 {
		dirs = append(dirs, t.TempDir())
		set(i, hubtest.Key, before)
		nodes = append(nodes, hubtest.StartNode(t, program, "REDIS_URL="+redis.URL, "KEYS=", "KEYS_FILE="+filepath.Join(dirs[i], "keys"), "CLIENTS="+filepath.Join(dirs[i], "clients.yaml")))
	}
	reload := func(i, times int, keys, clients string) {
		t.Helper()
		set(i, keys, clients)
		sendSIGHUP(t, nodes[i])
		waitLog(t, nodes[i], times, reloadDone)
	}
	p := mustOpenClient(t, ctx, "a", nodes[0].URL)
	reload(0, 1, hubtest.OtherKey+","+hubtest.Key, after)
	of := mustOpenClient(t, ctx, "b", nodes[0].URL)  // another client, under another key
	own := mustOpenClient(t, ctx, "a", nodes[0].URL) // a known client, under another key
	phone := hubtest.NewPhone("ann")
	for name, page := range map[string]*waiter{"client and key": of, "key": own} {
		for _, action := range []string{"scan", "confirm", "reject"} {
			a, err := phone.Do(ctx, nodes[1].URL, page.ID, action, nil)
			hubtest.AssertRefusal(t, name+": "+action, a, err, 503, "store_unavailable")
		}
	}
	reload(1, 1, hubtest.Key+","+hubtest.OtherKey, before)
	a, err := phone.Do(ctx, nodes[1].URL, of.ID, "scan", nil)
	hubtest.AssertRefusal(t, "client: scan", a, err, 503, "store_unavailable")
	a, err = hubtest.DialRefused(ctx, of.Ticket, nodes[1].URL)
	hubtest.AssertRefusal(t, "client: socket", a, err, 503, "store_unavailable")
	reload(1, 2, hubtest.OtherKey+","+hubtest.Key, after)
	for i, page := range []*waiter{p, of, own} {
		name := fmt.Sprintf("user %d", i)
		mustCall(t, ctx, hubtest.NewPhone(name), nodes[1].URL, page.ID, "scan", "confirm")
		v, err := page.waitToken(ctx, nodes[1].URL, "sandbox:"+name)
		if err != nil {
			t.Fatal(err)
		}
		if err := page.ackAndClose(ctx, v.Seq); err != nil {
			t.Error(err)
		}
	}
	// A removed client's waiter is sent to another node.
	left := mustOpenClient(t, ctx, "b", nodes[0].URL)
	reload(0, 2, hubtest.OtherKey, before)
	if code := left.socket.Closed(ctx); code != 1013 {
		t.Errorf("a removed client's socket was closed with %d", code)
	}
	if err := left.attach(ctx, nodes[1].URL, "pending"); err != nil {
		t.Errorf("on the other node: %v", err)
	}
}

// mustOpenClient opens a socket for a ticket of that client.
func mustOpenClient(t *testing.T, ctx context.Context, client, url string) *waiter {
	t.Helper()
	ticket, err := hubtest.CreateTicket(ctx, url, map[string]string{"client_id": client})
	if err != nil {
		t.Fatal(err)
	}
	p := &waiter{Ticket: ticket}
	if err := p.attach(ctx, url, "pending"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.socket.Conn.CloseNow() })
	return p
}
