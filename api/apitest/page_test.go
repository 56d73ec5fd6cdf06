package apitest_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"loginhub/api"
	"loginhub/frontend"
	"loginhub/hub/client"
	"loginhub/hub/provider"
)

// cspOf parses the Content-Security-Policy.
func cspOf(t *testing.T, a *answer) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	if len(a.header.Values("Content-Security-Policy")) != 1 {
		t.Fatalf("policies: %q", a.header.Values("Content-Security-Policy"))
	}
	for _, directive := range strings.Split(a.header.Get("Content-Security-Policy"), ";") {
		if words := strings.Fields(directive); len(words) > 0 {
			all[words[0]] = words[1:]
		}
	}
	return all
}

// data is a block of JSON, which no browser executes.
var data = regexp.MustCompile(`<script type="application/json" id="messages">[^<]*</script>`)

// inline matches what the policy forbids. A page that needs it would be broken in a
// browser.
var inline = map[string]*regexp.Regexp{
	"a script":  regexp.MustCompile(`(?is)<script[^>]*>[^<]*\S[^<]*</script>`),
	"a style":   regexp.MustCompile(`(?i)<style|\sstyle\s*=`),
	"a handler": regexp.MustCompile(`(?i)<[^>]*\son[a-z]+\s*=`),
	"a link":    regexp.MustCompile(`(?i)(href|src|action)\s*=\s*["']?\s*javascript:`),
	"elsewhere": regexp.MustCompile(`(?i)(href|src)\s*=\s*["']?(https?:)?//`),
}

// bootScript matches the one inline script, which the policy allows by its hash.
var bootScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)

var links = regexp.MustCompile(`(?:src|href)="(/[^"]*)"`)

func TestPage_ContentSecurityPolicy(t *testing.T) {
	t.Parallel()
	id, _ := unknownTicket()
	for _, sandbox := range []bool{true, false} {
		s := start(t, options{api: func(c *api.Config) { c.Reloadable.Sandbox = sandbox }})
		for path, status := range map[string]int{"/": 200, "/?client_id=demo": 200, "/docs": 200, "/s/" + id: 200, "/s/AAAA": 404, "/?client_id=x": 400} {
			a := s.ask(t, "GET", path, nil)
			if a.status != status || !strings.EqualFold(a.header.Get("Content-Type"), "text/html; charset=utf-8") {
				t.Fatalf("%s: %d as %q", path, a.status, a.header.Get("Content-Type"))
			}
			if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("%s: Cache-Control %q, Referrer-Policy %q", path, a.header.Get("Cache-Control"), a.header.Get("Referrer-Policy"))
			}
			p := cspOf(t, a)
			for _, name := range []string{"default-src", "script-src", "style-src", "connect-src", "base-uri", "form-action", "frame-ancestors"} {
				if p[name] == nil {
					t.Errorf("%s: the policy has no %s", path, name)
				}
				for _, source := range p[name] {
					if name == "script-src" && source == frontend.BootSource() {
						continue
					}
					framed := name == "frame-ancestors" && !strings.HasPrefix(path, "/s/") && source == site
					if source != "'self'" && source != "'none'" && !framed {
						t.Errorf("%s: %s allows %s", path, name, source)
					}
				}
			}
			if !slices.Equal(p["default-src"], []string{"'none'"}) {
				t.Errorf("%s: default-src %v", path, p["default-src"])
			}
			sum := sha256.Sum256(bootScript.FindSubmatch(append(a.body, "<script></script>"...))[1])
			if boot := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; path == "/" && !slices.Contains(p["script-src"], boot) {
				t.Errorf("%s: the policy forbids the inline script %s", path, boot)
			}
			body := data.ReplaceAll(bootScript.ReplaceAll(a.body, nil), nil)
			for what, pattern := range inline {
				if found := pattern.Find(body); found != nil {
					t.Errorf("%s has %s inline: %.100s", path, what, found)
				}
			}
			for _, link := range links.FindAllSubmatch(a.body, -1) {
				if got := s.ask(t, "GET", string(link[1]), nil); got.status != http.StatusOK {
					t.Errorf("%s points to %s: %d", path, link[1], got.status)
				}
			}
		}
	}
}

