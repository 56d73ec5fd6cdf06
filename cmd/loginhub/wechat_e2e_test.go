package main_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/wechat/wechattest"
)

// The imitation WeChat's mini-program and website.
const (
	appID, appSecret = "wx0123456789abcdef", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	webID, webSecret = "wxfedcba9876543210", "website-secret-0123456789abcdef"
	ourOrigin        = "http://login.test" // the public URL of hubtest.StartNode
)

// startWeChat starts an imitation of WeChat with the mini-program and the website. It returns the
// settings of a node that uses the mini-program.
func startWeChat(t testing.TB) (*wechattest.Server, []string) {
	t.Helper()
	w := wechattest.New(wechattest.Options{})
	t.Cleanup(w.Close)
	w.Register(wechattest.App{ID: appID, Secret: appSecret, OpenPlatform: "acme", Pages: []string{"pages/confirm/confirm"}})
	w.Register(wechattest.App{ID: webID, Secret: webSecret, OpenPlatform: "acme", CallbackHost: "login.test"})
	return w, []string{"WECHAT_APP_ID=" + appID, "WECHAT_APP_SECRET=" + appSecret, "WECHAT_API_URL=" + w.URL}
}

// startWebsite is startWeChat with the settings for mini-program and website, and more.
func startWebsite(t testing.TB, more ...string) (*wechattest.Server, []string) {
	t.Helper()
	w, settings := startWeChat(t)
	return w, append(append(settings, "WECHAT_OPEN_URL="+w.URL, "WECHAT_WEB_APP_ID="+webID, "WECHAT_WEB_APP_SECRET="+webSecret), more...)
}

// weChatFaults are faults of WeChat, one for each kind of error and some broken answers, with the
// phone's answer. retry is the smallest Retry-After in seconds, 0 for none.
var weChatFaults = map[string]struct {
	fault  wechattest.Fault
	status int
	code   string
	retry  int
}{
	"a used code":              {wechattest.Fault{Errcode: 40163}, 422, "code_invalid", 0},
	"a blocked user":           {wechattest.Fault{Errcode: 40226, StringErrcode: true}, 403, "user_blocked", 0},
	"not on the IP allowlist":  {wechattest.Fault{Errcode: 40164}, 502, "provider_misconfigured", 0},
	"a quota per minute":       {wechattest.Fault{Errcode: 45011}, 503, "provider_unavailable", 60},
	"a quota per day":          {wechattest.Fault{Errcode: 45009}, 503, "provider_unavailable", 60},
	"an HTML page":             {wechattest.Fault{Page: wechattest.HTMLPage}, 503, "provider_unavailable", 1},
	"half of the JSON":         {wechattest.Fault{Break: wechattest.Truncated}, 503, "provider_unavailable", 1},
	"a reset connection":       {wechattest.Fault{Break: wechattest.Reset}, 503, "provider_unavailable", 1},
	"a request text in errmsg": {wechattest.Fault{Errcode: -1, Errmsg: "<script>" + appSecret}, 503, "provider_unavailable", 1},
}

// weChatPhone returns a user's phone with the mini-program.
func weChatPhone(w *wechattest.Server, name string) *hubtest.Phone {
	phone := hubtest.NewPhone(name)
	phone.Login = func(string) (string, string) { return "wechat", w.Code(appID, name) }
	return phone
}

