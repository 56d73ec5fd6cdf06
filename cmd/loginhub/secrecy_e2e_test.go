package main_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

// secrets are the values that must not appear anywhere, each with a name for the report.
type secrets struct {
	all []struct{ name, value string }
}

func (s *secrets) add(name, value string) {
	s.all = append(s.all, struct{ name, value string }{name, value})
}

// addToken adds a token and its signature.
func (s *secrets) addToken(value string) {
	s.add("token", value)
	s.add("signature", value[strings.LastIndex(value, ".")+1:])
}

// addEncodings adds 256 bits, given as base64url, in every encoding, and half of them.
func (s *secrets) addEncodings(name, value string) {
	raw, _ := base64.RawURLEncoding.DecodeString(value)
	s.add(name, value)
	s.add("half a "+name, value[:22])
	s.add(name+"'s bytes", string(raw))
	s.add(name+" in hex", hex.EncodeToString(raw))
	s.add(name+" in base64", base64.StdEncoding.EncodeToString(raw))
}

// findIn reports every secret that is in the text.
func (s *secrets) findIn(t *testing.T, where, text string) {
	t.Helper()
	for _, one := range s.all {
		if strings.Contains(text, one.value) {
			t.Errorf("%s in %s: %s", one.name, where, one.value)
		}
	}
}

// secretSearch is a Redis and two nodes that log everything, and the secrets that must not be in
// Redis, in its commands or in the logs.
type secretSearch struct {
	*testing.T
	ctx       context.Context
	hidden    secrets
	personal  secrets // who logs in, from where: must not be in Redis or on its disk in clear
	redis     *hubtest.Redis
	nodes     []*hubtest.Node
	stop      func() []string // stops MONITOR
	snapshots strings.Builder // the content of Redis, several times
	tickets   []string        // ids, which no log may contain
	phoneCode string          // of the confirms; "" for none
	traces    *hubtest.Collector
}

// startSearch starts a search for the application's secret and for what all have.
func startSearch(t *testing.T, secret string, settings ...string) *secretSearch {
	s := &secretSearch{T: t, ctx: hubtest.Context(t, 40*time.Second), traces: hubtest.StartCollector(t)}
	settings = append(append(settings, "LOG=debug", "ACCESS_LOG=1", "TRUSTED_PROXIES=127.0.0.1/32"), s.traces.Settings()...)
	s.redis, s.nodes = cluster(t, 2, settings...)
	s.stop = s.redis.Monitor(t)
	for name, value := range map[string]string{"master key": hubtest.Key, "app secret": secret,
		"session key": wechattest.SessionKeyPrefix, "refresh token": wechattest.RefreshTokenPrefix} {
		s.hidden.add(name, value)
	}
	for name, value := range map[string]string{"claimed name": claimedName, "address": visitorAddress, "nonce": visitorNonce,
		"browser": "Firefox 151", "origin": ourOrigin, "user": "whisper"} {
		s.personal.add(name, value)
	}
	return s
}

// What every ticket and phone of a search sends.
const (
	claimedName    = "王小明"
	visitorAddress = "203.0.113.77"
	visitorNonce   = "nonce-of-the-session"
)

// open creates a ticket on one node and opens its socket on the other.
func (s *secretSearch) open() *waiter {
	s.Helper()
	ticket, err := hubtest.CreateTicket(s.ctx, s.nodes[0].URL, map[string]string{"nonce": visitorNonce}, "X-Forwarded-For", visitorAddress,
		"Origin", ourOrigin, "User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:151.0) Gecko/20100101 Firefox/151.0")
	if err != nil {
		s.Fatal(err)
	}
	p := &waiter{Ticket: ticket}
	if err := p.attach(s.ctx, s.nodes[1].URL, "pending"); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { p.socket.Conn.CloseNow() })
	s.hidden.addEncodings("secret", p.Secret)
	s.tickets = append(s.tickets, p.ID)
	return p
}

