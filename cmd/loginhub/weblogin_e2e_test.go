package main_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

// browser is a person's browser with cookies. It reaches login.test at any node.
type browser struct {
	t      testing.TB
	client *http.Client
	node   string
}

func newBrowser(t testing.TB, node *hubtest.Node) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, node: node.URL}
	b.client = &http.Client{Jar: jar, Transport: b, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return b
}

// RoundTrip sends requests for login.test to the browser's node. Cookies and Host are those of
// login.test.
func (b *browser) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "login.test" {
		return http.DefaultTransport.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	r.URL.Host, r.Host = strings.TrimPrefix(b.node, "http://"), "login.test"
	return checkedTransport.RoundTrip(r)
}

// do sends a request as a browser's navigation.
func (b *browser) do(method, target string, form url.Values, headers ...string) *hubtest.Response {
	b.t.Helper()
	r, err := http.NewRequest(method, target, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Accept", "text/html,application/xhtml+xml")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return &hubtest.Response{Status: resp.StatusCode, Header: resp.Header, Body: body}
}

// postForm sends the login page's form.
func (b *browser) postForm(ticket *hubtest.Ticket, headers ...string) *hubtest.Response {
	b.t.Helper()
	return b.do("POST", ourOrigin+"/api/wechat/qrconnect", url.Values{"ticket": {ticket.ID}, "secret": {ticket.Secret}}, headers...)
}

// startLogin presses the login page's button: it sends the form and opens WeChat's page.
func (b *browser) startLogin(ticket *hubtest.Ticket) (uuid string) {
	b.t.Helper()
	a := b.postForm(ticket, "Origin", ourOrigin)
	to := a.Header.Get("Location")
	if a.Status != http.StatusSeeOther || strings.Contains(to, ticket.Secret) || strings.Contains(to, ticket.ID) {
		b.t.Fatalf("qrconnect: %d to %s: %s", a.Status, to, a.Body)
	}
	page := b.do("GET", to, nil)
	if uuid = wechattest.UUID(string(page.Body)); uuid == "" {
		b.t.Fatalf("WeChat's page: %s", page.Body)
	}
	return uuid
}

// wantPage demands a page with this status and these texts.
func wantPage(t *testing.T, what string, a *hubtest.Response, status int, texts ...string) {
	t.Helper()
	for _, text := range append(texts, "<html") {
		if a.Status != status || !bytes.Contains(a.Body, []byte(text)) {
			t.Errorf("%s: %d without %s: %s", what, a.Status, text, a.Body)
		}
	}
}

func TestWebLogin_AcrossNodes(t *testing.T) {
	t.Parallel()
	w, settings := startWebsite(t)
	_, nodes := cluster(t, 2, settings...)
	ctx, url := hubtest.Context(t, 20*time.Second), nodes[0].URL
	p, tab := mustOpenWaiter(t, ctx, url, url), newBrowser(t, nodes[0])
	uuid := tab.startLogin(p.Ticket)
	tab.node = nodes[1].URL // WeChat returns the browser to another node
	back := w.Allow(uuid, "小明")
	wantPage(t, "callback", tab.do("GET", back, nil), 200, "You are logged in")
	v, err := p.waitToken(ctx, url, "wechat:"+webID+":"+w.OpenID(webID, "小明"))
	if err != nil || v.User == nil || v.User.Nickname != "小明" || v.Seq != 2 {
		t.Fatalf("view %+v %v", v, err)
	}
	claims, _, err := verifyToken(ctx, url, v.Token)
	if picture, _ := claims["picture"].(string); err != nil || claims["nickname"] != "小明" || claims["claimed"] != nil ||
		claims["unionid"] != w.UnionID(appID, "小明") || !strings.HasPrefix(picture, "https://") {
		t.Errorf("claims %v %v", claims, err)
	}
	// The repeated callback, as by the back button, exchanges no code.
	calls := w.Calls()
	wantPage(t, "repeated", tab.do("GET", back, nil), 403, "state_invalid", "no longer valid")

	// Today's WeChat does not redirect a user who refuses. The former one did.
	refused := mustOpenWaiter(t, ctx, url, url)
	other := tab.startLogin(refused.Ticket)
	wantPage(t, "refused", tab.do("GET", w.Deny(tab.startLogin(refused.Ticket)), nil), 200, "Cancelled")
	mustNext(t, ctx, refused, "rejected")
	wantPage(t, "allowed, but too late", tab.do("GET", w.Allow(other, "alice"), nil), 409)
	if w.Calls() != calls {
		t.Errorf("%d needless calls", w.Calls()-calls)
	}
}

func TestWebLogin_AttackersTicket(t *testing.T) {
	t.Parallel()
	w, settings := startWebsite(t)
	_, nodes := cluster(t, 2, settings...)
	ctx, a, b := hubtest.Context(t, 20*time.Second), nodes[0], nodes[1]
	ticket := hubtest.MustCreateTicket(t, ctx, a.URL)
	attacker, victim := newBrowser(t, a), newBrowser(t, b)
	for what, headers := range map[string][]string{"a form on the attacker's site": {"Origin", "https://evil.example.net"},
		"a form in a sandboxed frame": {"Origin", "null"}, "a form without Origin": nil} {
		got := victim.postForm(ticket, headers...)
		if wantPage(t, what, got, 403, "origin_not_allowed"); got.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: a cookie", what)
		}
	}
	link := "/api/wechat/qrconnect?" + url.Values{"ticket": {ticket.ID}, "secret": {ticket.Secret}}.Encode()
	if got := victim.do("GET", ourOrigin+link, nil); got.Status != 405 {
		t.Errorf("a link: %d", got.Status)
	}
	// The attacker starts a login and sends the victim to WeChat or to the callback.
	refuse := func(what, callback string) {
		t.Helper()
		got := victim.do("GET", callback, nil)
		if wantPage(t, what, got, 403, "state_"); got.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: a cookie", what)
		}
	}
	refuse("the attacker's state", w.Allow(attacker.startLogin(ticket), "victim"))
	refuse("the attacker's refusal", w.Deny(attacker.startLogin(ticket)))
	refuse("an unknown state", ourOrigin+"/api/wechat/callback?code=abc&state="+strings.Repeat("A", 43))
	refuse("a malformed state", ourOrigin+"/api/wechat/callback?code=abc&state=x")
	refuse("no state", ourOrigin+"/api/wechat/callback?code=abc")
	victim.startLogin(hubtest.MustCreateTicket(t, ctx, b.URL))
	callback := w.Allow(attacker.startLogin(ticket), "victim")
	refuse("with the cookie of another attempt", callback)
	at, err := url.Parse(ourOrigin + "/api/wechat/callback")
	if err != nil {
		t.Fatal(err)
	}
	callback = w.Allow(attacker.startLogin(ticket), "victim")
	for _, c := range attacker.client.Jar.Cookies(at) {
		victim.client.Jar.SetCookies(at, []*http.Cookie{{Name: c.Name, Value: strings.Repeat("A", len(c.Value)), Path: "/"}})
	}
	refuse("with a cookie of another value", callback)
	if v, err := ticket.Poll(ctx, a.URL, 0, 0); err != nil || v.State != "pending" || w.Calls() != 0 {
		t.Errorf("the attacker's ticket is %+v %v after %d calls", v, err, w.Calls())
	}
	// A phone cannot use a code of the website.
	code, err := url.Parse(w.Allow(attacker.startLogin(ticket), "victim"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := phoneCall(ctx, a.URL, ticket, "confirm", "wechat_web", code.Query().Get("code"))
	hubtest.AssertRefusal(t, "as a phone", got, err, 400, "invalid_request")
}

// TestWebLogin_NoNumberMatching: the browser itself needs no number, but a user who has scanned with
// a phone must decide there.
func TestWebLogin_NoNumberMatching(t *testing.T) {
	t.Parallel()
	clients := hubtest.WriteFile(t, "clients.yaml", "clients:\n  - id: demo\n    origins: ["+ourOrigin+"]\n    number_matching: true\n    subject: unionid\n")
	w, settings := startWebsite(t, "CLIENTS="+clients)
	node := hubtest.StartNode(t, program, settings...)
	ctx, phone, tab := hubtest.Context(t, 20*time.Second), weChatPhone(w, "alice"), newBrowser(t, node)
	ticket := hubtest.MustCreateTicket(t, ctx, node.URL)
	a, err := phone.Do(ctx, node.URL, ticket.ID, "confirm", nil)
	hubtest.AssertRefusal(t, "a phone without a number", a, err, 409, "scan_required")
	wantPage(t, "the browser itself", tab.do("GET", w.Allow(tab.startLogin(ticket), "alice"), nil), 200)
	if err := checkToken(ctx, node.URL, mustToken(t, ctx, node.URL, ticket), "wechat:unionid:"+w.UnionID(webID, "alice")); err != nil {
		t.Error(err)
	}
	scanned := hubtest.MustCreateTicket(t, ctx, node.URL)
	mustCall(t, ctx, phone, node.URL, scanned.ID, "scan")
	wantPage(t, "after a scan", tab.postForm(scanned, "Origin", ourOrigin), 409, "already_scanned")
}

// TestWebLogin_Offered: the pages offer WeChat as it is configured.
func TestWebLogin_Offered(t *testing.T) {
	t.Parallel()
	w, settings := startWebsite(t, "WECHAT_VERIFY_FILE=Abc123.txt:0123456789abcdef")
	node := hubtest.StartNode(t, program, settings...)
	ctx := hubtest.Context(t, 20*time.Second)
	get := func(path, agent string) *hubtest.Response {
		t.Helper()
		a, err := hubtest.Request(ctx, "GET", node.URL+path, nil, "User-Agent", agent)
		if err != nil || a.Status != 200 {
			t.Fatalf("%s: %+v %v", path, a, err)
		}
		return a
	}
	page := get("/", "")
	wantPage(t, "the login page", page, 200, `action="/api/wechat/qrconnect"`, `target="_blank"`)
	if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' "+w.URL) {
		t.Errorf("policy %q", csp)
	}
	if file := get("/s/Abc123.txt", ""); string(file.Body) != "0123456789abcdef" || !strings.HasPrefix(file.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("verification file: %+v", file)
	}
	ticket := hubtest.MustCreateTicket(t, ctx, node.URL)
	link := "weixin://dl/business/?appid=" + appID + "&amp;path=pages/confirm/confirm&amp;query=scene%3D" + ticket.ID
	for agent, wanted := range map[string]bool{
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1":                     true,
		"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36":                                       true,
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 MicroMessenger/8.0.50 NetType/4G": false,
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36":                                    false,
	} {
		if a := get("/s/"+ticket.ID, agent); bytes.Contains(a.Body, []byte(link)) != wanted {
			t.Errorf("%s: wanted the button: %v\n%s", agent, wanted, a.Body)
		}
	}
}

