package judges

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"loginhub/hub/hubtest"
)

// site is an application of its own process, with an independent client inside. Its page
// after a login contains the subject.
type site struct {
	command func(t *testing.T, h *Hub, port string) *exec.Cmd
	login   string // path that needs a login; "" is /login
	// callback is the path of the redirect URI; "" is /callback.
	callback string
	// logout is the path that ends at home after the hub's logout; "" means that the
	// client has none.
	logout string
	// remembers means that the callback, opened again, shows the session that the site has.
	remembers bool
	// pushed means that the site pushes its request, so that a browser cannot change it.
	pushed bool
}

// sites by name. The clients of the hub are "site", for oauth4webapi "keyed", and with DPoP
// "native".
var sites = map[string]site{
	"openid-client":    {command: node("openid-client.mjs"), logout: "/logout"},
	"DPoP":             {command: node("openid-client-dpop.mjs"), logout: "/logout", pushed: true},
	"oauth4webapi":     {command: node("oauth4webapi.mjs"), logout: "/logout", pushed: true},
	"auth-express":     {command: node("auth-express.mjs"), callback: "/auth/callback/loginhub"},
	"next-auth":        {command: node("next-auth.mjs"), callback: "/api/auth/callback/loginhub"},
	"authlib":          {command: python("authlib_site.py")},
	"oauth2-proxy":     {command: oauth2Proxy, login: "/app", callback: "/oauth2/callback"},
	"mod_auth_openidc": {command: apache, login: "/app", callback: "/redirect", logout: "/redirect?logout=" + url.QueryEscape("BASE/"), remembers: true},
}

// TestSites_Login logs in at each site, with a nonce that was changed on the way, with a
// callback that was used, after the keys were rotated, and logs out.
func TestSites_Login(t *testing.T) {
	t.Parallel()
	for name, s := range sites {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base, h := s.start(t)
			path := s.login
			if path == "" {
				path = "/login"
			}
			login := func(b *Browser) Page { return b.Open(base+path, "") }
			b := newBrowser(t, h, "ming")
			if p := login(b); p.Status != http.StatusOK || !strings.Contains(p.Body, "sandbox:ming") {
				t.Fatalf("login: %s: %d %s", p.URL, p.Status, p.Body)
			}
			if p := b.Follow(b.cameBack(), ""); strings.Contains(p.Body, "sandbox:ming") && !s.remembers {
				t.Errorf("a used callback was accepted: %s: %s", p.URL, p.Body)
			}
			changed := newBrowser(t, h, "ming")
			changed.edit = changeNonce
			if !s.pushed {
				if p := login(changed); strings.Contains(p.Body, "sandbox:ming") {
					t.Errorf("another nonce was accepted: %s: %s", p.URL, p.Body)
				}
			}
			h.rotate(t, hubtest.Key, hubtest.OtherKey)
			h.rotate(t, hubtest.OtherKey, hubtest.Key)
			after := newBrowser(t, h, "ming")
			if p := login(after); p.Status != http.StatusOK || !strings.Contains(p.Body, "sandbox:ming") {
				t.Errorf("after the keys were rotated: %s: %d %s", p.URL, p.Status, p.Body)
			}
			if s.logout != "" {
				if p := after.Open(base+strings.ReplaceAll(s.logout, "BASE", url.QueryEscape(base)), ""); p.URL.String() != base+"/" || p.Status != http.StatusOK {
					t.Errorf("logout ended at %s: %d %s", p.URL, p.Status, p.Body)
				}
			}
		})
	}
}

// start starts the hub and the site, and returns the site's URL.
func (s site) start(t *testing.T) (base string, h *Hub) {
	port := hubtest.FreePort(t)
	base = "http://127.0.0.1:" + port
	path := s.callback
	if path == "" {
		path = "/callback"
	}
	private, public := clientKey(t)
	h = startHub(t, fmt.Sprintf(`
clients:
  - id: site
    secret_file: {secret}
    redirect_uris: [%[1]s%[2]s]
    post_logout_redirect_uris: [%[1]s/]
    claims: {email: "{sub}@wechat.example.com", email_verified: true, groups: [staff]}
  - id: keyed
    jwks_file: %[3]s
    redirect_uris: [%[1]s%[2]s]
    post_logout_redirect_uris: [%[1]s/]
  - id: native
    redirect_uris: [%[1]s%[2]s]
    post_logout_redirect_uris: [%[1]s/]
    grants: [authorization_code, refresh_token]
    dpop_bound_access_tokens: true
`, base, path, hubtest.WriteFile(t, "client-jwks.json", public)))
	cmd := s.command(t, h, port)
	cmd.Env = append(append(os.Environ(), cmd.Env...), "ISSUER="+h.Issuer, "PORT="+port, "SECRET="+secret, "CLIENT_KEY="+private)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait() // a killed process returns an error
		if t.Failed() {
			t.Logf("the site's output:\n%s", log.String())
		}
	})
	hubtest.Eventually(t, 30*time.Second, "the site answers", func() bool {
		a, err := http.Get(base + "/")
		if err == nil {
			a.Body.Close()
		}
		return err == nil
	})
	return base, h
}