// snapshot saves the current content of Redis: keys, values and raw bytes.
func (s *secretSearch) snapshot() {
	s.Helper()
	for _, k := range s.redis.Client.Keys(s.ctx, "*").Val() {
		raw, err := s.redis.Client.Dump(s.ctx, k).Result()
		fmt.Fprintln(&s.snapshots, k, raw, err, s.redis.Client.HGetAll(s.ctx, k).Val(), s.redis.Client.Get(s.ctx, k).Val())
	}
}

// call makes a phone's call, whose code is secret.
func (s *secretSearch) call(p *waiter, action, provider, code string, status int) {
	s.Helper()
	s.hidden.add("code", code)
	body := map[string]any{"provider": provider, "code": code, "user": map[string]string{"nickname": claimedName}, "phone_code": s.phoneCode}
	if a, err := hubtest.Request(s.ctx, "POST", p.URL(s.nodes[0].URL, action), body); err != nil || a.Status != status {
		s.Errorf("%s: %+v %v", action, a, err)
	}
	s.snapshot()
}

// finishLogin reads and acknowledges the token, and returns it.
func (s *secretSearch) finishLogin(p *waiter) string {
	s.Helper()
	v, err := p.socket.Until(s.ctx, "confirmed")
	if err != nil {
		s.Fatal(err)
	}
	s.hidden.addToken(v.Token)
	p.seen = *v
	s.snapshot()
	if err := p.ackAndClose(s.ctx, v.Seq); err != nil {
		s.Fatal(err)
	}
	return v.Token
}

// report searches everything for the secrets.
func (s *secretSearch) report() {
	s.Helper()
	s.snapshot()
	if !strings.Contains(s.snapshots.String(), "loginhub:{") {
		s.Error("the dump has no ticket")
	}
	disk := s.redis.Disk(s.T, s.ctx)
	if !strings.Contains(disk, "loginhub:{") {
		s.Error("Redis has written no ticket to its disk")
	}
	for where, text := range map[string]string{"Redis": s.snapshots.String(), "Redis's files": disk} {
		s.hidden.findIn(s.T, where, text)
		s.personal.findIn(s.T, where, text)
	}
	lines := strings.Join(s.stop(), "\n")
	for _, id := range s.tickets {
		if !strings.Contains(lines, id) {
			s.Errorf("MONITOR has not recorded %s", id)
		}
	}
	s.hidden.findIn(s.T, "MONITOR", lines)
	for _, id := range s.tickets { // a reader of the log must not be able to scan the tickets in it
		s.hidden.add("ticket", id)
	}
	for i, n := range s.nodes {
		s.hidden.findIn(s.T, fmt.Sprintf("the log of node %d", i), n.Stop(s.T))
	}
	for _, want := range []string{`"event":"refused"`, `"msg":"access"`} {
		if !strings.Contains(s.nodes[0].Log()+s.nodes[1].Log(), want) {
			s.Errorf("no %s is in the logs", want)
		}
	}
	hubtest.Eventually(s.T, 10*time.Second, "the traces arrive", func() bool {
		return strings.Contains(s.traces.Text(), "tickets/:ticket/scan") || strings.Contains(s.traces.Text(), "callback")
	})
	s.hidden.findIn(s.T, "the traces", s.traces.Text())
	s.personal.findIn(s.T, "the traces", s.traces.Text())
}

func TestSecrecy_RedisAndLogs(t *testing.T) {
	t.Parallel()
	for name, search := range map[string]func(*testing.T){"sandbox": searchSandbox, "mini-program": searchMiniProgram,
		"website": searchWebsite, "own app": searchAssertions, "mini-program codes": searchWxacodes} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			search(t)
		})
	}
}