func TestPage_Client(t *testing.T) {
	t.Parallel()
	hostile := &client.Client{ID: "b", LabelZH: `"><script>alert(1)</script>`, LabelEN: `'; alert(1)//`}
	s := start(t, options{clients: []*client.Client{demo(), hostile}})
	if a := s.ask(t, "GET", "/", nil); !bytes.Contains(a.body, []byte("演示")) || !bytes.Contains(a.body, []byte("Demo")) {
		t.Error("the first client's page does not name it")
	}
	a := s.ask(t, "GET", "/?client_id=b", nil)
	if a.status != http.StatusOK || bytes.Contains(a.body, []byte("<script>alert")) || bytes.Contains(a.body, []byte("演示")) {
		t.Errorf("the other's page: %d %s", a.status, a.body)
	}
}

func TestPage_LandingSame(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	id, _ := unknownTicket()
	there, gone := s.ask(t, "GET", "/s/"+p.id, nil), s.ask(t, "GET", "/s/"+id, nil)
	if !bytes.Equal(bytes.ReplaceAll(there.body, []byte(p.id), nil), bytes.ReplaceAll(gone.body, []byte(id), nil)) {
		t.Error("the page reveals whether the ticket exists")
	}
	if slash := s.ask(t, "GET", "/s/"+p.id+"/?from=scan", nil); slash.status != http.StatusOK || !bytes.Equal(slash.body, there.body) {
		t.Errorf("with a slash at the end: %d", slash.status)
	}
	if !bytes.Contains(there.body, []byte(p.id)) {
		t.Error("the page does not contain its ticket")
	}
	if head := s.ask(t, "HEAD", "/s/"+p.id, nil); head.status != http.StatusOK || len(head.body) > 0 {
		t.Errorf("HEAD: %d with %d bytes", head.status, len(head.body))
	}
	p.requireState(t, "pending", 1) // a link preview changes nothing
}

// TestPage_LandingSaysWhatToDo checks the text for a person whose own camera app opened the code.
func TestPage_LandingSaysWhatToDo(t *testing.T) {
	t.Parallel()
	app, web := demo(), demo()
	app.ID, app.Providers = "app", []string{"app"}
	web.ID, web.Providers = "web", []string{"wechat_web"} // no phone can confirm
	providers := map[string]provider.Exchanger{"company": ofKind{sandboxProvider(), "wechat"}, "app": ofKind{sandboxProvider(), "app"}}
	s := start(t, options{clients: []*client.Client{demo(), app, web}, providers: providers, api: func(c *api.Config) {
		qrTemplate("corp://go?t={ticket}")(c)
		for id, label := range map[string]provider.Label{"company": {ZH: "微信小程序", EN: "WeChat mini-program"}, "app": {ZH: "网站的 App", EN: "site’s app"}} {
			c.Reloadable.Listed = append(c.Reloadable.Listed, &provider.Provider{ID: id, Kind: provider.Kind{AppLabel: label}, Access: provider.Access{Code: providers[id]}})
		}
		slices.SortFunc(c.Reloadable.Listed, func(a, b *provider.Provider) int { return strings.Compare(b.ID, a.ID) })
	}})
	for client, want := range map[string]struct {
		zh, en   string
		scanWith []any
		launch   bool
	}{
		"demo": {"微信小程序或网站的 App", "WeChat mini-program or the site’s app", []any{"wechat", "app"}, true},
		"app":  {"网站的 App", "site’s app", []any{"app"}, true},
		"web":  {"微信小程序或网站的 App", "WeChat mini-program or the site’s app", []any{}, false},
	} {
		p := s.createTicket(t, map[string]string{"client_id": client})
		if got := p.created["scan_with"]; !reflect.DeepEqual(got, want.scanWith) {
			t.Errorf("%s: scan_with %v", client, got)
		}
		page := s.ask(t, "GET", "/s/"+p.id, nil, "User-Agent", "iPhone", "Accept-Language", "zh-CN").body
		page = append(page, s.ask(t, "GET", "/s/"+p.id, nil, "User-Agent", "iPhone").body...)
		if got := bytes.Contains(page, []byte("corp://go?t="+p.id)); got != want.launch || got != (p.created["launch_url"] != nil) {
			t.Errorf("%s: link into the app %v", client, got)
		}
		for _, text := range []string{"请打开" + want.zh + "，再次扫描电脑上的二维码", "关闭此页即可", "Open the " + want.en + " and scan the code on the computer once more", "Just close this page"} {
			if !bytes.Contains(page, []byte(text)) {
				t.Errorf("%s: the landing page does not say %q", client, text)
			}
		}
	}
}

