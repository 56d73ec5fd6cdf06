package wechat_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"loginhub/wechat"
	"loginhub/wechat/wechattest"
)

const webID = "wxfedcba9876543210"

func newWebsite(t *testing.T, w *wechattest.Server) *wechat.Website {
	t.Helper()
	w.Register(wechattest.App{ID: webID, Secret: secret, OpenPlatform: "acme", CallbackHost: "login.example.com"})
	site, err := wechat.NewWebsite(wechat.Config{AppID: webID, Secret: secret, BaseURL: w.URL}, w.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	return site
}

// visit opens the authorize page and returns the attempt's uuid and the page.
func visit(t *testing.T, link string) (uuid, page string) {
	t.Helper()
	resp, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	return wechattest.UUID(string(body)), string(body)
}

// inApp opens the authorize page inside WeChat. It returns where WeChat redirects, or the page.
func inApp(t *testing.T, link string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", "Mozilla/5.0 (iPhone) MicroMessenger/8.0.50")
	req.Close = true
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if to := resp.Header.Get("Location"); to != "" {
		return to
	}
	return string(body)
}

// webCode returns the code of a consenting user.
func webCode(t *testing.T, w *wechattest.Server, site *wechat.Website, user string) string {
	t.Helper()
	uuid, page := visit(t, site.Authorize("https://login.example.com/api/wechat/callback", "s-1", "cn"))
	back, err := url.Parse(w.Allow(uuid, user))
	if err != nil || back.Query().Get("state") != "s-1" || back.Query().Get("code") == "" {
		t.Fatalf("back to %v: %s", back, page)
	}
	return back.Query().Get("code")
}

func TestWebsite_Profile(t *testing.T) {
	w := newWeChat(t)
	site := newWebsite(t, w)
	p, err := site.Login(t.Context(), webCode(t, w, site, "小明"))
	if err != nil {
		t.Fatal(err)
	}
	want := wechat.Identity{AppID: webID, OpenID: w.OpenID(webID, "小明"), UnionID: w.UnionID(appID, "小明")}
	if p.Identity != want || p.Nickname != "小明" || !strings.HasPrefix(p.Avatar, "https://thirdwx.qlogo.cn/") {
		t.Errorf("got %+v, wanted %+v", p, want)
	}
}

func TestWebsite_CodeExchangedOnce(t *testing.T) {
	w := newWeChat(t)
	site := newWebsite(t, w)
	code := webCode(t, w, site, "alice")
	if _, err := site.Login(t.Context(), code); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		code string
		kind wechat.Kind
	}{"used": {code, wechat.KindCode}, "unknown": {"0123456789abcdef", wechat.KindCode},
		"a mini-program's": {w.Code(appID, "alice"), wechat.KindCode}, "none": {"", wechat.KindCode},
		"too long": {strings.Repeat("a", 600), wechat.KindCode}} {
		_, err := site.Login(t.Context(), c.code)
		if e := asError(t, err); e.Kind != c.kind {
			t.Errorf("%s: %v (%v)", name, e, e.Kind)
		}
	}
	for name, fault := range map[string]wechattest.Fault{"hang up": {Break: wechattest.HangUp}, "reset": {Break: wechattest.Reset},
		"empty": {Page: wechattest.EmptyPage}, "HTML": {Page: wechattest.HTMLPage}, "-1": {Errcode: -1}, "half": {Break: wechattest.Truncated}} {
		code := webCode(t, w, site, "bob")
		w.Fail(fault)
		_, err := site.Login(t.Context(), code)
		if e := asError(t, err); e.Kind != wechat.KindBusy || w.CallsFor(code) != 1 || strings.Contains(e.Error(), code) {
			t.Errorf("%s: %v (%v) after %d exchanges", name, e, e.Kind, w.CallsFor(code))
		}
	}
}

func TestWebsite_ProfileUnavailable(t *testing.T) {
	w := newWeChat(t)
	site := newWebsite(t, w)
	warned := 0
	site.Warn = func(error) { warned++ }
	for name, fault := range map[string]wechattest.Fault{"48001": {Errcode: 48001}, "empty": {Page: wechattest.EmptyPage},
		"HTML": {Page: wechattest.HTMLPage}, "502": {Page: wechattest.BadGatewayPage}, "half": {Break: wechattest.Truncated}} {
		code := webCode(t, w, site, "alice")
		w.Fail(wechattest.Fault{}, fault)
		p, err := site.Login(t.Context(), code)
		if err != nil || p.OpenID != w.OpenID(webID, "alice") || p.UnionID == "" || p.Nickname != "" {
			t.Errorf("%s: %+v %v", name, p, err)
		}
	}
	if warned != 5 {
		t.Errorf("warned %d times", warned)
	}
}

// Raw control characters in nicknames break JSON parsers.
func TestWebsite_ControlCharacters(t *testing.T) {
	w := newWeChat(t)
	site := newWebsite(t, w)
	code := webCode(t, w, site, "alice")
	w.Fail(wechattest.Fault{ZeroErrcode: true}, wechattest.Fault{RawNickname: true})
	p, err := site.Login(t.Context(), code)
	if err != nil || p.Nickname != "alice" {
		t.Errorf("%q %v", p.Nickname, err)
	}
}

func TestWebsite_WrongAuthorizeLink(t *testing.T) {
	w := newWeChat(t)
	site := newWebsite(t, w)
	if uuid, page := visit(t, site.Authorize("https://evil.example.net/cb", "s", "en")); uuid != "" || !strings.Contains(page, "redirect_uri") {
		t.Errorf("%q %s", uuid, page)
	}
	link := site.Authorize("https://login.example.com/cb", "s", "en")
	if !strings.HasSuffix(link, "&lang=en#wechat_redirect") || strings.Contains(link, secretCore) {
		t.Errorf("link %s", link)
	}
}
