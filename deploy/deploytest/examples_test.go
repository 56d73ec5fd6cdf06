package deploytest_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// sandboxHub is a node in sandbox mode at the URL that its tokens name.
func sandboxHub(t *testing.T, settings ...string) (hub string) {
	t.Helper()
	var node *hubtest.Node
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, err := url.Parse(node.URL)
		if err != nil {
			t.Error(err)
		}
		httputil.NewSingleHostReverseProxy(to).ServeHTTP(w, r)
	}))
	t.Cleanup(door.Close)
	node = hubtest.StartNode(t, program, append(settings, "PUBLIC_URL="+door.URL)...)
	return door.URL
}

// browserTab is a browser at a site. The test keeps its cookies itself: those of a site with an
// https hub are Secure, and the test uses http.
type browserTab struct {
	t       *testing.T
	site    string
	cookies map[string]string
}

func (b *browserTab) do(method, path, body string) (status int, text string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(loginContext(b.t), method, b.site+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	for _, c := range answer.Cookies() {
		if strings.HasPrefix(c.Name, "__Host-") != c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode {
			b.t.Errorf("%s %s set the cookie %s", method, path, c)
		}
		b.cookies[c.Name] = c.Value
		if c.MaxAge < 0 || c.Value == "" {
			delete(b.cookies, c.Name)
		}
	}
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer.StatusCode, string(all)
}

var element = regexp.MustCompile(`<login-qr client="default" login-nonce="([\w-]{20,128})">`)

// openLogin opens the login page and returns the nonce for its widget.
func (b *browserTab) openLogin(hub string) (nonce string) {
	b.t.Helper()
	status, text := b.do("GET", "/", "")
	m := element.FindStringSubmatch(text)
	for _, part := range []string{`<html lang="en">`, "<title>", "<main>", "<h1>"} { // WCAG 2.2, 2.4.2 and 3.1.1
		if !strings.Contains(text, part) {
			b.t.Errorf("the page has no %s", part)
		}
	}
	if status != http.StatusOK || m == nil || !strings.Contains(text, `src="`+hub+`/assets/client/widget/login-qr.js"`) {
		b.t.Fatalf("%d without the widget: %s", status, text)
	}
	return m[1]
}

// startSite runs a site until the test ends, on a free port unless one is given.
func startSite(t *testing.T, hub string, command func(port string) *exec.Cmd, ports ...string) (site string) {
	t.Helper()
	port := append(ports, hubtest.FreePort(t))[0]
	cmd := command(port)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // `go run` has a child
	cmd.Env = append(os.Environ(), append([]string{"HUB=" + hub + "/", "CLIENT_ID=default"}, cmd.Env...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		if t.Failed() {
			t.Logf("the site printed: %s", &output)
		}
	})
	site = "http://127.0.0.1:" + port
	hubtest.Eventually(t, 20*time.Second, "the site answers", func() bool {
		answer, err := http.Get(site + "/")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	return site
}

// installExample installs what the example for Node depends on.
var installExample = sync.OnceValue(func() error {
	if _, err := os.Stat("../examples/node/node_modules/jose"); err == nil {
		return nil
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	cmd.Dir = "../examples/node"
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", cmd.Args, err, out)
	}
	return nil
})

// readExample returns the path of a file below deploy/examples.
func readExample(t *testing.T, name string) string {
	t.Helper()
	if err := installExample(); err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs("../../deploy/examples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// siteCommands start the examples that are whole sites, on a port.
func siteCommands(t *testing.T) map[string]func(port string) *exec.Cmd {
	t.Helper()
	goSite := filepath.Join(t.TempDir(), "site")
	if out, err := exec.Command("go", "-C", "../examples/go", "build", "-o", goSite).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return map[string]func(port string) *exec.Cmd{
		"go": func(port string) *exec.Cmd {
			cmd := exec.Command(goSite)
			cmd.Env = []string{"LISTEN=127.0.0.1:" + port}
			return cmd
		},
		"node": func(port string) *exec.Cmd {
			cmd := exec.Command("node", readExample(t, "node/site.mjs"))
			cmd.Env = []string{"PORT=" + port}
			return cmd
		},
		"php": func(port string) *exec.Cmd {
			cmd := exec.Command("php", "-S", "127.0.0.1:"+port, readExample(t, "php/index.php"))
			cmd.Env = []string{"STORE=" + t.TempDir()}
			return cmd
		},
	}
}

func TestExamples_Login(t *testing.T) {
	t.Parallel()
	hub := sandboxHub(t)
	for name, command := range siteCommands(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkSite(t, hub, startSite(t, hub, command))
			production := newTab(t, startSite(t, "https://login.example.com", command))
			production.do("GET", "/", "")
			production.wantCookies(true)
		})
	}
}

func newTab(t *testing.T, site string) *browserTab { return &browserTab{t, site, map[string]string{}} }

// wantCookies demands cookies, with the prefix __Host- if host.
func (b *browserTab) wantCookies(host bool) {
	b.t.Helper()
	for name := range b.cookies {
		if strings.HasPrefix(name, "__Host-") != host {
			b.t.Errorf("%s: the cookie %s", b.site, name)
		}
	}
	if len(b.cookies) == 0 {
		b.t.Errorf("%s: no cookie", b.site)
	}
}

// wantUser demands that the site shows this user.
func (b *browserTab) wantUser(user string) {
	b.t.Helper()
	if _, page := b.do("GET", "/", ""); !strings.Contains(page, `<strong id="user">sandbox:`+user+`</strong>`) {
		b.t.Errorf("%s sees %s", user, page)
	}
}

// wantRefused demands that the site refuses the token.
func (b *browserTab) wantRefused(what, text string) {
	b.t.Helper()
	status, _ := b.do("POST", "/session", text)
	if _, page := b.do("GET", "/", ""); status != http.StatusUnauthorized || strings.Contains(page, "Logged in") {
		b.t.Errorf("%s: %d %s", what, status, page)
	}
}

// checkSite logs two users in at a site, and tries what it must refuse.
func checkSite(t *testing.T, hub, site string) {
	ctx, alice, bob, mallory := loginContext(t), newTab(t, site), newTab(t, site), newTab(t, site)
	nonce := alice.openLogin(hub)
	if again := alice.openLogin(hub); again != nonce {
		t.Error("a second tab invalidates the first one's nonce")
	}
	if mallory.openLogin(hub) == nonce {
		t.Fatal("two browsers have the same nonce")
	}
	good := tokenFor(ctx, t, hub, "alice", nonce)
	mallory.wantRefused("another browser's token", good)
	newTab(t, site).wantRefused("a browser that never saw the page", good)
	alice.wantRefused("a token without nonce", tokenFor(ctx, t, hub, "alice", ""))
	alice.wantRefused("no token", "")
	alice.wantRefused("too much", strings.Repeat("a", 8192))
	before := maps.Clone(alice.cookies)
	if status, text := alice.do("POST", "/session", good); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, text)
	}
	if alice.cookies["session"] == before["session"] {
		t.Error("the session has the same id after the login")
	}
	if status, text := bob.do("POST", "/session", tokenFor(ctx, t, hub, "bob", bob.openLogin(hub))); status != http.StatusNoContent {
		t.Errorf("bob: %d %s", status, text)
	}
	alice.wantUser("alice")
	bob.wantUser("bob")
	bob.wantCookies(false)
	(&browserTab{t, site, before}).wantRefused("a token used before", good)
	if status, _ := alice.do("POST", "/logout", ""); status != http.StatusSeeOther {
		t.Errorf("logout: %d", status)
	}
	alice.openLogin(hub)
}

// TestExamples_ReadmeCommands runs README.md's hub and site on other ports, and logs a user in.
func TestExamples_ReadmeCommands(t *testing.T) {
	t.Parallel()
	lines := shellLines(documents(t)["README.md"])
	at := slices.IndexFunc(lines, func(line string) bool { return strings.HasSuffix(line, "go -C deploy/examples/go run .") })
	clients, isHub := strings.CutPrefix(lines[max(at-1, 0)], "go run ./cmd/loginhub --clients ")
	if !isHub {
		t.Fatalf("no command for hub and site in %q", lines)
	}
	port := hubtest.FreePort(t)
	text, err := os.ReadFile("../../" + clients)
	if err != nil {
		t.Fatal(err)
	}
	local := filepath.Join(t.TempDir(), "clients.yaml")
	if err := os.WriteFile(local, bytes.ReplaceAll(text, []byte(":3000"), []byte(":"+port)), 0o600); err != nil {
		t.Fatal(err)
	}
	node := hubtest.LaunchWithoutDefaults(t, program, "ADMIN_LISTEN=", "CLIENTS="+local)
	hubtest.Eventually(t, 20*time.Second, "the hub is ready", func() bool { return node.Get("/readyz") == 200 })
	hub := strings.Replace(node.URL, "127.0.0.1", "localhost", 1)
	site := startSite(t, hub, func(string) *exec.Cmd {
		line := strings.NewReplacer("http://localhost:8080", hub, ":3000", "127.0.0.1:"+port).Replace(lines[at])
		cmd := exec.Command("sh", "-c", "exec env "+line)
		cmd.Dir = "../.."
		return cmd
	}, port)
	alice := newTab(t, site)
	_, page := alice.do("GET", "/", "")
	m := regexp.MustCompile(`<login-qr client="demo" login-nonce="([\w-]+)">`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no widget: %s", page)
	}
	ctx := loginContext(t)
	ticket, err := hubtest.CreateTicket(ctx, hub, map[string]string{"client_id": "demo", "nonce": m[1]}, "Origin", "http://localhost:"+port)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hubtest.CreateTicket(ctx, hub, map[string]string{"client_id": "default"}, "Origin", node.URL); err != nil {
		t.Errorf("the hub's own page, on another port than the file names: %v", err)
	}
	if a, err := hubtest.NewPhone("alice").Do(ctx, hub, ticket.ID, "confirm", nil); err != nil || a.Status != 200 {
		t.Fatalf("confirm: %+v %v", a, err)
	}
	v, err := ticket.Poll(ctx, hub, 0, 0)
	if err != nil || v == nil {
		t.Fatalf("view %+v %v", v, err)
	}
	if status, text := alice.do("POST", "/session", v.Token); status != http.StatusNoContent {
		t.Errorf("%d %s", status, text)
	}
}
