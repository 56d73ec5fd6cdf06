package main_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"image/png"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

const (
	ourOrigin  = "http://login.test" // the public URL of hubtest.StartNode
	programID  = "wx0123456789abcdef"
	programKey = "program-secret-0123456789abcdef"
	webID      = "wxfedcba9876543210"
	webKey     = "website-secret-0123456789abcdef"
)

// newWeChat is a fake WeChat with the mini-program and the website.
func newWeChat(t *testing.T) *wechattest.Server {
	t.Helper()
	w := wechattest.New(wechattest.Options{})
	t.Cleanup(w.Close)
	w.Register(wechattest.App{ID: programID, Secret: programKey, OpenPlatform: "acme", Pages: []string{"pages/confirm/confirm"}})
	w.Register(wechattest.App{ID: webID, Secret: webKey, OpenPlatform: "acme", CallbackHost: "login.test"})
	return w
}

// withWeChat returns the settings of nodes that use it.
func withWeChat(w *wechattest.Server, more ...string) []string {
	return append([]string{"WECHAT_API_URL=" + w.URL, "WECHAT_OPEN_URL=" + w.URL, "WECHAT_APP_ID=" + programID,
		"WECHAT_APP_SECRET=" + programKey, "WECHAT_WEB_APP_ID=" + webID, "WECHAT_WEB_APP_SECRET=" + webKey}, more...)
}

// twoNodes share a Redis and a fake WeChat.
func twoNodes(t *testing.T, w *wechattest.Server, more ...string) (a, b *hubtest.Node, redis *hubtest.Redis) {
	t.Helper()
	redis = hubtest.StartRedis(t)
	set := withWeChat(w, append([]string{"REDIS_URL=" + redis.URL}, more...)...)
	return hubtest.StartNode(t, program, set...), hubtest.StartNode(t, program, set...), redis
}

// browser is a person's browser with cookies. It reaches login.test at any node.
type browser struct {
	t      *testing.T
	client *http.Client
	node   string
}

func newBrowser(t *testing.T, node *hubtest.Node) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, node: node.URL}
	b.client = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return b
}

