package main_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

const (
	messagePath    = "/cgi-bin/message/subscribe/send"
	noticeTemplate = "login-notice"
)

// startNotices starts a WeChat with a template of messages, and two nodes whose client
// "shop" sends them and has a webhook.
func startNotices(t *testing.T, template string) (w *wechattest.Server, events *site, nodes []*hubtest.Node) {
	t.Helper()
	w, settings := startWeChat(t)
	w.Register(wechattest.App{ID: appID, Secret: appSecret, Pages: []string{"pages/notice/notice"},
		Templates: map[string][]string{noticeTemplate: {"character_string4", "thing1", "thing3", "time2"}}})
	events = startSite(t, nil)
	_, nodes = cluster(t, 2, append(settings, "CLIENTS="+hubtest.WriteFile(t, "clients.yaml", fmt.Sprintf(`clients:
  - id: shop
    label: {zh: 一个名字特别特别特别特别特别特别特别长的商店, en: Shop}
    events: {url: "%s/shop", secret_file: %s}
    login_notice: {template_id: %s, fields: {thing1: "{site}", time2: "{time}", thing3: "{place} {os}", character_string4: "{ip}"}}
  - {id: none}
`, events.URL, hubtest.WriteFile(t, "secret", eventSecret), template)))...)
	return w, events, nodes
}

