package main_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

// secretSearch is a Redis and two nodes that log everything, and the secrets that must not be in
// Redis, in its commands or in the logs.
type secretSearch struct {
	*testing.T
	ctx       context.Context
	hidden    secrets
	redis     *hubtest.Redis
	nodes     []*hubtest.Node
	stop      func() []string // stops MONITOR
	snapshots strings.Builder // the content of Redis, several times
	tickets   []string        // ids, which no log may contain
}

func startSearch(t *testing.T, settings ...string) *secretSearch {
	s := &secretSearch{T: t, ctx: testContext(t, 40*time.Second)}
	s.redis, s.nodes = cluster(t, 2, append(settings, "LOG=debug")...)
	s.stop = s.redis.Monitor(t)
	s.hidden.add("master key", hubtest.Key)
	return s
}

// open creates a ticket on one node and opens its socket on the other.
func (s *secretSearch) open() *waiter {
	s.Helper()
	p := mustOpenWaiter(s.T, s.ctx, s.nodes[0].URL, s.nodes[1].URL)
	s.hidden.addSecret(p.Secret)
	s.tickets = append(s.tickets, p.ID)
	return p
}

// snapshot saves the current content of Redis.
func (s *secretSearch) snapshot() {
	s.Helper()
	s.snapshots.WriteString(dumpRedis(s.T, s.ctx, s.redis))
}

// finishLogin reads and acknowledges the token.
func (s *secretSearch) finishLogin(p *waiter) {
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
}

// report searches everything for the secrets.
func (s *secretSearch) report() {
	s.Helper()
	s.snapshot()
	s.hidden.findIn(s.T, "Redis", s.snapshots.String())
	lines := strings.Join(s.stop(), "\n")
	for _, id := range s.tickets {
		if !strings.Contains(lines, id) {
			s.Errorf("MONITOR has not recorded %s", id)
		}
	}
	s.hidden.findIn(s.T, "MONITOR", lines)
	for _, id := range s.tickets {
		s.hidden.add("ticket", id)
	}
	for i, n := range s.nodes {
		s.hidden.findIn(s.T, fmt.Sprintf("the log of node %d", i), n.Log())
	}
	if !strings.Contains(s.nodes[0].Log()+s.nodes[1].Log(), `"event":"refused"`) {
		s.Error("no refused call is in the audit log")
	}
}

func TestSecrecy_OtherProviders(t *testing.T) {
	t.Parallel()
	for name, tell := range map[string]func(*testing.T){"WeChat on the computer": searchWebLogin, "the own app": searchAssertions, "mini-program codes": searchWxacodes} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tell(t)
		})
	}
}