// searchSandbox also sends a ticket's secret in calls that are refused and in places where it does
// not belong.
func searchSandbox(t *testing.T) {
	s := startSearch(t, appSecret)
	phone := hubtest.NewPhone("whisper")
	for i := range 2 {
		p, other := s.open(), s.open()
		s.call(p, "scan", "sandbox", phone.Code(), 200)
		s.call(p, "confirm", "sandbox", phone.Code(), 200)
		url, wrong := s.nodes[i].URL, &hubtest.Ticket{ID: other.ID, Secret: p.Secret}
		a, err := wrong.PollResponse(s.ctx, url, 0, 0)
		hubtest.AssertRefusal(t, "poll with another ticket's secret", a, err, 401, "invalid_secret")
		a, err = wrong.Ack(s.ctx, url, 1)
		hubtest.AssertRefusal(t, "ack with another ticket's secret", a, err, 401, "invalid_secret")
		a, err = hubtest.DialRefused(s.ctx, wrong, url)
		hubtest.AssertRefusal(t, "socket with another ticket's secret", a, err, 401, "invalid_secret")
		for _, bad := range []string{`{"provider":"` + p.Secret + `","code":"x"}`, `{"code":"` + p.Secret, `{"code":["` + p.Secret + `"]}`} {
			a, err := hubtest.Request(s.ctx, "POST", other.URL(url, "scan"), bad)
			hubtest.AssertRefusal(t, "malformed scan", a, err, 400, "invalid_request")
			s.hidden.findIn(t, "the answer", string(a.Body))
		}
		s.finishLogin(p)
	}
	s.report()
}

func searchMiniProgram(t *testing.T) {
	w, settings := startWeChat(t)
	s := startSearch(t, appSecret, append(settings, "CLIENTS="+hubtest.WriteFile(t, "clients.yaml",
		"clients: [{id: demo, origins: ['"+ourOrigin+"'], phone_number: ask}]\n"))...)
	s.phoneCode = w.PhoneCode(appID, "86", "13800138000")
	s.hidden.add("phone number", "13800138000")
	s.hidden.add("phone code", s.phoneCode)
	s.personal.add("openid", w.OpenID(appID, "whisper"))
	s.personal.add("unionid", w.UnionID(appID, "whisper"))
	p := s.open()
	for _, action := range []string{"scan", "confirm"} {
		s.call(p, action, "wechat", w.Code(appID, "whisper"), 200)
	}
	if claims, _, err := verifyToken(s.ctx, s.nodes[0].URL, s.finishLogin(p)); err != nil || claims["phone_number"] != "+8613800138000" {
		t.Errorf("claims %v %v", claims, err)
	}
	s.phoneCode = ""
	faulty := s.open()
	for _, f := range weChatFaults {
		w.Fail(f.fault)
		s.call(faulty, "scan", "wechat", w.Code(appID, "whisper"), f.status)
	}
	if len(w.SessionKeys()) < 2 {
		t.Errorf("only %d session keys were issued", len(w.SessionKeys()))
	}
	s.report()
}

// searchWebsite covers the code, state, cookie and tokens of a WeChat website login.
func searchWebsite(t *testing.T) {
	w, settings := startWebsite(t)
	s := startSearch(t, webSecret, settings...)
	s.personal.add("openid", w.OpenID(webID, "whisper"))
	s.personal.add("unionid", w.UnionID(webID, "whisper"))
	startAtWeChat := func(p *waiter) (tab *browser, back, code string) {
		tab = newBrowser(t, s.nodes[0])
		uuid := tab.startLogin(p.Ticket)
		s.snapshot() // the state is in Redis now
		back = w.Allow(uuid, "whisper")
		q, err := url.Parse(back)
		if err != nil {
			t.Fatal(err)
		}
		at, _ := url.Parse(ourOrigin)
		cookies := tab.client.Jar.Cookies(at)
		code = q.Query().Get("code")
		if len(cookies) != 1 || len(code) < 16 {
			t.Fatalf("%d cookies, back to %s", len(cookies), back)
		}
		s.hidden.addEncodings("state", q.Query().Get("state"))
		s.hidden.addEncodings("cookie", cookies[0].Value)
		s.hidden.add("code", code)
		return tab, back, code
	}
	p, stranger := s.open(), newBrowser(t, s.nodes[0])
	_, back, _ := startAtWeChat(p)
	wantPage(t, "in another browser", stranger.do("GET", back, nil), http.StatusForbidden)
	tab, back, _ := startAtWeChat(p)
	tab.node = s.nodes[1].URL
	wantPage(t, "callback", tab.do("GET", back, nil), http.StatusOK)
	s.finishLogin(p)
	wantPage(t, "used again", tab.do("GET", back, nil), http.StatusForbidden)
	wantPage(t, "a foreign form", stranger.postForm(p.Ticket, "Origin", "https://evil.example"), http.StatusForbidden)
	faulty := s.open()
	for name, f := range weChatFaults {
		tab, back, _ := startAtWeChat(faulty)
		w.Fail(f.fault)
		wantPage(t, name, tab.do("GET", back, nil), f.status)
	}
	tab, back, code := startAtWeChat(faulty)
	w.Fail(wechattest.Fault{Errcode: -1, Errmsg: "for " + code})
	wantPage(t, "an answer that repeats the code", tab.do("GET", back, nil), http.StatusServiceUnavailable)
	tokens := w.AccessTokens()
	if len(tokens) < 1 {
		t.Error("no token was issued")
	}
	for _, token := range tokens {
		s.hidden.add("WeChat's token", token)
	}
	s.report()
}

