package wechat_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"loginhub/wechat"
	"loginhub/wechat/wechattest"
)

func TestError_Message(t *testing.T) {
	w := newWeChat(t)
	m := newClient(t, w.URL)
	tests := []struct{ errmsg, msg, rid string }{
		{"invalid ip 198.51.100.9, not in whitelist rid: 6578a1b2-1c2d3e4f-5a6b7c8d", "invalid ip 198.51.100.9, not in whitelist", "6578a1b2-1c2d3e4f-5a6b7c8d"},
		{"invalid code, rid: 6578a1b2-1c2d3e4f-5a6b7c8d", "invalid code", "6578a1b2-1c2d3e4f-5a6b7c8d"},
		{"invalid code rid: 6578a1b2-1c2d3e4f-5a6b7c8d", "invalid code", "6578a1b2-1c2d3e4f-5a6b7c8d"},
		{"invalid code, rid:6578a1b2-1c2d3e4f-5a6b7c8d ", "invalid code", "6578a1b2-1c2d3e4f-5a6b7c8d"},
		{"rid: 6578a1b2-1c2d3e4f-5a6b7c8d", "", "6578a1b2-1c2d3e4f-5a6b7c8d"},
		{"invalid code, hints: [ req_id: abc ]", "invalid code, hints: [ req_id: abc ]", ""}, // the older trace stays in the text
		{"a, rid: <script>", "a, rid: <script>", ""},
		{"a, rid: ", "a, rid:", ""},
		{"line\r\nforged \u202eline\x00", "line  forged line", ""},
		{strings.Repeat("长", 300), strings.Repeat("长", 256), ""},
		// The trace is kept when the text is cut.
		{strings.Repeat("x", 300) + ", rid: 1-2-3", strings.Repeat("x", 256), "1-2-3"},
	}
	for _, tt := range tests {
		w.Fail(wechattest.Fault{Errcode: 40029, Errmsg: tt.errmsg})
		e := refusal(t.Context(), t, m, w.Code(appID, "alice"))
		if e.Msg != tt.msg || e.RID != tt.rid {
			t.Errorf("%q: msg %q, rid %q, want %q, %q", tt.errmsg, e.Msg, e.RID, tt.msg, tt.rid)
		}
		if want := "wechat jscode2session: errcode 40029"; !strings.HasPrefix(e.Error(), want) || !strings.HasSuffix(e.Error(), "(rid "+tt.rid+")") && tt.rid != "" || !utf8.ValidString(e.Error()) {
			t.Errorf("%q: %q", tt.errmsg, e)
		}
	}
}

func TestError_Length(t *testing.T) {
	// net/http quotes the line that it cannot read.
	url := rawServer(t, func(string) string {
		return "HTTP/1.1 " + strings.Repeat("x", 60000) + "\r\n\r\n"
	})
	e := refusal(t.Context(), t, newClient(t, url), "0123456789")
	if len(e.Error()) > 400 {
		t.Errorf("%d bytes of error", len(e.Error()))
	}
}

func TestKind_String(t *testing.T) {
	want := map[wechat.Kind]string{
		wechat.KindBusy: "busy", wechat.KindCode: "code", wechat.KindBlocked: "blocked",
		wechat.KindConfig: "config", wechat.KindQuota: "quota",
	}
	for kind, word := range want {
		if kind.String() != word {
			t.Errorf("%d is %q, want %q", int(kind), kind, word)
		}
	}
}