// searchWebLogin covers the code, state, cookie and tokens of a WeChat website login.
func searchWebLogin(t *testing.T) {
	w := newWeChat(t)
	s := startSearch(t, withWeChat(w)...)
	s.hidden.add("app secret", webKey)
	s.hidden.add("refresh token", wechattest.RefreshTokenPrefix)
	startAtWeChat := func(p *waiter) (tab *browser, back string) {
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
		if len(cookies) != 1 || len(q.Query().Get("code")) < 16 {
			t.Fatalf("%d cookies, back to %s", len(cookies), back)
		}
		s.hidden.addEncodings("state", q.Query().Get("state"))
		s.hidden.addEncodings("cookie", cookies[0].Value)
		s.hidden.add("code", q.Query().Get("code"))
		return tab, back
	}
	for i := range 2 {
		p := s.open()
		tab, back := startAtWeChat(p)
		stranger := newBrowser(t, s.nodes[i])
		if i == 1 { // another user's link, then a made-up one
			if a := stranger.do("GET", back, nil); a.Status != http.StatusForbidden {
				t.Errorf("in another browser: %d", a.Status)
			}
			tab, back = startAtWeChat(p)
		}
		tab.node = s.nodes[1].URL
		if a := tab.do("GET", back, nil); a.Status != http.StatusOK {
			t.Fatalf("callback: %d %s", a.Status, a.Body)
		}
		s.finishLogin(p)
		if a := tab.do("GET", back, nil); a.Status != http.StatusForbidden {
			t.Errorf("used again: %d", a.Status)
		}
		a := stranger.do("POST", ourOrigin+"/api/wechat/qrconnect", url.Values{"ticket": {p.ID}, "secret": {p.Secret}}, "Origin", "https://evil.example")
		if a.Status != http.StatusForbidden {
			t.Errorf("a foreign form: %d", a.Status)
		}
	}
	p := s.open()
	for name, f := range weChatFaults {
		tab, back := startAtWeChat(p)
		w.Fail(f.fault)
		if a := tab.do("GET", back, nil); a.Status < 400 {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	tab, back := startAtWeChat(p)
	q, _ := url.Parse(back)
	w.Fail(wechattest.Fault{Errcode: -1, Errmsg: "for " + q.Query().Get("code")}) // repeats the request's code
	if a := tab.do("GET", back, nil); a.Status != http.StatusServiceUnavailable {
		t.Errorf("an answer that repeats the code: %d", a.Status)
	}
	tokens := w.AccessTokens()
	if len(tokens) < 2 {
		t.Errorf("only %d tokens were issued", len(tokens))
	}
	for _, token := range tokens {
		s.hidden.add("WeChat's token", token)
	}
	s.report()
}

// searchAssertions covers the assertions of a company's back end.
func searchAssertions(t *testing.T) {
	company := newAssertionIssuer(t)
	s := startSearch(t, "APP_JWKS_URL="+company.url, "APP_ISSUER="+companyIssuer)
	say := func(p *waiter, action, code string, status int) {
		t.Helper()
		for i, part := range strings.Split(code, ".") {
			if i > 0 { // the header is not secret
				s.hidden.add("assertion", part)
			}
		}
		if a := phoneCall(s.ctx, t, s.nodes[0], p.Ticket, action, "app", code); a.Status != status {
			t.Errorf("%s: %d %s", action, a.Status, a.Body)
		}
		s.snapshot()
	}
	for range 2 {
		p := s.open()
		scan := company.assert(t, p.ID, "u-1")
		say(p, "scan", scan, 200)
		say(p, "confirm", scan, 422) // used before
		say(p, "confirm", company.assert(t, strings.Repeat("A", 22), "u-1"), 422)
		say(p, "confirm", newAssertionIssuer(t).assert(t, p.ID, "u-1"), 422)
		say(p, "confirm", company.assert(t, p.ID, "u-1")+"AAAA", 422)
		say(p, "confirm", company.assert(t, p.ID, "u-1"), 200)
		s.finishLogin(p)
	}
	s.report()
}

// searchWxacodes covers the access token for mini-program codes, which all nodes share through
// Redis.
func searchWxacodes(t *testing.T) {
	w := newWeChat(t)
	s := startSearch(t, withWeChat(w, "QR=wxacode")...)
	s.hidden.add("app secret", programKey)
	draw := func(p *waiter) {
		t.Helper()
		for _, n := range s.nodes {
			if a, err := hubtest.Request(s.ctx, "GET", p.URL(n.URL, "qr.png"), nil); err != nil || a.Status != 200 {
				t.Errorf("code: %+v %v", a, err)
			}
		}
		s.snapshot()
		for _, token := range w.AccessTokens() {
			s.hidden.add("access token", token)
		}
	}
	p := s.open()
	draw(p)
	if n := len(w.AccessTokens()); n != 1 || len(w.Scenes()) != 2 {
		t.Errorf("%d access tokens, codes for %q", n, w.Scenes())
	}
	w.Supersede(programID) // a refused token is renewed
	draw(s.open())
	if n := w.CallsTo("/cgi-bin/stable_token"); n < 2 {
		t.Errorf("%d access tokens were requested", n)
	}
	code := func() string {
		c := w.Code(programID, "whisper")
		s.hidden.add("code", c)
		return c
	}
	for _, action := range []string{"scan", "confirm"} {
		if a := phoneCall(s.ctx, t, s.nodes[0], p.Ticket, action, "wechat", code()); a.Status != 200 {
			t.Fatalf("%s: %d %s", action, a.Status, a.Body)
		}
	}
	s.finishLogin(p)
	s.hidden.add("session key", wechattest.SessionKeyPrefix)
	// On one node the connection breaks, on the other the answer repeats the request. Both nodes
	// then do not call WeChat for a second.
	w.Fail(wechattest.Fault{Break: wechattest.HangUp}, wechattest.Fault{Errcode: -1, Errmsg: "for " + w.AccessTokens()[0]})
	draw(s.open())
	for i, n := range s.nodes {
		if !strings.Contains(n.Log(), "no mini-program code") {
			t.Errorf("node %d logged no fault", i)
		}
	}
	if a := phoneCall(s.ctx, t, s.nodes[0], p.Ticket, "scan", "wechat", code()); a.Status != 409 {
		t.Errorf("a closed ticket: %d", a.Status)
	}
	s.report()
}