// do sends a request for login.test to the browser's node. Cookies and Host are those of
// login.test.
func (b *browser) do(method, target string, form url.Values, headers ...string) *hubtest.Response {
	b.t.Helper()
	b.client.Transport = routeTo(b.node)
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

// routeTo sends requests for login.test to the node.
func routeTo(node string) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "login.test" {
			r = r.Clone(r.Context())
			r.URL.Host = strings.TrimPrefix(node, "http://")
			r.Host = "login.test"
			return checkedTransport.RoundTrip(r)
		}
		return http.DefaultTransport.RoundTrip(r)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// startLogin presses the login page's button: it sends the form and opens WeChat's page.
func (b *browser) startLogin(ticket *hubtest.Ticket) (uuid string) {
	b.t.Helper()
	a := b.do("POST", ourOrigin+"/api/wechat/qrconnect", url.Values{"ticket": {ticket.ID}, "secret": {ticket.Secret}}, "Origin", ourOrigin)
	if a.Status != http.StatusSeeOther {
		b.t.Fatalf("qrconnect: %d %s", a.Status, a.Body)
	}
	to := a.Header.Get("Location")
	if strings.Contains(to, ticket.Secret) || strings.Contains(to, ticket.ID) || !strings.HasSuffix(to, "#wechat_redirect") {
		b.t.Errorf("sent to %s", to)
	}
	page := b.do("GET", to, nil)
	if uuid = wechattest.UUID(string(page.Body)); uuid == "" {
		b.t.Fatalf("WeChat's page: %s", page.Body)
	}
	return uuid
}

func makeTicket(ctx context.Context, t *testing.T, node *hubtest.Node, request any) *hubtest.Ticket {
	t.Helper()
	ticket, err := hubtest.CreateTicket(ctx, node.URL, request)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

func dialSocket(ctx context.Context, t *testing.T, ticket *hubtest.Ticket, node *hubtest.Node) *hubtest.Socket {
	t.Helper()
	page, err := ticket.Dial(ctx, node.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { page.Conn.CloseNow() })
	return page
}

// ticketState is the ticket's state, as its browser gets it.
func ticketState(ctx context.Context, t *testing.T, ticket *hubtest.Ticket, node *hubtest.Node) string {
	t.Helper()
	v, err := ticket.Poll(ctx, node.URL, 0, 0)
	if err != nil || v == nil {
		t.Fatalf("poll: %+v %v", v, err)
	}
	return v.State
}

func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	var claims map[string]any
	if err != nil || json.Unmarshal(raw, &claims) != nil {
		t.Fatalf("token %s: %v", token, err)
	}
	return claims
}

func TestWebLogin_AcrossNodes(t *testing.T) {
	t.Parallel()
	w := newWeChat(t)
	a, b, redis := twoNodes(t, w)
	ctx := loginContext(t)
	ticket := makeTicket(ctx, t, a, nil)
	page := dialSocket(ctx, t, ticket, a)
	tab := newBrowser(t, a)
	uuid := tab.startLogin(ticket)
	for _, key := range redis.Client.Keys(ctx, "loginhub:vault:*").Val() {
		raw := redis.Client.Get(ctx, key).Val()
		if strings.Contains(raw, ticket.ID) || strings.Contains(raw, "browser") {
			t.Errorf("the state is stored in clear: %q", raw)
		}
	}
	tab.node = b.URL // WeChat returns the browser to another node
	back := w.Allow(uuid, "小明")
	done := tab.do("GET", back, nil)
	if done.Status != 200 || !bytes.Contains(done.Body, []byte("已登录")) || !bytes.Contains(done.Body, []byte("You are logged in")) {
		t.Fatalf("callback: %d %s", done.Status, done.Body)
	}
	v, err := page.Until(ctx, "confirmed")
	if err != nil || v.User == nil || v.User.Nickname != "小明" || v.Seq != 2 {
		t.Fatalf("view %+v %v", v, err)
	}
	claims := claimsOf(t, v.Token)
	if claims["sub"] != "wechat:"+webID+":"+w.OpenID(webID, "小明") || claims["nickname"] != "小明" || claims["claimed"] != nil ||
		claims["unionid"] != w.UnionID(programID, "小明") || !strings.HasPrefix(claims["picture"].(string), "https://") {
		t.Errorf("claims %v", claims)
	}
	// The repeated callback, as by the back button, shows a clear page and exchanges no code.
	calls := w.Calls()
	again := tab.do("GET", back, nil)
	if again.Status != 403 || !bytes.Contains(again.Body, []byte("state_invalid")) || !bytes.Contains(again.Body, []byte("已失效")) || w.Calls() != calls {
		t.Errorf("repeated: %d %s", again.Status, again.Body)
	}
	q, _ := url.Parse(back)
	for _, node := range []*hubtest.Node{a, b} {
		for _, forbidden := range []string{webKey, q.Query().Get("code"), q.Query().Get("state"), ticket.Secret, v.Token} {
			if strings.Contains(node.Log(), forbidden) {
				t.Errorf("a log contains %q", forbidden)
			}
		}
	}
}

func TestWebLogin_AttackersTicket(t *testing.T) {
	t.Parallel()
	w := newWeChat(t)
	a, b, _ := twoNodes(t, w)
	ctx := loginContext(t)
	path := ourOrigin + "/api/wechat/qrconnect"
	ticket := makeTicket(ctx, t, a, nil)
	form := url.Values{"ticket": {ticket.ID}, "secret": {ticket.Secret}}
	victim := newBrowser(t, b)

	for what, origin := range map[string]string{"a form on the attacker's site": "https://evil.example.net",
		"a form in a sandboxed frame": "null", "a form without Origin": ""} {
		headers := []string{}
		if origin != "" {
			headers = []string{"Origin", origin}
		}
		got := victim.do("POST", path, form, headers...)
		if got.Status != 403 || len(got.Header.Values("Set-Cookie")) != 0 || !bytes.Contains(got.Body, []byte("<html")) {
			t.Errorf("%s: %d %s", what, got.Status, got.Body)
		}
	}
	if got := victim.do("GET", path+"?"+form.Encode(), nil); got.Status != 405 {
		t.Errorf("a link: %d", got.Status)
	}
	// The attacker starts a login and sends the victim to WeChat or to the callback.
	attacker := newBrowser(t, a)
	for what, callback := range map[string]string{
		"the attacker's state":       w.Allow(attacker.startLogin(ticket), "victim"),
		"the attacker's refusal":     w.Deny(attacker.startLogin(ticket)),
		"an unknown state":           ourOrigin + "/api/wechat/callback?code=abc&state=" + strings.Repeat("A", 43),
		"a malformed state":          ourOrigin + "/api/wechat/callback?code=abc&state=x",
		"no state":                   ourOrigin + "/api/wechat/callback?code=abc",
		"the victim's other attempt": "",
		"a cookie of another value":  "",
	} {
		if callback == "" { // the cookie of another attempt does not match
			victim.startLogin(makeTicket(ctx, t, b, nil))
			callback = w.Allow(attacker.startLogin(ticket), "victim")
		}
		if what == "a cookie of another value" {
			at, _ := url.Parse(ourOrigin + "/api/wechat/callback")
			for _, c := range attacker.client.Jar.Cookies(at) {
				victim.client.Jar.SetCookies(at, []*http.Cookie{{Name: c.Name, Value: strings.Repeat("A", len(c.Value)), Path: "/"}})
			}
		}
		calls := w.CallsTo("/sns/oauth2/access_token")
		got := victim.do("GET", callback, nil)
		if got.Status != 403 || !bytes.Contains(got.Body, []byte("state_")) || w.CallsTo("/sns/oauth2/access_token") != calls {
			t.Errorf("%s: %d after %d exchanges: %s", what, got.Status, w.Calls()-calls, got.Body)
		}
		// The state is consumed: the attacker cannot use it either.
		if got := attacker.do("GET", callback, nil); got.Status != 403 {
			t.Errorf("%s, then the attacker: %d", what, got.Status)
		}
	}
	if s := ticketState(ctx, t, ticket, a); s != "pending" {
		t.Errorf("the attacker's ticket is %s", s)
	}
	// A phone cannot use a code of the website.
	code, _ := url.Parse(w.Allow(attacker.startLogin(ticket), "victim"))
	got, err := hubtest.Request(ctx, "POST", ticket.URL(a.URL, "confirm"),
		map[string]string{"provider": "wechat_web", "code": code.Query().Get("code")})
	if err != nil || got.Status != 400 {
		t.Errorf("as a phone: %+v %v", got, err)
	}
}

func TestWebLogin_CheckOrder(t *testing.T) {
	t.Parallel()
	w := newWeChat(t)
	node := hubtest.StartNode(t, program, withWeChat(w)...)
	ctx := loginContext(t)
	ticket, other := makeTicket(ctx, t, node, nil), makeTicket(ctx, t, node, nil)
	form := "ticket=" + ticket.ID + "&secret=" + ticket.Secret
	const kind = "application/x-www-form-urlencoded"
	for what, c := range map[string]struct {
		kind, body, origin string
		status             int
		code               string
	}{
		"JSON":                    {"application/json", `{}`, ourOrigin, 415, "unsupported_media_type"},
		"multipart":               {"multipart/form-data; boundary=x", form, ourOrigin, 415, "unsupported_media_type"},
		"large":                   {kind, form + strings.Repeat("&x=y", 5000), ourOrigin, 413, "too_large"},
		"malformed":               {kind, "ticket=%zz", ourOrigin, 400, "invalid_request"},
		"a field twice":           {kind, form + "&secret=x", ourOrigin, 400, "invalid_request"},
		"no ticket":               {kind, "secret=" + ticket.Secret, ourOrigin, 404, "ticket_not_found"},
		"no secret":               {kind, "ticket=" + ticket.ID, ourOrigin, 401, "invalid_secret"},
		"another ticket's secret": {kind, "ticket=" + ticket.ID + "&secret=" + other.Secret, ourOrigin, 401, "invalid_secret"},
		"secret before origin":    {kind, "ticket=" + ticket.ID + "&secret=" + other.Secret, "https://evil.example.net", 401, "invalid_secret"},
		"foreign origin":          {kind, form, "https://evil.example.net", 403, "origin_not_allowed"},
		"the node's own name":     {kind, form, node.URL, 403, "origin_not_allowed"},
	} {
		a, err := hubtest.Request(ctx, "POST", node.URL+"/api/wechat/qrconnect", c.body, "Content-Type", c.kind, "Origin", c.origin)
		if err != nil || a.Status != c.status || a.Code != c.code {
			t.Errorf("%s: %d %s %v", what, a.Status, a.Code, err)
		}
	}
	if s := ticketState(ctx, t, ticket, node); s != "pending" || w.Calls() != 0 {
		t.Errorf("%s after %d calls", s, w.Calls())
	}
}

func TestWebLogin_Refused(t *testing.T) {
	t.Parallel()
	w := newWeChat(t)
	a, b, _ := twoNodes(t, w)
	ctx := loginContext(t)
	ticket := makeTicket(ctx, t, a, nil)
	page := dialSocket(ctx, t, ticket, b)
	tab := newBrowser(t, a)
	uuid := tab.startLogin(ticket)
	// Today's WeChat does not redirect: no callback arrives, and the ticket stays open.
	w.Deny(uuid)
	if s := ticketState(ctx, t, ticket, a); s != "pending" {
		t.Errorf("without a redirect: %s", s)
	}
	got := tab.do("GET", w.Deny(tab.startLogin(ticket)), nil)
	if got.Status != 200 || !bytes.Contains(got.Body, []byte("已取消")) || !bytes.Contains(got.Body, []byte("Cancelled")) {
		t.Errorf("refused: %d %s", got.Status, got.Body)
	}
	if _, err := page.Until(ctx, "rejected"); err != nil {
		t.Error(err)
	}
	if w.Calls() != 0 {
		t.Errorf("%d needless calls", w.Calls())
	}
	// The other attempt is allowed, but too late.
	late := tab.do("GET", w.Allow(uuid, "alice"), nil)
	if late.Status != 409 || w.Calls() != 0 {
		t.Errorf("late: %d after %d calls", late.Status, w.Calls())
	}
}

func TestWebLogin_ErrorPages(t *testing.T) {
	t.Parallel()
	w := newWeChat(t)
	node := hubtest.StartNode(t, program, withWeChat(w)...)
	ctx := loginContext(t)
	ticket := makeTicket(ctx, t, node, nil)
	tab := newBrowser(t, node)
	for what, c := range map[string]struct {
		fault  wechattest.Fault
		status int
		code   string
	}{
		"40029":              {wechattest.Fault{Errcode: 40029}, 422, "code_invalid"},
		"40163":              {wechattest.Fault{Errcode: 40163, StringErrcode: true}, 422, "code_invalid"},
		"40226":              {wechattest.Fault{Errcode: 40226}, 403, "user_blocked"},
		"45011":              {wechattest.Fault{Errcode: 45011}, 503, "provider_unavailable"},
		"-1":                 {wechattest.Fault{Errcode: -1}, 503, "provider_unavailable"},
		"40125":              {wechattest.Fault{Errcode: 40125}, 502, "provider_misconfigured"},
		"empty":              {wechattest.Fault{Page: wechattest.EmptyPage}, 503, "provider_unavailable"},
		"HTML":               {wechattest.Fault{Page: wechattest.HTMLPage}, 503, "provider_unavailable"},
		"502":                {wechattest.Fault{Page: wechattest.BadGatewayPage}, 503, "provider_unavailable"},
		"reset":              {wechattest.Fault{Break: wechattest.Reset}, 503, "provider_unavailable"},
		"a truncated answer": {wechattest.Fault{Break: wechattest.Truncated}, 503, "provider_unavailable"},
	} {
		back := w.Allow(tab.startLogin(ticket), "alice")
		u, _ := url.Parse(back)
		w.Fail(c.fault)
		got := tab.do("GET", back, nil)
		if got.Status != c.status || !bytes.Contains(got.Body, []byte(`data-code="`+c.code+`"`)) || !bytes.Contains(got.Body, []byte(`lang="zh-CN"`)) {
			t.Errorf("%s: %d %s", what, got.Status, got.Body)
		}
		if n := w.CallsFor(u.Query().Get("code")); n != 1 {
			t.Errorf("%s: %d exchanges of one code", what, n)
		}
	}
	if s := ticketState(ctx, t, ticket, node); s != "pending" {
		t.Errorf("the ticket is %s", s)
	}
	// The user may try again.
	if got := tab.do("GET", w.Allow(tab.startLogin(ticket), "alice"), nil); got.Status != 200 {
		t.Errorf("second try: %d %s", got.Status, got.Body)
	}
}

func TestWebLogin_NoNumberMatching(t *testing.T) {
	t.Parallel()
	w := newWeChat(t)
	clients := writeTestFile(t, "clients.yaml", "clients:\n  - id: demo\n    origins: ["+ourOrigin+"]\n    number_matching: true\n    subject: unionid\n")
	node := hubtest.StartNode(t, program, withWeChat(w, "CLIENTS="+clients)...)
	ctx := loginContext(t)
	ticket := makeTicket(ctx, t, node, nil)
	a, err := hubtest.Request(ctx, "POST", ticket.URL(node.URL, "confirm"), map[string]string{"provider": "wechat", "code": w.Code(programID, "alice")})
	if err != nil || a.Status != 409 || a.Code != "scan_required" {
		t.Fatalf("a phone: %+v %v", a, err)
	}
	tab := newBrowser(t, node)
	if got := tab.do("GET", w.Allow(tab.startLogin(ticket), "alice"), nil); got.Status != 200 {
		t.Fatalf("the browser itself: %d %s", got.Status, got.Body)
	}
	v, err := ticket.Poll(ctx, node.URL, 0, 0)
	if err != nil || claimsOf(t, v.Token)["sub"] != "wechat:unionid:"+w.UnionID(webID, "alice") {
		t.Errorf("%+v %v", v, err)
	}
	// A user who has scanned with a phone must decide there.
	scanned := makeTicket(ctx, t, node, nil)
	if a, err := hubtest.Request(ctx, "POST", scanned.URL(node.URL, "scan"), map[string]string{"provider": "wechat", "code": w.Code(programID, "bob")}); err != nil || a.Status != 200 {
		t.Fatalf("scan: %+v %v", a, err)
	}
	got := tab.do("POST", ourOrigin+"/api/wechat/qrconnect", url.Values{"ticket": {scanned.ID}, "secret": {scanned.Secret}}, "Origin", ourOrigin)
	if got.Status != 409 {
		t.Errorf("after a scan: %d", got.Status)
	}
	// A missing unionid is refused. No other subject replaces it.
	third := makeTicket(ctx, t, node, nil)
	back := w.Allow(tab.startLogin(third), "carol")
	w.Fail(wechattest.Fault{NoUnionID: true}, wechattest.Fault{NoUnionID: true})
	if got := tab.do("GET", back, nil); got.Status != 403 || !bytes.Contains(got.Body, []byte("identity_incomplete")) {
		t.Errorf("without unionid: %d %s", got.Status, got.Body)
	}
}

func TestWebLogin_Offered(t *testing.T) {
	t.Parallel()
	w := newWeChat(t)
	node := hubtest.StartNode(t, program, withWeChat(w, "WECHAT_VERIFY_FILE=Abc123.txt:0123456789abcdef")...)
	ctx := loginContext(t)
	a, err := hubtest.Request(ctx, "GET", node.URL+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	csp := a.Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "form-action 'self' "+w.URL) || a.Header.Get("Referrer-Policy") != "same-origin" {
		t.Errorf("policy %q, referrer %q", csp, a.Header.Get("Referrer-Policy"))
	}
	for _, text := range []string{`action="/api/wechat/qrconnect"`, `target="_blank"`, "weixin://dl/business/?appid=" + programID} {
		if !bytes.Contains(a.Body, []byte(text)) {
			t.Errorf("%s is missing in the page", text)
		}
	}
	file, err := hubtest.Request(ctx, "GET", node.URL+"/s/Abc123.txt", nil)
	if err != nil || file.Status != 200 || string(file.Body) != "0123456789abcdef" || !strings.HasPrefix(file.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("verification file: %+v %v", file, err)
	}
	ticket := makeTicket(ctx, t, node, nil)
	link := "weixin://dl/business/?appid=" + programID + "&amp;path=pages/confirm/confirm&amp;query=scene%3D" + ticket.ID
	for agent, wanted := range map[string]bool{
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1":                     true,
		"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36":                                       true,
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 MicroMessenger/8.0.50 NetType/4G": false,
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36":                                    false,
	} {
		a, err := hubtest.Request(ctx, "GET", node.URL+"/s/"+ticket.ID, nil, "User-Agent", agent)
		if err != nil || a.Status != 200 || bytes.Contains(a.Body, []byte(link)) != wanted {
			t.Errorf("%s: %v, wanted the button: %v\n%s", agent, err, wanted, a.Body)
		}
	}
}

func TestWxacode_OneCall(t *testing.T) {
	t.Parallel()
	w := newWeChat(t)
	a, b, redis := twoNodes(t, w, "QR=wxacode")
	ctx := loginContext(t)
	ticket := makeTicket(ctx, t, a, nil)
	if ticket.QRImage != "/api/login/tickets/"+ticket.ID+"/qr.png" || ticket.QRURL != ourOrigin+"/s/"+ticket.ID {
		t.Errorf("qr_image %s, qr_url %s", ticket.QRImage, ticket.QRURL)
	}
	var all sync.WaitGroup
	for range 10 {
		for _, node := range []*hubtest.Node{a, b} {
			all.Go(func() {
				got, err := hubtest.Request(ctx, "GET", node.URL+ticket.QRImage, nil)
				if err != nil || got.Header.Get("Content-Type") != "image/png" {
					t.Errorf("%+v %v", got, err)
					return
				}
				if m, err := png.Decode(bytes.NewReader(got.Body)); err != nil || m.Bounds().Dx() != 43 {
					t.Errorf("not WeChat's picture: %v", err)
				}
			})
		}
	}
	all.Wait()
	svg, err := hubtest.Request(ctx, "GET", ticket.URL(a.URL, "qr.svg"), nil)
	if err != nil || !bytes.Contains(svg.Body, []byte("data:image/png;base64,")) {
		t.Errorf("svg: %.100s %v", svg.Body, err)
	}
	if n := len(w.Scenes()); n != 2 || w.CallsTo("/cgi-bin/stable_token") != 1 {
		t.Errorf("%d codes for two nodes, %d tokens", n, w.CallsTo("/cgi-bin/stable_token"))
	}
	for _, key := range redis.Client.Keys(ctx, "loginhub:vault:*").Val() {
		if raw := redis.Client.Get(ctx, key).Val(); strings.Contains(raw, "-stable") {
			t.Errorf("the access token is stored in clear under %s", key)
		}
	}
	// Unknown and closed tickets use no WeChat quota.
	calls := w.Calls()
	done := makeTicket(ctx, t, a, nil)
	if a, err := hubtest.Request(ctx, "POST", done.URL(a.URL, "confirm"), map[string]string{"provider": "wechat", "code": w.Code(programID, "alice")}); err != nil || a.Status != 200 {
		t.Fatalf("confirm: %+v %v", a, err)
	}
	for _, id := range []string{strings.Repeat("A", 22), done.ID} {
		for _, file := range []string{"qr.png", "qr.svg"} {
			got, err := hubtest.Request(ctx, "GET", a.URL+"/api/login/tickets/"+id+"/"+file, nil)
			if err != nil || got.Status != 200 || bytes.Contains(got.Body, []byte("base64")) {
				t.Errorf("%s: %+v %v", file, got, err)
			}
		}
	}
	if w.Calls() != calls+1 { // one for the confirm
		t.Errorf("%d calls", w.Calls()-calls)
	}
}

func TestWxacode_FallbackToLink(t *testing.T) {
	t.Parallel()
	w := newWeChat(t)
	node := hubtest.StartNode(t, program, withWeChat(w, "QR=wxacode")...)
	ctx := loginContext(t)
	w.FailAlways(wechattest.Fault{Errcode: 40164})
	for range 3 {
		ticket := makeTicket(ctx, t, node, nil)
		got, err := hubtest.Request(ctx, "GET", node.URL+ticket.QRImage+"?size=300", nil)
		if err != nil || got.Status != 200 {
			t.Fatalf("%+v %v", got, err)
		}
		if m, err := png.Decode(bytes.NewReader(got.Body)); err != nil || m.Bounds().Dx() != 300 {
			t.Errorf("no code of the link: %v", err)
		}
	}
	if w.Calls() != 1 || strings.Count(node.Log(), "the link is shown instead") != 1 || !strings.Contains(node.Log(), "40164") {
		t.Errorf("%d calls; the log: %s", w.Calls(), node.Log())
	}
	if strings.Contains(node.Log(), programKey) {
		t.Error("the log contains the secret")
	}
}

// writeTestFile writes a file for the test.
func writeTestFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWebLogin_StateCookie(t *testing.T) {
	t.Parallel()
	w := newWeChat(t)
	w.Register(wechattest.App{ID: webID, Secret: webKey, CallbackHost: "login.example.com"})
	const origin = "https://login.example.com"
	node := hubtest.StartNode(t, program, withWeChat(w, "PUBLIC_URL="+origin, "REDIS_URL=embedded")...)
	ctx := loginContext(t)
	ticket := makeTicket(ctx, t, node, nil)
	b := newBrowser(t, node)
	a := b.do("POST", node.URL+"/api/wechat/qrconnect", url.Values{"ticket": {ticket.ID}, "secret": {ticket.Secret}}, "Origin", origin)
	cookie := a.Header.Get("Set-Cookie")
	for _, part := range []string{"__Host-loginhub-", "; Path=/", "; Max-Age=600", "; HttpOnly", "; Secure", "; SameSite=Lax"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("the cookie %q has no %q", cookie, part)
		}
	}
	if a.Status != 303 || strings.Contains(cookie, "Domain") {
		t.Errorf("%d, cookie %q", a.Status, cookie)
	}
	if to := a.Header.Get("Location"); !strings.Contains(to, "redirect_uri="+url.QueryEscape(origin+"/api/wechat/callback")) {
		t.Errorf("to %s", to)
	}
}