// ofKind is a provider whose id is not the name of its kind.
type ofKind struct {
	provider.Exchanger
	kind string
}

func (p ofKind) KindName() string { return p.kind }

func TestPage_AssetsETag(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	style := string(regexp.MustCompile(`/assets/page/page\.\w+\.css`).Find(s.ask(t, "GET", "/", nil).body))
	for path, want := range map[string]struct{ kind, cache string }{
		"/assets/page/base.css": {"text/css", "no-cache"}, "/assets/page/logo.svg": {"image/svg+xml", "no-cache"},
		"/assets/client/login.js": {"text/javascript", "public, max-age=300"}, "/assets/client/widget/login-qr.js": {"text/javascript", "public, max-age=300"},
		style: {"text/css", "public, max-age=31536000, immutable"}, "/openapi.yaml": {"application/yaml", "no-cache"},
		"/assets/page/page.0123456789abcdef.js": {"text/javascript", "no-cache"}, // of a node with another version
	} {
		a := s.ask(t, "GET", path, nil)
		if a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), want.kind) || len(a.body) == 0 {
			t.Fatalf("%s: %d as %q", path, a.status, a.header.Get("Content-Type"))
		}
		tag := a.header.Get("ETag")
		if len(tag) < 10 || tag[0] != '"' || a.header.Get("Cache-Control") != want.cache {
			t.Errorf("%s: ETag %s, Cache-Control %q", path, tag, a.header.Get("Cache-Control"))
		}
		if a.header.Get("Access-Control-Allow-Origin") != "*" { // modules are fetched with CORS
			t.Errorf("%s: a site cannot load it", path)
		}
		if got := s.ask(t, "GET", path, nil, "If-None-Match", tag); got.status != http.StatusNotModified || len(got.body) > 0 || got.header.Get("ETag") != tag {
			t.Errorf("%s: %d with %d bytes and ETag %s", path, got.status, len(got.body), got.header.Get("ETag"))
		}
		if got := s.ask(t, "GET", path, nil, "If-None-Match", `"other"`); got.status != http.StatusOK || !bytes.Equal(got.body, a.body) {
			t.Errorf("%s: another tag is answered %d", path, got.status)
		}
		if head := s.ask(t, "HEAD", path, nil); head.status != http.StatusOK || len(head.body) > 0 {
			t.Errorf("%s: HEAD %d", path, head.status)
		}
		small := s.ask(t, "GET", path, nil, "Accept-Encoding", "br, gzip")
		if small.header.Get("Content-Encoding") != "gzip" || small.header.Get("ETag") == tag || small.header.Get("Vary") != a.header.Get("Vary") || len(small.body) >= len(a.body) {
			t.Errorf("%s: not compressed: %v", path, small.header)
		}
		if whole, err := gzip.NewReader(bytes.NewReader(small.body)); err != nil {
			t.Errorf("%s: %v", path, err)
		} else if text, err := io.ReadAll(whole); err != nil || !bytes.Equal(text, a.body) {
			t.Errorf("%s: the compressed file has other content: %v", path, err)
		}
	}
}

// The field is a list with weights, and may be sent in parts (RFC 9110, 12.5.3).
func TestPage_AcceptEncoding(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for field, compressed := range map[string]bool{"gzip": true, "deflate, GZIP;q=0.5": true, "*": true, "identity, gzip; q=0": false, "gzip;q=0.000, *": false, "br": false, "": false, "gzipped": false} {
		a := s.ask(t, "GET", "/assets/page/base.css", nil, "Accept-Encoding", field)
		if got := a.header.Get("Content-Encoding") == "gzip"; got != compressed || !strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Accept-Encoding") {
			t.Errorf("%q: compressed %v, Vary %q", field, got, a.header.Values("Vary"))
		}
	}
}

