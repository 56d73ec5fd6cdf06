package wechat_test

import (
	"fmt"
	"strings"
	"testing"

	"loginhub/hub/provider"
	"loginhub/hub/provider/wechat"
	"loginhub/wechat/wechattest"
)

// TestCheck_Account: the lines of `loginhub check` for an official account and for its pages inside WeChat.
func TestCheck_Account(t *testing.T) {
	const id, key = "wx0123456789abcdef", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
	w := wechattest.New(wechattest.Options{})
	t.Cleanup(w.Close)
	w.Register(wechattest.App{ID: id, Secret: "s3cret-0123456789", Token: "t0ken", AESKey: key})
	for name, c := range map[string]struct {
		kind   provider.Kind
		key    string
		faults []wechattest.Fault
		want   string // severities, then a part of the last line
	}{
		"good":               {wechat.Account(), key, nil, "[ok ok] /api/wechat/events"},
		"plain events":       {wechat.Account(), "", nil, "[ok ok warn] 安全模式"},
		"wrong secret":       {wechat.Account(), key, []wechattest.Fault{{Errcode: 40125}}, "[FAIL] console"},
		"not verified":       {wechat.Account(), key, []wechattest.Fault{{}, {Errcode: 48001}}, "[ok FAIL] 服务号"},
		"pages":              {wechat.InApp(), key, nil, "[ok] 网页授权域名"},
		"pages, not on list": {wechat.InApp(), key, []wechattest.Fault{{Errcode: 40164}}, "[FAIL] IP白名单"},
	} {
		f := &provider.Fields{ID: "mp", Values: map[string]string{"app_id": id, "api_url": w.URL, "app_secret_env": "s3cret-0123456789"},
			ReadSecret: func(variable, _ string) (string, error) { return variable, nil }}
		if c.kind.Name == "wechat_mp" {
			f.Values["token_env"] = "t0ken"
			if c.key != "" {
				f.Values["aes_key_env"] = c.key
			}
		}
		config := c.kind.Read(f)
		if err := f.Err(); err != nil {
			t.Fatal(err)
		}
		w.Fail(c.faults...)
		var grades []provider.Severity
		text := ""
		for _, line := range config.Check(t.Context(), provider.Env{ID: "mp", PublicURL: "https://login.example.com"}) {
			grades, text = append(grades, line.Severity), line.Text
		}
		grade, part, _ := strings.Cut(c.want, "] ")
		if fmt.Sprint(grades) != grade+"]" || !strings.Contains(text, part) || strings.Contains(text, "s3cret") {
			t.Errorf("%s: %v %s, wanted %s", name, grades, text, c.want)
		}
		w.ClearFaults()
	}
}

// TestCheck_Templates: the check of a mini-program finds a template that does not fit.
func TestCheck_Templates(t *testing.T) {
	w := wechattest.New(wechattest.Options{})
	t.Cleanup(w.Close)
	w.Register(wechattest.App{ID: "wx1", Secret: "s3cret-0123456789", Templates: map[string][]string{"login": {"thing1", "time2"}}})
	config := wechat.MiniProgram().Read(&provider.Fields{ID: "wechat", Values: map[string]string{"app_id": "wx1", "api_url": w.URL, "app_secret_env": "s3cret-0123456789"},
		ReadSecret: func(variable, _ string) (string, error) { return variable, nil }})
	for want, used := range map[string]map[string]map[string]string{
		"ok login_notice: the account has the template login":  {"login": {"thing1": "x", "time2": "{time}"}},
		"FAIL login_notice: the template login has the fields": {"login": {"thing1": "x"}},
		"FAIL login_notice: the account has no template other": {"other": {"thing1": "x"}},
	} {
		all := config.Check(t.Context(), provider.Env{ID: "wechat", Templates: used})
		if last := all[len(all)-1]; !strings.HasPrefix(string(last.Severity)+" "+last.Text, want) {
			t.Errorf("%v, want %s", last, want)
		}
	}
}