// TestWebLogin_OwnOriginOnly: a site's page may wait for its tickets. Only the hub's own page may
// start a website login.
func TestWebLogin_OwnOriginOnly(t *testing.T) {
	t.Parallel()
	w := newWeChat(t)
	const site = "https://www.example.com"
	clients := writeTestFile(t, "clients.yaml", "clients:\n  - {id: both, origins: ["+site+", "+ourOrigin+"]}\n  - {id: site, origins: ["+site+"]}\n")
	node := hubtest.StartNode(t, program, withWeChat(w, "CLIENTS="+clients)...)
	ctx := loginContext(t)
	for id, origin := range map[string]string{"both": site, "site": site} {
		ticket := makeTicket(ctx, t, node, map[string]string{"client_id": id})
		got := newBrowser(t, node).do("POST", ourOrigin+"/api/wechat/qrconnect",
			url.Values{"ticket": {ticket.ID}, "secret": {ticket.Secret}}, "Origin", origin)
		if got.Status != 403 || !bytes.Contains(got.Body, []byte("origin_not_allowed")) || len(got.Header.Values("Set-Cookie")) != 0 {
			t.Errorf("%s from %s: %d %s", id, origin, got.Status, got.Body)
		}
	}
	own := makeTicket(ctx, t, node, map[string]string{"client_id": "site"}) // the list does not name the hub
	if got := newBrowser(t, node).do("POST", ourOrigin+"/api/wechat/qrconnect",
		url.Values{"ticket": {own.ID}, "secret": {own.Secret}}, "Origin", ourOrigin); got.Status != 303 {
		t.Errorf("the hub's own page: %d %s", got.Status, got.Body)
	}
}