// A compressing proxy makes the tag weak, and a browser may send several. The comparison
// is weak and the field is a list (RFC 9110, 13.1.2).
func TestPage_IfNoneMatch(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	const path = "/assets/page/base.css"
	tag := s.ask(t, "GET", path, nil).header.Get("ETag")
	for _, spelling := range []string{"W/" + tag, `"other", ` + tag, tag + `, "other"`, "*"} {
		if got := s.ask(t, "GET", path, nil, "If-None-Match", spelling); got.status != http.StatusNotModified {
			t.Errorf("%s is answered %d", spelling, got.status)
		}
	}
}

func TestPage_ServedFiles(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for _, path := range []string{"/assets/", "/assets/page", "/assets/page/", "/assets/page/index.html", "/assets/page/parts.html",
		"/assets/page/test/messages.test.js", "/assets/client/test/fakes.js", "/assets/e2e/hub.js", "/assets/embed.go", "/assets/doc.go",
		"/assets/package.json", "/assets/page/base.css/", "/assets/page/BASE.CSS", "/assets/page/base.css%00", "/page/base.css", "/base.css"} {
		s.ask(t, "GET", path, nil).problem(t, 404, "not_found")
	}
}

func TestPage_PathTraversal(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	for _, path := range []string{
		"/assets/../api/doc.go", "/assets/page/../page/base.css", "/assets/./page/base.css", "/assets//page/base.css", "//assets/page/base.css",
		"/assets/%2e%2e/embed.go", "/assets/%2e%2e%2fembed.go", "/assets/..%2fembed.go", "/assets/page/%2e%2e/page/base.css",
		"/assets/%252e%252e/embed.go", `/assets/..\embed.go`, "/assets/..%5cembed.go", "/assets/page%2fbase.css%2f..", "/assets/....//embed.go",
		"/assets//etc/passwd", "/assets/%2fetc%2fpasswd", "/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/./", "//healthz",
		"/api/login/tickets/../tickets", "/api//login/tickets", "/api/login/tickets/" + p.id + "/../" + p.id + "/qr.svg", "/;/", "/healthz;x", "/healthz%00",
	} {
		t.Run(path, func(t *testing.T) {
			a := s.raw(t, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			if a.status != 404 {
				t.Fatalf("status %d, Location %q: %.80s", a.status, a.header.Get("Location"), a.body)
			}
			if bytes.Contains(a.body, []byte("package")) || bytes.Contains(a.body, []byte("root:")) {
				t.Errorf("the answer has a file: %s", a.body)
			}
		})
	}
}

func TestHealth_Answers(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for _, path := range []string{"/healthz", "/readyz"} {
		s.ask(t, "GET", path, nil).ok(t, http.StatusOK)
		if head := s.ask(t, "HEAD", path, nil); head.status != http.StatusOK {
			t.Errorf("HEAD %s: %d", path, head.status)
		}
	}
	if alive := s.ask(t, "GET", "/healthz", nil); !strings.Contains(string(alive.body), `"version":"v1.2.3"`) {
		t.Errorf("the version is missing: %s", alive.body)
	}
}

// TestClientPackage_Pinned: /docs shows the package's hash, and a URL that only ever gives these bytes.
func TestClientPackage_Pinned(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	latest := s.ask(t, "GET", "/client.tgz", nil)
	sum := sha512.Sum512(latest.body)
	docs := html.UnescapeString(string(s.ask(t, "GET", "/docs", nil).body))
	if !strings.Contains(docs, "<code>sha512-"+base64.StdEncoding.EncodeToString(sum[:])+"</code>") || !strings.Contains(docs, "<code>1.2.3</code>") {
		t.Errorf("/docs shows another package: %.300s", docs)
	}
	path := "/client.tgz?v=" + strings.Trim(latest.header.Get("ETag"), `"`)
	pinned := s.ask(t, "GET", path, nil)
	if !bytes.Equal(pinned.body, latest.body) || !strings.Contains(pinned.header.Get("Cache-Control"), "immutable") || !strings.Contains(docs, path) {
		t.Errorf("%s: %d %v", path, pinned.status, pinned.header)
	}
	s.ask(t, "GET", path+"0", nil).problem(t, 404, "not_found")
}
