package main_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
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

	"loginhub/api/token"
	"loginhub/hub/hubtest"
	"loginhub/hub/keys"
)

// sandboxHub is a node in sandbox mode at the URL that its tokens name.
func sandboxHub(t *testing.T) (hub string) {
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
	node = hubtest.StartNode(t, program, "PUBLIC_URL="+door.URL)
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

// readExample reads a file below deploy/examples.
func readExample(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs("../../deploy/examples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExamples_Login(t *testing.T) {
	t.Parallel()
	hub := sandboxHub(t)
	goSite := filepath.Join(t.TempDir(), "site")
	if out, err := exec.Command("go", "build", "-o", goSite, "loginhub/deploy/examples/go").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, command := range map[string]func(port string) *exec.Cmd{
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
	} {
		t.Run(name, func(t *testing.T) {
			site := startSite(t, hub, command)
			ctx := loginContext(t)
			alice := &browserTab{t, site, map[string]string{}}
			mallory := &browserTab{t, site, map[string]string{}}
			stranger := &browserTab{t, site, map[string]string{}}
			nonce := alice.openLogin(hub)
			if again := alice.openLogin(hub); again != nonce {
				t.Error("a second tab invalidates the first one's nonce")
			}
			if mallory.openLogin(hub) == nonce {
				t.Fatal("two browsers have the same nonce")
			}
			good := tokenFor(ctx, t, hub, "alice", nonce)
			refused := func(what string, b *browserTab, text string) {
				t.Helper()
				status, _ := b.do("POST", "/session", text)
				if _, page := b.do("GET", "/", ""); status != http.StatusUnauthorized || strings.Contains(page, "Logged in") {
					t.Errorf("%s: %d %s", what, status, page)
				}
			}
			refused("another browser's token", mallory, good)
			refused("a browser that never saw the page", stranger, good)
			refused("a token without nonce", alice, tokenFor(ctx, t, hub, "alice", ""))
			refused("no token", alice, "")
			refused("too much", alice, strings.Repeat("a", 9000)[:8192])

			before := map[string]string{}
			for k, v := range alice.cookies {
				before[k] = v
			}
			if status, text := alice.do("POST", "/session", good); status != http.StatusNoContent {
				t.Fatalf("%d %s", status, text)
			}
			if _, page := alice.do("GET", "/", ""); !strings.Contains(page, `<strong id="user">sandbox:alice</strong>`) {
				t.Errorf("alice is not logged in: %s", page)
			}
			if alice.cookies["session"] == before["session"] {
				t.Error("the session has the same id after the login")
			}
			bob := &browserTab{t, site, map[string]string{}}
			if status, text := bob.do("POST", "/session", tokenFor(ctx, t, hub, "bob", bob.openLogin(hub))); status != http.StatusNoContent {
				t.Errorf("bob: %d %s", status, text)
			}
			for user, b := range map[string]*browserTab{"alice": alice, "bob": bob} {
				if _, page := b.do("GET", "/", ""); !strings.Contains(page, `<strong id="user">sandbox:`+user+`</strong>`) {
					t.Errorf("%s sees %s", user, page)
				}
			}
			refused("a token used before", &browserTab{t, site, before}, good)
			production := &browserTab{t, startSite(t, "https://login.example.com", command), map[string]string{}}
			production.do("GET", "/", "")
			for host, b := range map[bool]*browserTab{false: bob, true: production} {
				for name := range b.cookies {
					if strings.HasPrefix(name, "__Host-") != host {
						t.Errorf("%s: the cookie %s", b.site, name)
					}
				}
				if len(b.cookies) == 0 {
					t.Errorf("%s: no cookie", b.site)
				}
			}
			if status, _ := alice.do("POST", "/logout", ""); status != http.StatusSeeOther {
				t.Errorf("logout: %d", status)
			}
			alice.openLogin(hub)
		})
	}
}

// verifierCommands are the examples' verifiers in other languages than Go. Their arguments are HUB
// CLIENT_ID NONCE STORE TOKEN….
func verifierCommands(t *testing.T) map[string][]string {
	return map[string][]string{
		"node": {"node", "--input-type=module", "-e", `import { writeFileSync } from "node:fs"
			import { verifier } from "` + readExample(t, "node/verify.mjs") + `"
			const [hub, clientId, nonce, store, ...tokens] = process.argv.slice(1)
			const seen = async (jti) => { try { writeFileSync(store + "/" + jti, "", { flag: "wx" }); return true } catch { return false } }
			const verify = verifier({ hub, clientId, seen })
			for (const token of tokens) console.log(await verify(token, nonce).then((claims) => claims.sub, (error) => "no: " + error.message))`, "--"},
		"php": {"php", "-r", `require "` + readExample(t, "php/verify.php") + `";
			[, $hub, $id, $nonce, $store] = $argv;
			$v = new Verifier($hub, $id, $store);
			foreach (array_slice($argv, 5) as $token) {
				try { echo $v->verify($token, $nonce)["sub"], "\n"; } catch (Refused $e) { echo "no: ", $e->getMessage(), "\n"; }
			}`, "--"},
		"python": {"python3", "-c", `import os, sys
sys.path.insert(0, "` + readExample(t, "python") + `")
sys.dont_write_bytecode = True
import verify
hub, client, nonce, store, *tokens = sys.argv[2:]
def first(jti, until):
    try:
        os.close(os.open(store + "/" + jti, os.O_CREAT | os.O_EXCL)); return True
    except FileExistsError:
        return False
keys = verify.fetch_keys(hub)
for token in tokens:
    try: print(verify.verify(hub, client, nonce, token, keys, first)["sub"])
    except verify.Refused as error: print("no:", error)`, "--"},
	}
}

// runVerifier returns one line per token.
func runVerifier(t *testing.T, command []string, args ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(loginContext(t), command[0], append(slices.Clone(command[1:]), args...)...).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// TestExamples_UnusableKey: an unknown kind of key does not affect the other keys (RFC 7517,
// section 5).
func TestExamples_UnusableKey(t *testing.T) {
	t.Parallel()
	masters, err := keys.ParseMasterKeys(hubtest.Key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := token.NewSigner(masters)
	if err != nil {
		t.Fatal(err)
	}
	usable, err := signer.JWKS().Keys[0].MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	ed := `"kty":"OKP","crv":"Ed25519"`
	odd := `null,[],"key",7,{"kid":"a"},{"kty":"AKP","kid":"b","alg":"ML-DSA-44","pub":"AAAA"},{"kty":7,"kid":"c"},` +
		`{"kty":"EC","crv":"secp256k1","kid":"d","x":"AAAA","y":"AAAA"},{"kty":"OKP","crv":"X25519","kid":"e","x":"AAAA"},` +
		`{"kty":"OKP","crv":"Ed448","kid":"f","x":"AAAA"},{` + ed + `},{` + ed + `,"kid":"g","x":7},{` + ed + `,"kid":"h","x":"???"},` +
		`{` + ed + `,"kid":["i"],"x":"AAAA"},{` + ed + `,"kid":"j","x":"AAAA"},{` + ed + `,"kid":"k","use":"enc","key_ops":7,"x":"AAAA"},` +
		strings.Repeat(`{"kty":"RSA","kid":"l","n":"`+strings.Repeat("A", 342)+`","e":"AQAB"},`, 200) + `{"kty":"oct","kid":"m","k":"AAAA"}`
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[%s,%s,%s]}`, odd, usable, odd)
	}))
	t.Cleanup(hub.Close)
	for name, command := range verifierCommands(t) {
		t.Run(name, func(t *testing.T) {
			if lines := runVerifier(t, command, hub.URL, "default", "n-1", t.TempDir(), signedToken(t, hub.URL, "login+jwt", nil)); len(lines) != 1 || lines[0] != "sandbox:root" {
				t.Errorf("%.500q", lines)
			}
		})
	}
}

func TestExamples_Verifiers(t *testing.T) {
	t.Parallel()
	hub := sandboxHub(t)
	for name, command := range verifierCommands(t) {
		t.Run(name, func(t *testing.T) {
			run := func(hub, client, nonce, store string, tokens ...string) []string {
				t.Helper()
				return runVerifier(t, command, append([]string{hub, client, nonce, store}, tokens...)...)
			}
			ctx := testContext(t, 2*time.Minute) // twenty programs are started in this time
			good := tokenFor(ctx, t, hub, "alice", "n-1")
			no := func(what string, lines []string) {
				t.Helper()
				for _, line := range lines {
					if !strings.HasPrefix(line, "no: ") {
						t.Errorf("%s: %q", what, lines)
					}
				}
			}
			store := t.TempDir()
			if lines := run(hub, "default", "n-1", t.TempDir(), signedToken(t, hub, "login+jwt", nil)); lines[0] != "sandbox:root" {
				t.Errorf("the test's own signed token is refused: %q", lines)
			}
			for what, text := range hostileTokens(ctx, t, hub, good) {
				no(what, run(hub, "default", "n-1", store, text))
			}
			no("another hub", run(strings.Replace(hub, "127.0.0.1", "localhost", 1), "default", "n-1", store, good))
			no("another session", run(hub, "default", "n-2", store, good))
			no("no nonce", run(hub, "default", "", store, good, tokenFor(ctx, t, hub, "alice", "")))
			no("another site", run(hub, "other", "n-1", store, good))
			if lines := run(hub+"/", "default", "n-1", store, good, good); lines[0] != "sandbox:alice" || !strings.HasPrefix(lines[1], "no: used before") && name != "python" || !strings.HasPrefix(lines[1], "no: ") {
				t.Errorf("used twice: %q", lines)
			}
			// Exactly one of several concurrent processes accepts the token.
			other := tokenFor(ctx, t, hub, "bob", "n-1")
			won := make(chan bool, 5)
			var all sync.WaitGroup
			for range cap(won) {
				all.Go(func() { won <- run(hub, "default", "n-1", store, other)[0] == "sandbox:bob" })
			}
			all.Wait()
			close(won)
			n := 0
			for yes := range won {
				if yes {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%d of %d processes accepted the token", n, cap(won))
			}
		})
	}
}

// signedToken is signed with the hub's own key, with another type or with claims that the hub never
// issues. A nil value removes the claim.
func signedToken(t *testing.T, hub, kind string, changes map[string]any) string {
	t.Helper()
	masters, err := keys.ParseMasterKeys(hubtest.Key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(hubtest.Key)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := hkdf.Key(sha256.New, raw, nil, "loginhub v1 sign", ed25519.SeedSize) // as hub/keys derives it
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	claims := map[string]any{"iss": hub, "aud": "default", "sub": "sandbox:root", "iat": now, "exp": now + 300, "jti": "signed", "nonce": "n-1"}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	text := b64(fmt.Appendf(nil, `{"alg":"EdDSA","kid":%q,"typ":%q}`, masters[0].ID(), kind)) + "." + b64(body)
	return text + "." + b64(ed25519.Sign(ed25519.NewKeyFromSeed(seed), []byte(text)))
}

// hostileTokens must all be refused.
func hostileTokens(ctx context.Context, t *testing.T, hub, good string) map[string]string {
	t.Helper()
	now := time.Now().Unix()
	parts := strings.Split(good, ".")
	other := strings.Split(tokenFor(ctx, t, hub, "mallory", "n-1"), ".")
	head := func(format string, args ...any) string {
		return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, format, args...)) + "." + parts[1] + "."
	}
	return map[string]string{
		"another user's claims": parts[0] + "." + other[1] + "." + parts[2],
		"a truncated signature": good[:len(good)-20],
		"no signature":          parts[0] + "." + parts[1] + ".",
		"alg none":              head(`{"alg":"none","typ":"login+jwt"}`),
		"HS256":                 head(`{"alg":"HS256","typ":"login+jwt","kid":"x"}`) + parts[2],
		"another type":          head(`{"alg":"EdDSA","typ":"JWT","kid":"x"}`) + parts[2],
		"an unknown key":        head(`{"alg":"EdDSA","typ":"login+jwt","kid":"x"}`) + parts[2],
		"claims not an object":  head(`7`) + parts[2],
		"null":                  head(`null`) + parts[2],
		"two parts":             parts[0] + "." + parts[1],
		"four parts":            good + ".x",
		"an empty token":        "",
		"another use":           signedToken(t, hub, "at+jwt", nil),
		"expired":               signedToken(t, hub, "login+jwt", map[string]any{"exp": now - 61}),
		"no exp":                signedToken(t, hub, "login+jwt", map[string]any{"exp": nil}),
		"issued tomorrow":       signedToken(t, hub, "login+jwt", map[string]any{"iat": now + 86400}),
		"no iat":                signedToken(t, hub, "login+jwt", map[string]any{"iat": nil}),
		"no nonce":              signedToken(t, hub, "login+jwt", map[string]any{"nonce": nil}),
		"no jti":                signedToken(t, hub, "login+jwt", map[string]any{"jti": nil}),
		"no sub":                signedToken(t, hub, "login+jwt", map[string]any{"sub": nil}),
		"no aud":                signedToken(t, hub, "login+jwt", map[string]any{"aud": nil}),
		"no iss":                signedToken(t, hub, "login+jwt", map[string]any{"iss": nil}),
		"too long":              good + strings.Repeat("A", 9000),
	}
}

// TestExamples_ReadmeCommands runs README.md's hub and site on other ports, and logs a user in.
func TestExamples_ReadmeCommands(t *testing.T) {
	t.Parallel()
	lines := shellLines(documents(t)["README.md"])
	at := slices.IndexFunc(lines, func(line string) bool { return strings.HasSuffix(line, "go run ./deploy/examples/go") })
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
	alice := &browserTab{t, site, map[string]string{}}
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

// TestExamples_StaleKeys: while the hub cannot be reached, the last keys are used for a day. The
// hub may have withdrawn a key.
func TestExamples_StaleKeys(t *testing.T) {
	t.Parallel()
	jwks, err := http.Get(sandboxHub(t) + "/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	defer jwks.Body.Close()
	text, err := io.ReadAll(jwks.Body)
	if err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string][]string{
		"node": {"node", "--input-type=module", "-e", `import { verifier } from "` + readExample(t, "node/verify.mjs") + `"
			const [hub, token, , hours] = process.argv.slice(1)
			const verify = verifier({ hub, clientId: "default", seen: async () => true })
			const say = () => verify(token, "n-1").then((claims) => claims.sub, (error) => error.message)
			if (await say() !== "sandbox:root") throw new Error("not even at first")
			await fetch(hub + "/down")
			const now = Date.now
			Date.now = () => now() + hours * 3600_000
			console.log(await say())`, "--"},
		"php": {"php", "-r", `require "` + readExample(t, "php/verify.php") + `";
			[, $hub, $token, $store, $hours] = $argv;
			$say = function () use ($hub, $token, $store) {
				array_map("unlink", glob("$store/used-*"));
				try { return (new Verifier($hub, "default", $store))->verify($token, "n-1")["sub"]; } catch (RuntimeException $e) { return $e->getMessage(); }
			};
			if ($say() !== "sandbox:root") { exit(1); }
			file_get_contents("$hub/down");
			touch("$store/jwks.json", time() - $hours * 3600);
			echo $say();`, "--"},
	} {
		for hours, want := range map[string]string{"23": "", "25": "cannot be had, and the last ones are 900"} {
			down := make(chan struct{})
			hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/down" {
					close(down)
					return
				}
				select {
				case <-down:
					http.Error(w, "down", http.StatusBadGateway)
				default:
					w.Write(text)
				}
			}))
			t.Cleanup(hub.Close)
			args := append(slices.Clone(command[1:]), hub.URL, signedToken(t, hub.URL, "login+jwt", nil), t.TempDir(), hours)
			out, err := exec.CommandContext(loginContext(t), command[0], args...).CombinedOutput()
			if stale := strings.Contains(string(out), "cannot be had"); err != nil || stale != (want != "") || !strings.Contains(string(out), want) {
				t.Errorf("%s, %s h: %v %s", name, hours, err, out)
			}
		}
	}
}