func TestWeChat_Login(t *testing.T) {
	t.Parallel()
	w, settings := startWeChat(t)
	_, nodes := cluster(t, 2, settings...)
	ctx := hubtest.Context(t, 20*time.Second)
	phone := weChatPhone(w, "alice")
	for _, oddity := range []wechattest.Fault{{}, {ZeroErrcode: true, StringErrcode: true}, {NoUnionID: true}} {
		w.FailAlways(oddity)
		p := mustOpenWaiter(t, ctx, nodes[0].URL, nodes[1].URL)
		mustCall(t, ctx, phone, nodes[0].URL, p.ID, "scan")
		mustCall(t, ctx, phone, nodes[1].URL, p.ID, "confirm")
		v, err := p.waitToken(ctx, nodes[0].URL, "wechat:"+appID+":"+w.OpenID(appID, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		claims, _, err := verifyToken(ctx, nodes[0].URL, v.Token)
		if err != nil {
			t.Fatal(err)
		}
		union := any(w.UnionID(appID, "alice"))
		if oddity.NoUnionID {
			union = nil
		}
		if claims["appid"] != appID || claims["openid"] != w.OpenID(appID, "alice") || claims["unionid"] != union || fmt.Sprint(claims["amr"]) != "[wechat]" {
			t.Errorf("claims %v", claims)
		}
		if err := p.ackAndClose(ctx, v.Seq); err != nil {
			t.Error(err)
		}
	}
	calls := w.Calls()
	a, err := hubtest.NewPhone("alice").Do(ctx, nodes[0].URL, hubtest.MustCreateTicket(t, ctx, nodes[0].URL).ID, "scan", nil)
	hubtest.AssertRefusal(t, "the sandbox beside WeChat", a, err, 400, "invalid_request")
	if w.Calls() != calls {
		t.Error("WeChat received the sandbox's code")
	}
}

func TestWeChat_Faults(t *testing.T) {
	t.Parallel()
	w, settings := startWeChat(t)
	_, nodes := cluster(t, 1, settings...)
	ctx, n := hubtest.Context(t, 40*time.Second), nodes[0]
	phone := weChatPhone(w, "bob")
	for name, f := range weChatFaults {
		p, calls := mustOpenWaiter(t, ctx, n.URL, n.URL), w.Calls()
		w.Fail(f.fault)
		a, err := phone.Do(ctx, n.URL, p.ID, "scan", nil)
		hubtest.AssertRefusal(t, name, a, err, f.status, f.code)
		if after, _ := strconv.Atoi(a.Header.Get("Retry-After")); after < f.retry || f.retry == 0 && after != 0 || w.Calls() != calls+1 {
			t.Errorf("%s: Retry-After %d, wanted at least %d; %d exchanges", name, after, f.retry, w.Calls()-calls)
		}
		// With a fresh code the login continues normally.
		mustCall(t, ctx, phone, n.URL, p.ID, "confirm")
		mustNext(t, ctx, p, "confirmed")
	}
}

func TestWeChat_UnionIDRequired(t *testing.T) {
	t.Parallel()
	w, settings := startWeChat(t)
	clients := hubtest.WriteFile(t, "clients.yaml", "clients:\n  - id: union\n    subject: unionid\n    providers: [wechat]\n  - id: open\n")
	_, nodes := cluster(t, 1, append(settings, "CLIENTS="+clients)...)
	ctx, n := hubtest.Context(t, 20*time.Second), nodes[0]
	phone := weChatPhone(w, "frank")
	for _, action := range []string{"scan", "confirm"} {
		w.Fail(wechattest.Fault{NoUnionID: true})
		a, err := phone.Do(ctx, n.URL, hubtest.MustCreateTicket(t, ctx, n.URL, map[string]string{"client_id": "union"}).ID, action, nil)
		hubtest.AssertRefusal(t, action, a, err, 403, "identity_incomplete")
	}
	for client, subject := range map[string]string{"union": "wechat:unionid:" + w.UnionID(appID, "frank"), "open": "wechat:" + appID + ":" + w.OpenID(appID, "frank")} {
		ticket := hubtest.MustCreateTicket(t, ctx, n.URL, map[string]string{"client_id": client})
		mustCall(t, ctx, phone, n.URL, ticket.ID, "confirm")
		if err := checkToken(ctx, n.URL, mustToken(t, ctx, n.URL, ticket), subject); err != nil {
			t.Error(err)
		}
	}
}

// mustToken polls a confirmed ticket's token.
func mustToken(t testing.TB, ctx context.Context, url string, ticket *hubtest.Ticket) string {
	t.Helper()
	v, err := ticket.Poll(ctx, url, 0, 0)
	if err != nil || v.Token == "" {
		t.Fatalf("no token: %+v %v", v, err)
	}
	return v.Token
}
