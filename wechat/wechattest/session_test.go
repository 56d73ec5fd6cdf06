package wechattest_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"loginhub/wechat/wechattest"
)

func TestSession_Success(t *testing.T) {
	s, _ := newServer(t)
	code := s.Code(appID, "alice")
	if !regexp.MustCompile(`^[0-9A-Za-z]{32}$`).MatchString(code) {
		t.Errorf("code %q", code)
	}
	r := ask(t, s, query(code))
	if r.status != 200 || r.contentType != "text/plain" || len(r.fields) != 3 {
		t.Fatalf("got %v, want three fields and no errcode", r)
	}
	key, _ := r.fields["session_key"].(string)
	if raw, err := base64.StdEncoding.DecodeString(key); err != nil || len(key) != 24 || len(raw) != 16 {
		t.Errorf("session_key %q", key)
	}
	if keys := s.SessionKeys(); len(keys) != 1 || keys[0] != key || !strings.HasPrefix(key, wechattest.SessionKeyPrefix) {
		t.Errorf("sent %q, noted %q", key, keys)
	}
	openid, _ := r.fields["openid"].(string)
	if len(openid) != 28 || openid[0] != 'o' || openid != s.OpenID(appID, "alice") {
		t.Errorf("openid %q", openid)
	}
	if r.fields["unionid"] != s.UnionID(appID, "alice") {
		t.Errorf("unionid %v", r.fields["unionid"])
	}
}

func TestSession_ErrorOrder(t *testing.T) {
	s, _ := newServer(t)
	s.Register(wechattest.App{ID: "wxother", Secret: "x"})
	tests := map[string]struct {
		spoil func(url.Values)
		want  int
	}{
		"nothing at all":   {func(q url.Values) { clear(q) }, 41002},
		"no appid":         {func(q url.Values) { q.Del("appid") }, 41002},
		"no secret":        {func(q url.Values) { q.Del("secret") }, 41004},
		"no code":          {func(q url.Values) { q.Del("js_code") }, 41008},
		"no grant type":    {func(q url.Values) { q.Del("grant_type") }, 40002},
		"unknown appid":    {func(q url.Values) { q.Set("appid", "wxunknown") }, 40013},
		"wrong secret":     {func(q url.Values) { q.Set("secret", "wrong") }, 40125},
		"unknown code":     {func(q url.Values) { q.Set("js_code", "unknown") }, 40029},
		"other app's code": {func(q url.Values) { q.Set("js_code", s.Code("wxother", "alice")) }, 40029},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code := s.Code(appID, "alice")
			q := query(code)
			tt.spoil(q)
			r := ask(t, s, q)
			if r.status != 200 || r.contentType != "text/plain" || r.errcode() != tt.want {
				t.Errorf("got %v, want %d", r, tt.want)
			}
			errmsg, _ := r.fields["errmsg"].(string)
			if !regexp.MustCompile(`^.+, rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$`).MatchString(errmsg) {
				t.Errorf("errmsg %q", errmsg)
			}
			if r := ask(t, s, query(code)); r.errcode() != 0 {
				t.Errorf("the refusal spent the code: %v", r)
			}
		})
	}
}

func TestSession_PostBody(t *testing.T) {
	s, _ := newServer(t)
	form := strings.NewReader(query(s.Code(appID, "alice")).Encode())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/sns/jscode2session", form)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if r := send(req); r.errcode() != 41002 {
		t.Errorf("got %v", r)
	}
}

func TestCode_SingleUseAndLife(t *testing.T) {
	s, clock := newServer(t)
	first, last := s.Code(appID, "alice"), s.Code(appID, "alice")
	clock.now = clock.now.Add(5*time.Minute - time.Nanosecond)
	if r := ask(t, s, query(first)); r.errcode() != 0 || r.err != nil {
		t.Errorf("in time: %v", r)
	}
	if r := ask(t, s, query(first)); r.errcode() != 40163 {
		t.Errorf("used: %v", r)
	}
	clock.now = clock.now.Add(time.Nanosecond)
	if r := ask(t, s, query(last)); r.errcode() != 40029 {
		t.Errorf("expired: %v", r)
	}
	if s.CallsFor(first) != 2 || s.CallsFor(last) != 1 || s.CallsFor("unknown") != 0 || s.Calls() != 3 {
		t.Errorf("counted %d, %d, %d, %d", s.CallsFor(first), s.CallsFor(last), s.CallsFor("unknown"), s.Calls())
	}
}
