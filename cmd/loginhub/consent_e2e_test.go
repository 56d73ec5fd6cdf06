package main_test

import (
	"bytes"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"loginhub/hub/hubtest"
	"loginhub/hub/provider/providertest"
	"loginhub/hub/provider/providertest/imitations"
	"loginhub/wechat/wechattest"
)

// weComAgent is the User-Agent of WeCom's browser. It names WeChat's too.
const weComAgent = "Mozilla/5.0 (Linux; Android 15) Mobile Safari/537.36 wxwork/4.1.36 MicroMessenger/7.0.1"

// csrfToken is the token of a consent page.
var csrfToken = regexp.MustCompile(`name="csrf" value="(\w+)"`)

// decide opens the consent page on one node and presses its button on another.
func decide(t *testing.T, tab *browser, ticket *hubtest.Ticket, action, number string, at *hubtest.Node) *hubtest.Response {
	t.Helper()
	page := tab.do("GET", ourOrigin+"/s/"+ticket.ID+"/consent", nil)
	token := csrfToken.FindSubmatch(page.Body)
	if page.Status != 200 || token == nil {
		t.Fatalf("consent page: %d %s", page.Status, page.Body)
	}
	tab.node = at.URL
	return tab.do("POST", ourOrigin+"/s/"+ticket.ID+"/"+action, url.Values{"csrf": {string(token[1])}, "match": {number}}, "Origin", ourOrigin)
}

// TestConsent_AcrossNodes: the link is opened at one node, which dies; the provider sends
// the browser back to a second one, which dies too; the user confirms at a third.
func TestConsent_AcrossNodes(t *testing.T) {
	t.Parallel()
	k := imitations.All()["wecom"]
	imitation := httptest.NewServer(k.New(providertest.Options{User: "alice", Host: "login.test"}))
	t.Cleanup(imitation.Close)
	fields := strings.NewReplacer("URL", imitation.URL, "SECRET", hubtest.WriteFile(t, "secret", k.Secret+"\n")).Replace(k.Fields)
	_, nodes := cluster(t, 3, "PUBLIC_URL="+ourOrigin, "INSECURE_HTTP=true", "CLIENTS="+hubtest.WriteFile(t, "clients.yaml",
		"providers: [{id: door, kind: wecom, "+fields+"}]\nclients: [{id: demo, origins: ['"+ourOrigin+"']}]\n"))
	ctx := loginContext(t)
	p, tab := mustOpenWaiter(t, ctx, nodes[0].URL, nodes[2].URL), newBrowser(t, nodes[0])
	to := tab.do("GET", ourOrigin+"/s/"+p.ID, nil, "User-Agent", weComAgent).Header.Get("Location")
	back := tab.do("GET", to, nil).Header.Get("Location")
	nodes[0].Kill()
	tab.node = nodes[1].URL
	if a := tab.do("GET", back, nil); a.Status != 303 || a.Header.Get("Location") != "/s/"+p.ID+"/consent" {
		t.Fatalf("%s, %s: %d to %q: %s", to, back, a.Status, a.Header.Get("Location"), a.Body)
	}
	mustNext(t, ctx, p, "scanned")
	tab.node = nodes[2].URL
	nodes[1].Kill()
	if a := decide(t, tab, p.Ticket, "confirm", p.MatchCode, nodes[2]); a.Status != 303 {
		t.Fatalf("confirm: %d %s", a.Status, a.Body)
	}
	wantPage(t, "outcome", tab.do("GET", ourOrigin+"/s/"+p.ID+"/consent", nil), 200, `data-screen="confirmed"`)
	if _, err := p.waitToken(ctx, nodes[2].URL, k.Subject); err != nil {
		t.Fatal(err)
	}
}

// TestConsent_AccountMessage: the link in an official account's message opens the consent
// page once, in one browser.
func TestConsent_AccountMessage(t *testing.T) {
	t.Parallel()
	w, nodes := startAccount(t, "")
	ctx := loginContext(t)
	p := mustOpenWaiter(t, ctx, nodes[0].URL, nodes[0].URL)
	text := send(t, ctx, w, nodes[1].URL+"/api/wechat/events", scanAccount(t, w, nodes[0].URL, p.Ticket, "alice", wechattest.Plain), ourOrigin+"/s/"+p.ID)
	mustNext(t, ctx, p, "scanned")
	token := linkToken.FindStringSubmatch(text)
	if token == nil {
		t.Fatalf("no token in %q", text)
	}
	tab, other := newBrowser(t, nodes[0]), newBrowser(t, nodes[1])
	landing := tab.do("GET", ourOrigin+"/s/"+p.ID, nil, "User-Agent", "MicroMessenger/8.0")
	wantPage(t, "landing", landing, 200, `action="/s/`+p.ID+`/open"`, "/assets/page/open.")
	open := func(b *browser, origin string) *hubtest.Response {
		return b.do("POST", ourOrigin+"/s/"+p.ID+"/open", url.Values{"token": {token[1]}}, "Origin", origin)
	}
	wantPage(t, "from another site", open(tab, "https://evil.example"), 403, "state_foreign")
	if a := open(tab, ourOrigin); a.Status != 303 {
		t.Fatalf("open: %d %s", a.Status, a.Body)
	}
	wantPage(t, "opened again", open(other, ourOrigin), 403, "state_invalid")
	wantPage(t, "in another browser", other.do("GET", ourOrigin+"/s/"+p.ID+"/consent", nil), 403, "state_foreign")
	if a := decide(t, tab, p.Ticket, "confirm", p.MatchCode, nodes[1]); a.Status != 303 {
		t.Fatalf("confirm: %d %s", a.Status, a.Body)
	}
	if _, err := p.waitToken(ctx, nodes[0].URL, "wechat_mp:"+mpID+":"+w.OpenID(mpID, "alice")); err != nil {
		t.Error(err)
	}
	if log := nodes[0].Stop(t) + nodes[1].Stop(t); strings.Contains(log, token[1]) {
		t.Error("a log has the token")
	}
}

// TestConsent_AccountWithInApp: with wechat_h5 of the same account the link logs in inside WeChat, but
// not if the account's message has brought the user: then the link has a token.
func TestConsent_AccountWithInApp(t *testing.T) {
	t.Parallel()
	w, nodes := startAccount(t, "}\n  - {id: h5, kind: wechat_h5, app_id: "+mpID+", app_secret_file: "+hubtest.WriteFile(t, "h5", mpSecret), "QR=wechat_mp")
	ctx := loginContext(t)
	ticket := hubtest.MustCreateTicket(t, ctx, nodes[0].URL)
	open := func(agent string) *hubtest.Response {
		return newBrowser(t, nodes[1]).do("GET", ourOrigin+"/s/"+ticket.ID, nil, "User-Agent", agent)
	}
	if to := open("MicroMessenger/8.0").Header.Get("Location"); !strings.Contains(to, "/connect/oauth2/authorize?appid="+mpID) || !strings.Contains(to, "scope=snsapi_base") {
		t.Errorf("inside WeChat: to %q", to)
	}
	for name, agent := range map[string]string{"WeCom": "MicroMessenger/7.0 wxwork/4.1", "a computer": "Chrome/150"} {
		if a := open(agent); a.Status != 200 || bytes.Contains(a.Body, []byte("oauth2")) {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	send(t, ctx, w, nodes[0].URL+"/api/wechat/events", scanAccount(t, w, nodes[0].URL, ticket, "alice", wechattest.Plain), "/s/"+ticket.ID+"#t=")
	wantPage(t, "after the message", open("MicroMessenger/8.0"), 200, "/assets/page/open.")
}