func TestWebLogin_StateCookie(t *testing.T) {
	t.Parallel()
	const origin = "https://login.example.com"
	_, settings := startWebsite(t, "PUBLIC_URL="+origin, "REDIS_URL=embedded")
	node := hubtest.StartNode(t, program, settings...)
	a := newBrowser(t, node).postForm(hubtest.MustCreateTicket(t, hubtest.Context(t, 20*time.Second), node.URL), "Origin", origin)
	cookie := a.Header.Get("Set-Cookie")
	for _, part := range []string{"__Host-loginhub-", "; Path=/", "; Max-Age=600", "; HttpOnly", "; Secure", "; SameSite=Lax"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("the cookie %q has no %q", cookie, part)
		}
	}
	if to := a.Header.Get("Location"); a.Status != 303 || strings.Contains(cookie, "Domain") ||
		!strings.Contains(to, "redirect_uri="+url.QueryEscape(origin+"/api/wechat/callback")) {
		t.Errorf("%d to %s, cookie %q", a.Status, to, cookie)
	}
}

// TestWebLogin_OwnOriginOnly: a site's page may wait for its tickets. Only the hub's own page may
// start a website login.
func TestWebLogin_OwnOriginOnly(t *testing.T) {
	t.Parallel()
	const site = "https://www.example.com"
	clients := hubtest.WriteFile(t, "clients.yaml", "clients:\n  - {id: both, origins: ["+site+", "+ourOrigin+"]}\n  - {id: site, origins: ["+site+"]}\n")
	_, settings := startWebsite(t, "CLIENTS="+clients)
	node := hubtest.StartNode(t, program, settings...)
	ctx := hubtest.Context(t, 20*time.Second)
	for _, id := range []string{"both", "site"} {
		ticket := hubtest.MustCreateTicket(t, ctx, node.URL, map[string]string{"client_id": id})
		got := newBrowser(t, node).postForm(ticket, "Origin", site)
		if wantPage(t, id, got, 403, "origin_not_allowed"); got.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: a cookie", id)
		}
		if got := newBrowser(t, node).postForm(ticket, "Origin", ourOrigin); got.Status != 303 { // even if the list does not name the hub
			t.Errorf("%s, the hub's own page: %d %s", id, got.Status, got.Body)
		}
	}
}