// TestNotice_SentOnce: the message arrives once, from whichever node; not without the user's
// word, not after a repeat, and after a busy WeChat. What it says fits the template.
func TestNotice_SentOnce(t *testing.T) {
	t.Parallel()
	w, events, nodes := startNotices(t, noticeTemplate)
	ctx := hubtest.Context(t, 60*time.Second)
	phone := weChatPhone(w, "alice")
	scan := func(client, want string) *hubtest.Ticket {
		t.Helper()
		p := hubtest.MustCreateTicket(t, ctx, nodes[0].URL, map[string]string{"client_id": client})
		a, err := phone.Do(ctx, nodes[1].URL, p.ID, "scan", nil)
		if err != nil || a.Status != 200 || strings.Contains(string(a.Body), `"notice_template":"`+noticeTemplate+`"`) != (want != "") {
			t.Fatalf("%d %s %v", a.Status, a.Body, err)
		}
		return p
	}
	confirm := func(p *hubtest.Ticket, notice any) {
		t.Helper()
		if a, err := phone.Do(ctx, nodes[1].URL, p.ID, "confirm", map[string]any{"notice": notice}); err != nil || a.Status != 200 {
			t.Fatalf("%d %s %v", a.Status, a.Body, err)
		}
	}
	none, silent, p := scan("none", ""), scan("shop", noticeTemplate), scan("shop", noticeTemplate)
	confirm(none, true)
	confirm(silent, nil)
	w.AllowMessage(appID, "alice", noticeTemplate)
	w.AllowMessage(appID, "alice", noticeTemplate)                                // so that a second message would arrive
	w.Fail(wechattest.Fault{}, wechattest.Fault{}, wechattest.Fault{Errcode: -1}) // jscode2session, stable_token, the message
	before := time.Now()
	confirm(p, true)
	hubtest.Eventually(t, 30*time.Second, "the busy WeChat", func() bool { return w.CallsTo(messagePath) > 0 }) // the faults are used up
	confirm(p, true)
	hubtest.Eventually(t, 30*time.Second, "the message", func() bool { return len(w.Messages()) > 0 })
	m := w.Messages()[0]
	if m.User != w.OpenID(appID, "alice") || m.Page != "pages/notice/notice?ticket="+p.ID || m.State != "formal" || m.Lang != "zh_CN" ||
		m.Data["thing1"] != "一个名字特别特别特别特别特别特别特别长…" || m.Data["thing3"] != "未知 未知" || m.Data["character_string4"] != "-" {
		t.Errorf("message %+v", m)
	}
	if at, err := time.ParseInLocation("2006年1月2日 15:04", m.Data["time2"], time.FixedZone("", 8*3600)); err != nil || at.Before(before.Truncate(time.Minute).Add(-time.Minute)) {
		t.Errorf("time %q %v", m.Data["time2"], err)
	}
	events.await("shop", 20*time.Second, "login.confirmed", "login.confirmed") // the queues are worked on
	if n := len(w.Messages()); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// TestNotice_Misconfigured: a template that does not exist is logged once, and a user who has
// not agreed is none of the operator's business. Neither is tried again, and logins go on.
func TestNotice_Misconfigured(t *testing.T) {
	t.Parallel()
	w, _, nodes := startNotices(t, "unknown")
	ctx := hubtest.Context(t, 60*time.Second)
	phone := weChatPhone(w, "alice")
	send := func() {
		t.Helper()
		sent := w.CallsTo(messagePath)
		p := hubtest.MustCreateTicket(t, ctx, nodes[0].URL, map[string]string{"client_id": "shop"})
		if a, err := phone.Do(ctx, nodes[0].URL, p.ID, "confirm", map[string]any{"notice": true}); err != nil || a.Status != 200 {
			t.Fatalf("%d %s %v", a.Status, a.Body, err)
		}
		hubtest.Eventually(t, 20*time.Second, "a call to WeChat", func() bool { return w.CallsTo(messagePath) > sent })
	}
	for range 4 {
		send()
	}
	log := func() string { return nodes[0].Log() + nodes[1].Log() }
	hubtest.Eventually(t, 20*time.Second, "a line", func() bool { return strings.Contains(log(), "login notices are not sent") })
	if n := strings.Count(log(), "login notices are not sent"); n > 2 || !strings.Contains(log(), "40037") {
		t.Errorf("%d lines of two nodes", n)
	}
	w.Register(wechattest.App{ID: appID, Secret: appSecret, Templates: map[string][]string{"unknown": {"thing1"}}})
	send()
	hubtest.Eventually(t, 20*time.Second, "a line", func() bool { return strings.Contains(log(), "no login notice: the user does not accept it") })
	if logs := nodes[0].Stop(t) + nodes[1].Stop(t); w.CallsTo(messagePath) != 5 || strings.Contains(logs, `"attempts"`) { // of a line of the outbox
		t.Errorf("%d calls", w.CallsTo(messagePath))
	}
}

// TestNotice_NotMe: the user disputes on another node than the one of the confirm. The page's
// socket, the site's webhook and its logout endpoint learn it, and the refresh token is dead.
func TestNotice_NotMe(t *testing.T) {
	t.Parallel()
	w, events, nodes := startNotices(t, noticeTemplate)
	ctx := hubtest.Context(t, 60*time.Second)
	phone := weChatPhone(w, "alice")
	p, err := hubtest.CreateTicket(ctx, nodes[0].URL, map[string]string{"client_id": "shop"})
	if err != nil {
		t.Fatal(err)
	}
	page := &waiter{Ticket: p}
	if err := page.attach(ctx, nodes[0].URL, "pending"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { page.socket.Conn.CloseNow() })
	mustCall(t, ctx, phone, nodes[0].URL, p.ID, "confirm")
	mustNext(t, ctx, page, "confirmed")
	a, err := weChatPhone(w, "bob").Do(ctx, nodes[1].URL, p.ID, "dispute", nil)
	hubtest.AssertRefusal(t, "another user", a, err, 409, "ticket_closed")
	nodes[0].Kill()
	mustCall(t, ctx, phone, nodes[1].URL, p.ID, "dispute", "dispute")
	if v, err := p.Poll(ctx, nodes[1].URL, 0, 0); err != nil || v.State != "rejected" || v.Token != "" {
		t.Errorf("%+v %v", v, err)
	}
	events.await("shop", 40*time.Second, "login.confirmed", "login.suspicious not_me")
	for _, e := range events.events("shop") {
		if e.Type == "login.suspicious" && (e.Data["ticket"] != p.ID || e.Data["jti"] != p.ID || e.Data["sub"] != "wechat:"+appID+":"+w.OpenID(appID, "alice") || e.Data["confirmed_at"] == nil) {
			t.Errorf("event %+v", e)
		}
	}
}
