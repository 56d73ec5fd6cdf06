package wechat_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"loginhub/wechat"
	"loginhub/wechat/wechattest"
)

const (
	pushToken = "t0ken"
	aesKey    = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

// newAccount returns an official account at a WeChat, and its access token.
func newAccount(t *testing.T) (*wechattest.Server, *wechat.Tokens) {
	t.Helper()
	w := newWeChat(t)
	w.Register(wechattest.App{ID: appID, Secret: secret, OpenPlatform: "acme", CallbackHost: "login.example.com", Token: pushToken, AESKey: aesKey})
	tokens, err := wechat.NewTokens(wechat.Config{AppID: appID, Secret: secret, BaseURL: w.URL}, newShelf())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tokens.Close)
	return w, tokens
}

// sceneCode returns the content of a QR code with the scene.
func sceneCode(t *testing.T, tokens *wechat.Tokens, scene string) string {
	t.Helper()
	content, err := tokens.SceneCode(t.Context(), scene, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestSceneCode_Renewal: a stale access token is renewed once; other refusals are the operator's.
func TestSceneCode_Renewal(t *testing.T) {
	w, tokens := newAccount(t)
	if content := sceneCode(t, tokens, "s-1"); !strings.HasPrefix(content, "http://weixin.qq.com/q/") {
		t.Errorf("content %q", content)
	}
	w.Supersede(appID)
	sceneCode(t, tokens, "s-2")
	_, err := tokens.SceneCode(t.Context(), strings.Repeat("s", 65), time.Hour)
	if e := asError(t, err); e.Code != 40053 || e.Kind != wechat.KindConfig {
		t.Errorf("%v (%v)", e, e.Kind)
	}
	for _, fault := range []wechattest.Fault{{Errcode: 40001}, {Errcode: 48001}, {Errcode: 40052}} {
		w.Fail(fault, fault)
		_, err := tokens.SceneCode(t.Context(), "s", time.Hour)
		if e := asError(t, err); e.Kind != wechat.KindConfig || wechat.KindOf(wechat.OpScene, 40001) != wechat.KindStale {
			t.Errorf("%v (%v)", e, e.Kind)
		}
		w.ClearFaults()
	}
}

func TestUnionID_Follower(t *testing.T) {
	w, tokens := newAccount(t)
	openid := w.OpenID(appID, "alice")
	if union, err := tokens.UnionID(t.Context(), openid); err != nil || union != "" {
		t.Errorf("before following: %q %v", union, err)
	}
	w.Scan(sceneCode(t, tokens, "s"), "alice", wechattest.Plain)
	if union, err := tokens.UnionID(t.Context(), openid); err != nil || union != w.UnionID(appID, "alice") {
		t.Errorf("%q %v", union, err)
	}
}

func TestPhoneNumber_ExchangedOnce(t *testing.T) {
	w, tokens := newAccount(t)
	for want, code := range map[string]string{"+8613800138000": w.PhoneCode(appID, "86", "13800138000"), "+85261234567": w.PhoneCode(appID, "852", "61234567")} {
		if number, err := tokens.PhoneNumber(t.Context(), code); err != nil || number != want {
			t.Errorf("%q %v, wanted %s", number, err, want)
		}
		_, err := tokens.PhoneNumber(t.Context(), code)
		if e := asError(t, err); e.Kind != wechat.KindCode || strings.Contains(e.Error(), code) {
			t.Errorf("used: %v (%v)", e, e.Kind)
		}
	}
	for name, c := range map[string]struct {
		fault wechattest.Fault
		kind  wechat.Kind
	}{"stale token": {wechattest.Fault{Errcode: 40001}, wechat.KindBusy}, "-1": {wechattest.Fault{Errcode: -1}, wechat.KindBusy},
		"no answer": {wechattest.Fault{Break: wechattest.Reset}, wechat.KindBusy}, "half": {wechattest.Fault{Break: wechattest.Truncated}, wechat.KindBusy},
		"another application's": {wechattest.Fault{ForeignWatermark: true}, wechat.KindBusy}, "unknown code": {wechattest.Fault{Errcode: 40029}, wechat.KindCode}} {
		code, before := w.PhoneCode(appID, "86", "13800138000"), w.CallsTo("/wxa/business/getuserphonenumber")
		w.Fail(c.fault)
		number, err := tokens.PhoneNumber(t.Context(), code)
		if e := asError(t, err); number != "" || e.Kind != c.kind || w.CallsTo("/wxa/business/getuserphonenumber") != before+1 {
			t.Errorf("%s: %q %v (%v) after %d exchanges", name, number, e, e.Kind, w.CallsTo("/wxa/business/getuserphonenumber")-before)
		}
	}
	// A code of wx.login is none of a phone number.
	_, err := tokens.PhoneNumber(t.Context(), w.Code(appID, "alice"))
	if e := asError(t, err); e.Kind != wechat.KindCode {
		t.Errorf("%v (%v)", e, e.Kind)
	}
}

// TestPush_Modes: an event is read, and its reply is WeChat's, in each mode.
func TestPush_Modes(t *testing.T) {
	w, tokens := newAccount(t)
	now := time.Now()
	for mode, key := range map[wechattest.Mode]string{wechattest.Plain: "", wechattest.Compatible: aesKey, wechattest.Safe: aesKey} {
		push, err := wechat.NewPush(appID, pushToken, key)
		if err != nil {
			t.Fatal(err)
		}
		user := []string{"bob", "eve", "小明"}[mode]
		for _, name := range []string{"subscribe", "SCAN"} {
			sent, ok := w.Scan(sceneCode(t, tokens, "s-1"), user, mode)
			q, body := w.Request(sent)
			got, err := push.Open(q, body, now)
			if err != nil || !ok || sent.Name != name || got.Scene() != "s-1" || got.OpenID != w.OpenID(appID, user) || got.Created == 0 {
				t.Errorf("mode %d: %+v, read as %+v %v", mode, sent, got, err)
			}
		}
		q, _ := w.Request(wechattest.Event{AppID: appID, User: user})
		q.Set("echostr", "8731")
		if echo, err := push.Echo(url.Values{"signature": q["signature"], "timestamp": q["timestamp"], "nonce": q["nonce"], "echostr": {"8731"}}, now); err != nil || string(echo) != "8731" {
			t.Errorf("mode %d: echo %q %v", mode, echo, err)
		}
		for name, e := range map[string]wechattest.Event{"subscribe": {Name: "subscribe"}, "unsubscribe": {Name: "unsubscribe", Key: "qrscene_s"}, "CLICK": {Name: "CLICK", Key: "s"}} {
			e.AppID, e.User, e.Mode = appID, user, mode
			q, body := w.Request(e)
			if got, err := push.Open(q, body, now); err != nil || got.Scene() != "" {
				t.Errorf("%s: %+v %v", name, got, err)
			}
		}
	}
}

// TestPush_Forged: what WeChat did not send, or sent long ago, is refused.
func TestPush_Forged(t *testing.T) {
	w, tokens := newAccount(t)
	content := sceneCode(t, tokens, "s-1")
	w.Scan(content, "alice", wechattest.Safe)
	w.Register(wechattest.App{ID: webID, Secret: secret, Token: pushToken, AESKey: aesKey})
	now := time.Now()
	for name, change := range map[string]func(q url.Values, body *string, at *time.Time){
		"old":             func(_ url.Values, _ *string, at *time.Time) { *at = now.Add(6 * time.Minute) },
		"early":           func(_ url.Values, _ *string, at *time.Time) { *at = now.Add(-6 * time.Minute) },
		"other nonce":     func(q url.Values, _ *string, _ *time.Time) { q.Set("nonce", "1") },
		"other time":      func(q url.Values, _ *string, _ *time.Time) { q.Set("timestamp", "1") },
		"two nonces":      func(q url.Values, _ *string, _ *time.Time) { q.Add("nonce", "1") },
		"no signature":    func(q url.Values, _ *string, _ *time.Time) { q.Del("signature"); q.Del("msg_signature") },
		"wrong signature": func(q url.Values, _ *string, _ *time.Time) { q.Set("signature", "0"); q.Set("msg_signature", "0") },
		"no body":         func(_ url.Values, b *string, _ *time.Time) { *b = "" },
		"no XML":          func(_ url.Values, b *string, _ *time.Time) { *b = "{}" },
		"a document type": func(_ url.Values, b *string, _ *time.Time) { *b = `<!DOCTYPE x [<!ENTITY a "b">]>` + *b },
		"an entity":       func(_ url.Values, b *string, _ *time.Time) { *b = "<xml><FromUserName>&a;</FromUserName></xml>" },
		"no user":         func(_ url.Values, b *string, _ *time.Time) { *b = "<xml></xml>" },
		"half":            func(_ url.Values, b *string, _ *time.Time) { *b = (*b)[:len(*b)/2] },
		"plain, not safe": func(q url.Values, b *string, _ *time.Time) {
			plain, body := w.Request(wechattest.Event{AppID: appID, User: "alice", Name: "SCAN", Key: "s"})
			copyTo(q, plain)
			*b = string(body)
		},
		"another account": func(q url.Values, b *string, _ *time.Time) {
			foreign, body := w.Request(wechattest.Event{AppID: webID, User: "alice", Name: "SCAN", Key: "s", Mode: wechattest.Safe})
			copyTo(q, foreign)
			*b = string(body)
		},
	} {
		for mode, key := range map[wechattest.Mode]string{wechattest.Plain: "", wechattest.Safe: aesKey} {
			if key == "" && (strings.HasPrefix(name, "plain") || name == "another account") {
				continue // without encryption an event does not name its account
			}
			push, err := wechat.NewPush(appID, pushToken, key)
			if err != nil {
				t.Fatal(err)
			}
			q, raw := w.Request(wechattest.Event{AppID: appID, User: "alice", Name: "SCAN", Key: "s-1", Mode: mode})
			body, at := string(raw), now
			change(q, &body, &at)
			if e, err := push.Open(q, []byte(body), at); !errors.Is(err, wechat.ErrForged) {
				t.Errorf("%s, mode %d: %+v %v", name, mode, e, err)
			}
		}
	}
	for _, bad := range [][2]string{{"", ""}, {"t", aesKey}, {pushToken, aesKey[1:]}, {pushToken, aesKey[1:] + "!"}} {
		if _, err := wechat.NewPush(appID, bad[0], bad[1]); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func copyTo(q, from url.Values) {
	clear(q)
	for name, values := range from {
		q[name] = values
	}
}

// TestInApp_Login: with the base scope WeChat asks nothing and gives no names; a guest is refused.
func TestInApp_Login(t *testing.T) {
	w, _ := newAccount(t)
	w.InApp("小明")
	for profile, want := range map[bool]wechat.Profile{
		false: {Identity: wechat.Identity{AppID: appID, OpenID: w.OpenID(appID, "小明")}},
		true:  {Identity: wechat.Identity{AppID: appID, OpenID: w.OpenID(appID, "小明"), UnionID: w.UnionID(appID, "小明")}, Nickname: "小明"},
	} {
		site, err := wechat.NewInApp(wechat.Config{AppID: appID, Secret: secret, BaseURL: w.URL}, w.URL, profile)
		if err != nil {
			t.Fatal(err)
		}
		defer site.Close()
		link := site.Authorize("https://login.example.com/cb", "s-1", "cn")
		if !strings.HasSuffix(link, "&state=s-1#wechat_redirect") {
			t.Errorf("link %s", link)
		}
		code := func() string {
			back := inApp(t, link)
			if profile {
				back = w.Allow(wechattest.UUID(back), "小明")
			}
			u, err := url.Parse(back)
			if err != nil {
				t.Fatal(err)
			}
			return u.Query().Get("code")
		}
		got, err := site.Login(t.Context(), code())
		got.Avatar = ""
		if err != nil || got != want {
			t.Errorf("%+v %v, wanted %+v", got, err, want)
		}
		w.Fail(wechattest.Fault{Guest: true})
		_, err = site.Login(t.Context(), code())
		if e := asError(t, err); e.Kind != wechat.KindGuest {
			t.Errorf("a guest: %v (%v)", e, e.Kind)
		}
	}
}
