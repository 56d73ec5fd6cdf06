package wechat_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"loginhub/wechat"
)

// FuzzAnswer gives the parser what WeChat, or whoever stands in its place, may
// send.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"session_key":"wxSessionKeyAAAAAAAAAA==","openid":"o0123456789abcdefghijklmnop","unionid":"o1"}`,
		`{"errcode":0,"errmsg":"ok","openid":"o1"}`,
		`{"errcode":"0","openid":"o1"}`,
		`{"errcode":40029,"errmsg":"invalid code, rid: 6578a1b2-1c2d3e4f-5a6b7c8d"}`,
		`{"errcode":"40164","errmsg":"invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 1-2-3"}`,
		`{"errcode":-1,"errmsg":"` + secretCore + codeCore + `"}`,
		`{"errcode":1e99,"errmsg":"\u202e\u0000"}`,
		`{"errcode":null,"ERRCODE":40029,"openid":"o1"}`,
		`{"openid":11111111111111111111111111111111111111111111111111111}`,
		`{"openid":"o`, `{}`, `[]`, `null`, ``, ` `, `<html>`, "\xff\xfe{", "{\"openid\":\"\xff\"}",
		strings.Repeat("{", 70000),
	} {
		f.Add(200, body)
	}
	f.Add(502, "<html></html>")
	f.Fuzz(func(t *testing.T, status int, body string) {
		m := newClientVia(t, "", answering(status, body))
		id, err := m.Session(t.Context(), codeCore)
		if err == nil {
			if status != 200 || id.AppID != appID || id.OpenID == "" || len(id.OpenID+id.UnionID) > 256 ||
				strings.ContainsFunc(id.OpenID+id.UnionID, unfit) {
				t.Fatalf("status %d accepted as %+v", status, id)
			}
			return
		}
		var e *wechat.Error
		if !errors.As(err, &e) || id != (wechat.Identity{}) {
			t.Fatalf("%T beside %+v", err, id)
		}
		text := err.Error()
		if len(text) > 4096 || strings.ContainsFunc(text, unfit) {
			t.Fatalf("error text %q", text)
		}
		if strings.Contains(text, codeCore) || strings.Contains(text, secret) {
			t.Fatalf("secret or code in %q", text)
		}
	})
}

func unfit(r rune) bool { return !unicode.IsPrint(r) }