// clientKey returns a key of the client that signs assertions, and its public key set.
func clientKey(t *testing.T) (private, public string) {
	t.Helper()
	raw, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := jose.JSONWebKey{Key: raw, KeyID: "k1", Algorithm: "ES256", Use: "sig"}
	one, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	return string(one), string(set)
}

func changeNonce(u *url.URL) {
	q := u.Query()
	if q.Has("nonce") {
		q.Set("nonce", "another-nonce-than-the-site-sent")
		u.RawQuery = q.Encode()
	}
}

func node(script string) func(*testing.T, *Hub, string) *exec.Cmd {
	return func(*testing.T, *Hub, string) *exec.Cmd { return exec.Command("node", "sites/"+script) }
}

func python(script string) func(*testing.T, *Hub, string) *exec.Cmd {
	return func(*testing.T, *Hub, string) *exec.Cmd { return exec.Command("/usr/bin/python3", "sites/"+script) }
}

// oauth2Proxy is oauth2-proxy with the configuration of RECIPES.md, in front of an
// application that shows who is logged in.
func oauth2Proxy(t *testing.T, h *Hub, port string) *exec.Cmd {
	app := startApp(t)
	config := recipe(t, "oauth2-proxy", map[string]string{
		"https://login.example.com": h.Issuer, "https://app.example.com": "http://127.0.0.1:" + port, "http://127.0.0.1:8000": app,
		"/run/secrets/app": hubtest.WriteFile(t, "secret", secret), `"app"`: `"site"`,
	})
	return exec.Command(os.Getenv("OAUTH2_PROXY"), "--config", hubtest.WriteFile(t, "oauth2-proxy.cfg", config), "--http-address=127.0.0.1:"+port, "--cookie-secure=false", "--cookie-secret=0123456789abcdef")
}

// apache is Apache with mod_auth_openidc and the configuration of RECIPES.md.
func apache(t *testing.T, h *Hub, port string) *exec.Cmd {
	app := startApp(t)
	config := recipe(t, "mod_auth_openidc", map[string]string{
		"https://login.example.com": h.Issuer, "https://app.example.com": "http://127.0.0.1:" + port, "http://127.0.0.1:8000": app,
		"a-client-secret": secret, "OIDCClientID app": "OIDCClientID site",
	})
	dir := t.TempDir()
	for _, readable := range []string{dir, filepath.Dir(dir)} { // Apache drops root's rights
		if err := os.Chmod(readable, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	main := fmt.Sprintf(`ServerRoot %s
ServerName 127.0.0.1
Listen 127.0.0.1:%s
PidFile %[1]s/pid
User www-data
Group www-data
Mutex file:%[1]s
ErrorLog /dev/stderr
DocumentRoot %[1]s
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
`, dir, port)
	for _, m := range []string{"authn_core", "authz_core", "authz_user", "proxy", "proxy_http", "auth_openidc", "headers", "dir"} {
		main += fmt.Sprintf("LoadModule %s_module /usr/lib/apache2/modules/mod_%[1]s.so\n", m)
	}
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("home"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "apache.conf"), []byte(main+config), 0o644); err != nil {
		t.Fatal(err)
	}
	return exec.Command("apache2", "-X", "-f", filepath.Join(dir, "apache.conf"))
}

// TestSPA_Chromium logs in and out with oidc-client-ts in Chromium.
func TestSPA_Chromium(t *testing.T) {
	t.Parallel()
	port := hubtest.FreePort(t)
	base := "http://127.0.0.1:" + port
	h := startHub(t, fmt.Sprintf("clients: [{id: spa, redirect_uris: ['%[1]s/'], post_logout_redirect_uris: ['%[1]s/out']}]", base))
	cmd := exec.Command("node", "sites/oidc-client-ts.mjs")
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "ISSUER="+h.Issuer, "PORT="+port, "CHROMIUM="+chromium)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"sub":"sandbox:ming"`) || !strings.Contains(string(out), `{"out":true}`) {
		t.Errorf("%v\n%s", err, out)
	}
}
