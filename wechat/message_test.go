package wechat_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"loginhub/wechat"
	"loginhub/wechat/wechattest"
)

const template = "tmpl-0123456789"

var templateData = map[string]string{"thing1": "演示", "time2": "2026年11月28日 16:22", "character_string3": "203.0.113.7"}

// newMessages returns a mini-program with a template at a WeChat, and its access token.
func newMessages(t *testing.T) (*wechattest.Server, *wechat.Tokens, wechat.Message) {
	t.Helper()
	w := newWeChat(t)
	w.Register(wechattest.App{ID: appID, Secret: secret, Pages: []string{"pages/notice/notice"},
		Templates: map[string][]string{template: slices.Sorted(maps.Keys(templateData))}})
	return w, newNode(t, w, newShelf()), wechat.Message{User: w.OpenID(appID, "alice"), Template: template,
		Page: "pages/notice/notice?ticket=x", Data: maps.Clone(templateData), Lang: "en_US", State: "trial"}
}

// TestMessage_OncePerPermission: a stale token costs no message, and a permission serves one.
func TestMessage_OncePerPermission(t *testing.T) {
	w, tokens, m := newMessages(t)
	w.AllowMessage(appID, "alice", template)
	w.Fail(wechattest.Fault{}, wechattest.Fault{Errcode: 42001}) // stable_token, then the message
	if err := tokens.SendMessage(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	want := wechattest.Message{User: m.User, Template: template, Page: m.Page, Lang: "en_US", State: "trial"}
	got := w.Messages()
	if len(got) != 1 || !maps.Equal(got[0].Data, templateData) {
		t.Fatalf("messages %+v", got)
	}
	got[0].Data = nil
	if got[0].User != want.User || got[0].Page != want.Page || got[0].Lang != want.Lang || got[0].State != want.State {
		t.Errorf("message %+v", got[0])
	}
	if e := asError(t, tokens.SendMessage(t.Context(), m)); e.Code != 43101 || e.Kind != wechat.KindRefused {
		t.Errorf("the second message: %v (%v)", e, e.Kind)
	}
}

func TestMessage_Errors(t *testing.T) {
	w, tokens, good := newMessages(t)
	for name, c := range map[string]struct {
		change func(m *wechat.Message)
		code   int
		kind   wechat.Kind
		text   string
	}{
		"openid":   {func(m *wechat.Message) { m.User = "unknown-user" }, 40003, wechat.KindRefused, "invalid openid"},
		"template": {func(m *wechat.Message) { m.Template = "x" }, 40037, wechat.KindConfig, "template_id"},
		"page":     {func(m *wechat.Message) { m.Page = "pages/other/other" }, 41030, wechat.KindConfig, "page"},
		"no field": {func(m *wechat.Message) { m.Data = map[string]string{"thing9": "x"} }, 47003, wechat.KindConfig, "data.character_string3.value is empty"},
		"value":    {func(m *wechat.Message) { m.Data["thing1"] = strings.Repeat("长", 21) }, 47003, wechat.KindConfig, "data.thing1.value invalid"},
	} {
		m := good
		m.Data = maps.Clone(good.Data)
		c.change(&m)
		e := asError(t, tokens.SendMessage(t.Context(), m))
		if e.Code != c.code || e.Kind != c.kind || !strings.Contains(e.Error(), c.text) || strings.Contains(e.Error(), m.User) {
			t.Errorf("%s: %v (%v)", name, e, e.Kind)
		}
	}
	for code, kind := range map[int]wechat.Kind{43107: wechat.KindConfig, 43108: wechat.KindBusy, 43116: wechat.KindConfig, 45009: wechat.KindQuota, 45168: wechat.KindConfig, -1: wechat.KindBusy} {
		w.Fail(wechattest.Fault{Errcode: code, Errmsg: "to " + good.User})
		if e := asError(t, tokens.SendMessage(t.Context(), good)); e.Kind != kind || !wechat.Known(code) || strings.Contains(e.Error(), good.User) {
			t.Errorf("%d: %v (%v)", code, e, e.Kind)
		}
	}
}

func TestMessage_FieldText(t *testing.T) {
	long := strings.Repeat("长", 30)
	for _, c := range [][3]string{
		{"thing1", long, strings.Repeat("长", 19) + "…"}, {"thing1", " a\n\tb \u202e😀c", "a b c"}, {"thing12", "", "-"},
		{"character_string2", "2001:db8:85a3:8d3:1319:8a2e:370:7348:9", "2001:db8:85a3:8d3:1319:8a2e:370:"}, {"character_string2", "上海 Chrome 150", "Chrome 150"}, {"character_string2", "未知", "-"},
		{"phrase3", "登录 ok 成功提醒了", "登录成功提"}, {"phrase3", "ok", "未知"}, {"name4", "用户410774", "用户"}, {"letter5", "a1b", "ab"}, {"number6", "1 2x", "12"},
		{"time7", "2026年11月28日 16:22", "2026年11月28日 16:22"},
	} {
		if got := wechat.FieldText(c[0], c[1]); got != c[2] {
			t.Errorf("%s of %q: %q, want %q", c[0], c[1], got, c[2])
		}
	}
	if got := wechat.FieldTime(time.Date(2026, 1, 2, 20, 4, 0, 0, time.UTC)); got != "2026年1月3日 04:04" {
		t.Error(got)
	}
	for _, field := range []string{"thing", "thing1.DATA", "amount1", "Thing1", "", "thing1234"} {
		if _, err := wechat.FieldType(field); err == nil {
			t.Errorf("field %q is accepted", field)
		}
	}
}

func TestMessage_TemplateFields(t *testing.T) {
	w, _, _ := newMessages(t)
	config := wechat.Config{AppID: appID, Secret: secret, BaseURL: w.URL}
	fields, ok, err := wechat.TemplateFields(t.Context(), config, template)
	if err != nil || !ok || !slices.Equal(fields, slices.Sorted(maps.Keys(templateData))) {
		t.Errorf("%v %v %v", fields, ok, err)
	}
	if _, ok, err = wechat.TemplateFields(t.Context(), config, "x"); ok || err != nil {
		t.Errorf("unknown template: %v %v", ok, err)
	}
}
