package wechat_test

import (
	"crypto/sha1"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"loginhub/wechat"
)

// FuzzAnswer feeds the parser answers of WeChat or of a proxy.
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
		if err != nil {
			tame(t, err, id == (wechat.Identity{}))
			return
		}
		if status != 200 || !fit(id, appID) {
			t.Fatalf("status %d accepted as %+v", status, id)
		}
	})
}

// FuzzPush feeds the parser of events signed bodies: each is an event of a usable user, or refused.
func FuzzPush(f *testing.F) {
	for _, body := range []string{
		"<xml><FromUserName><![CDATA[o1]]></FromUserName><MsgType>event</MsgType><Event>SCAN</Event><EventKey>s</EventKey></xml>",
		"<xml><Encrypt>AAAA</Encrypt></xml>", "<!DOCTYPE a><xml/>", "<xml>&a;</xml>", "<xml", "", strings.Repeat("<a>", 5000),
	} {
		f.Add(body, strings.Repeat("A", 64))
	}
	f.Fuzz(func(t *testing.T, body, sealed string) {
		now := time.Now()
		for _, key := range []string{"", aesKey} {
			push, err := wechat.NewPush(appID, pushToken, key)
			if err != nil {
				t.Fatal(err)
			}
			at, values := strconv.FormatInt(now.Unix(), 10), []string{pushToken, "n"}
			if key != "" {
				body, values = "<xml><Encrypt><![CDATA["+sealed+"]]></Encrypt></xml>", append(values, sealed)
			}
			values = append(values, at)
			slices.Sort(values)
			signature := fmt.Sprintf("%x", sha1.Sum([]byte(strings.Join(values, ""))))
			e, err := push.Open(url.Values{"signature": {signature}, "msg_signature": {signature}, "timestamp": {at}, "nonce": {"n"}}, []byte(body), now)
			if err == nil && (e.OpenID == "" || strings.ContainsFunc(e.OpenID, unfit)) || err != nil && !errors.Is(err, wechat.ErrForged) {
				t.Fatalf("%+v %v", e, err)
			}
		}
	})
}

// FuzzWebsiteAnswer feeds both parsers of the website login: the answer to the
// code, and the profile.
func FuzzWebsiteAnswer(f *testing.F) {
	const who = `{"access_token":"` + tokenCore + `","expires_in":7200,"refresh_token":"r","openid":"o-web-1","scope":"snsapi_login","unionid":"u-1"}`
	const profile = `{"openid":"o-web-1","nickname":"小明","headimgurl":"http://thirdwx.qlogo.cn/1","unionid":"u-1"}`
	for _, pair := range [][2]string{
		{who, profile},
		{strings.Replace(who, `,"unionid":"u-1"`, "", 1), profile},
		{strings.Replace(who, `,"unionid":"u-1"`, "", 1), strings.Replace(profile, `"u-1"`, `"u\u202e1"`, 1)},
		{who, strings.Replace(profile, "o-web-1", "o-web-2", 1)},
		{who, "{\"openid\":\"o-web-1\",\"nickname\":\"a\tb\x01\",\"headimgurl\":\"\"}"},
		{who, `{"errcode":40001,"errmsg":"invalid credential ` + tokenCore + secretCore + `, rid: 1-2-3"}`},
		{who, `<html>` + tokenCore}, {who, ``}, {who, `null`},
		{strings.Replace(who, `"access_token":"`+tokenCore+`",`, "", 1), profile},
		{strings.Replace(who, `"o-web-1"`, `"o\u202e1"`, 1), profile},
		{strings.Replace(who, `"o-web-1"`, `["o-web-1"]`, 1), profile},
		{`{"errcode":40029,"errmsg":"invalid code ` + codeCore + `"}`, profile}, {`{}`, `{}`}, {"\xff\xfe{", profile},
	} {
		f.Add(200, pair[0], 200, pair[1])
	}
	f.Add(502, who, 200, profile)
	f.Add(200, who, 404, profile)
	f.Fuzz(func(t *testing.T, status int, body string, status2 int, profile string) {
		site, err := wechat.NewWebsite(wechat.Config{AppID: webID, Secret: secret, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/sns/userinfo" {
				return answering(status2, profile)(r)
			}
			return answering(status, body)(r)
		})}, "")
		if err != nil {
			t.Fatal(err)
		}
		defer site.Close()
		var given struct {
			Token string `json:"access_token"`
		}
		_ = json.Unmarshal([]byte(body), &given) // an answer that is not JSON has no token
		nameless := false
		site.Warn = func(err error) {
			nameless = true
			tame(t, err, true)
			if given.Token == tokenCore && strings.Contains(err.Error(), tokenCore) {
				t.Fatalf("the token is in %q", err)
			}
		}
		p, err := site.Login(t.Context(), codeCore)
		if err != nil {
			tame(t, err, p == (wechat.Profile{}))
			return
		}
		if status != 200 || !fit(p.Identity, webID) || (nameless || status2 != 200) && p.Nickname+p.Avatar != "" || strings.HasPrefix(p.Avatar, "http://") {
			t.Fatalf("status %d and %d accepted as %+v", status, status2, p)
		}
		var said struct{ OpenID string }
		if p.Nickname+p.Avatar != "" && json.Unmarshal([]byte(printed(profile)), &said) == nil && said.OpenID != p.OpenID {
			t.Fatalf("%s has the names of %s", p.OpenID, said.OpenID)
		}
	})
}

// printed removes raw control characters from JSON.
func printed(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, text)
}