// searchAssertions covers the assertions of a company's back end.
func searchAssertions(t *testing.T) {
	company := hubtest.StartAppIssuer(t)
	s := startSearch(t, appSecret, company.Settings...)
	s.personal.add("subject", "user-of-the-company")
	s.personal.add("vouched name", "小红")
	p := s.open()
	scan := assertion(company, p.ID, "user-of-the-company")
	for _, c := range []struct {
		action, code string
		status       int
	}{
		{"scan", scan, 200}, {"confirm", scan, 422}, // used before
		{"confirm", assertion(company, strings.Repeat("A", 22), "user-of-the-company"), 422},
		{"confirm", assertion(hubtest.StartAppIssuer(t), p.ID, "user-of-the-company"), 422},
		{"confirm", assertion(company, p.ID, "user-of-the-company") + "AAAA", 422},
		{"confirm", assertion(company, p.ID, "user-of-the-company"), 200},
	} {
		for _, part := range strings.Split(c.code, ".")[1:] { // the header is not secret
			s.hidden.add("assertion", part)
		}
		s.call(p, c.action, "app", c.code, c.status)
	}
	s.finishLogin(p)
	s.report()
}

// searchWxacodes covers the access token for mini-program codes, which all nodes share through
// Redis.
func searchWxacodes(t *testing.T) {
	w, settings := startWebsite(t, "QR=wxacode")
	s := startSearch(t, appSecret, settings...)
	draw := func(p *waiter) {
		t.Helper()
		for _, n := range s.nodes {
			pngAt(t, p.URL(n.URL, "qr.png"))
		}
		s.snapshot()
		for _, token := range w.AccessTokens() {
			s.hidden.add("access token", token)
		}
	}
	draw(s.open())
	if n := len(w.AccessTokens()); n != 1 || len(w.Scenes()) != 2 {
		t.Errorf("%d access tokens, codes for %q", n, w.Scenes())
	}
	w.Supersede(appID) // a refused token is renewed
	p := s.open()
	draw(p)
	if n := w.CallsTo("/cgi-bin/stable_token"); n < 2 {
		t.Errorf("%d access tokens were requested", n)
	}
	// On one node the connection breaks, on the other the answer repeats the request.
	w.Fail(wechattest.Fault{Break: wechattest.HangUp}, wechattest.Fault{Errcode: -1, Errmsg: "for " + w.AccessTokens()[0]})
	draw(s.open())
	for _, n := range s.nodes {
		waitLog(t, n, 1, "no QR code from the provider")
	}
	s.call(p, "scan", "wechat", "invented-code", 422)
	s.report()
}

func TestSecrecy_RedisPassword(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	const password = "hush-hush-0123456789"
	n := hubtest.LaunchNode(t, program, "LOG=debug", "REDIS_URL="+strings.Replace(redis.URL, hubtest.HubPassword, password, 1))
	waitLog(t, n, 1, "Redis does not answer yet")
	hubtest.Eventually(t, 10*time.Second, "the node runs and is not ready", func() bool { return n.Get("/readyz") == 503 })
	if log := n.Stop(t); strings.Contains(log, password) {
		t.Errorf("the log contains the password:\n%s", log)
	}
}