// FuzzCodeAnswer feeds the parser of mini-program codes answers that are not a
// picture.
func FuzzCodeAnswer(f *testing.F) {
	for _, body := range []string{
		"\xff\xd8\xff\xe0 a JPEG", "\x89PNG\r\n\x1a\n a PNG", "\x89PNG", "GIF89a", "\xff\xd8\xff" + strings.Repeat("x", 600<<10),
		`{"errcode":0}`, `{"errcode":41030,"errmsg":"invalid page hint: [` + tokenCore + `] rid: 1-2-3"}`,
		`{"errcode":40001,"errmsg":"invalid credential, access_token is invalid or not latest"}`, `{"errcode":42001}`,
		`{"errcode":45009,"errmsg":"reach max api daily quota limit ` + secretCore + `"}`, `{"errcode":"x"}`, `{}`, `null`, ``, `<html>`, "\xff",
	} {
		f.Add(200, body)
	}
	f.Add(502, "\xff\xd8\xff")
	f.Fuzz(func(t *testing.T, status int, body string) {
		asked := 0
		tokens := newTokensVia(t, newShelf(), func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == stablePath {
				return answering(200, `{"access_token":"`+tokenCore+`","expires_in":7200}`)(r)
			}
			asked++
			return answering(status, body)(r)
		})
		picture, err := tokens.Code(t.Context(), scene, wechat.CodeOptions{})
		if asked < 1 || asked > 2 {
			t.Fatalf("asked %d times", asked)
		}
		if err != nil {
			tame(t, err, picture == nil)
			if strings.Contains(err.Error(), tokenCore) {
				t.Fatalf("the token is in %q", err)
			}
			return
		}
		if kind := http.DetectContentType(picture); status != 200 || string(picture) != body || len(body) > 512<<10 || kind != "image/jpeg" && kind != "image/png" {
			t.Fatalf("status %d accepted as a picture: %.100q", status, body)
		}
	})
}

// FuzzTokenAnswer feeds the parser of the access token, which all nodes share.
func FuzzTokenAnswer(f *testing.F) {
	for _, body := range []string{
		`{"access_token":"` + tokenCore + `","expires_in":7200}`, `{"access_token":"a","expires_in":0}`, `{"access_token":"a","expires_in":-7200}`,
		`{"access_token":"a","expires_in":9223372036854775807}`, `{"access_token":"a","expires_in":1e3}`, `{"access_token":"a","expires_in":"7200"}`,
		`{"access_token":"` + strings.Repeat("a", 4096) + `"}`, `{"access_token":"` + strings.Repeat("a", 4097) + `"}`,
		`{"access_token":"","expires_in":7200}`, `{"expires_in":7200}`, `{"access_token":"a\u0000&b=c","expires_in":7200}`,
		`{"errcode":40164,"errmsg":"invalid ip 203.0.113.7, not in whitelist ` + secretCore + `"}`, `{"errcode":0,"access_token":"a","expires_in":300}`,
		`{}`, `null`, `[]`, ``, `<html>`, "\xff",
	} {
		f.Add(200, body)
	}
	f.Add(502, `{"access_token":"a","expires_in":7200}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		s, used := newShelf(), ""
		tokens := newTokensVia(t, s, func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == stablePath {
				return answering(status, body)(r)
			}
			used = r.URL.Query().Get("access_token")
			return answering(200, "\x89PNG\r\n\x1a\n")(r)
		})
		if _, err := tokens.Code(t.Context(), scene, wechat.CodeOptions{}); err != nil {
			tame(t, err, used == "")
			if _, _, ok := tokens.Age(); ok {
				t.Fatalf("a token is held after %v", err)
			}
			return
		}
		var said struct {
			Token string `json:"access_token"`
		}
		err := json.Unmarshal([]byte(body), &said)
		age, left, ok := tokens.Age()
		if status != 200 || err != nil || used == "" || used != said.Token || len(used) > 4096 || !ok || age != 0 || left < time.Second || left > 2*time.Hour {
			t.Fatalf("status %d accepted as %.100q, good for %v: %.200q", status, used, left, body)
		}
	})
}

func newTokensVia(t testing.TB, s *memTokenStore, transport roundTrip) *wechat.Tokens {
	t.Helper()
	tokens, err := wechat.NewTokens(wechat.Config{AppID: appID, Secret: secret, Transport: transport}, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tokens.Close)
	return tokens
}

// tokenCore is part of an access token that must not appear in any form.
const tokenCore = "acc3ssT0kenC0re0123456789"

// fit reports whether an identity is of that application, bounded and printable.
func fit(id wechat.Identity, app string) bool {
	return id.AppID == app && id.OpenID != "" && len(id.OpenID+id.UnionID) <= 256 && !strings.ContainsFunc(id.OpenID+id.UnionID, unfit)
}

// tame fails unless err may be logged and the result is empty.
func tame(t *testing.T, err error, alone bool) {
	t.Helper()
	var e *wechat.Error
	if !errors.As(err, &e) || !alone {
		t.Fatalf("%T, alone: %v", err, alone)
	}
	text := err.Error()
	if len(text) > 4096 || strings.ContainsFunc(text, unfit) {
		t.Fatalf("error text %q", text)
	}
	for _, hidden := range []string{codeCore, secret} {
		if strings.Contains(text, hidden) {
			t.Fatalf("secret or code in %q", text)
		}
	}
}

func unfit(r rune) bool { return !unicode.IsPrint(r) }
