package wechattest

import (
	"crypto/rand"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
)

// Attempt is one visit to the authorize page.
type Attempt struct {
	UUID            string
	appID           string
	redirect, state string
}

// connect serves open.weixin.qq.com: the authorize page.
func (s *Server) connect(r *http.Request) answer {
	q := r.URL.Query()
	switch r.URL.Path {
	case "/connect/qrconnect":
		return s.authorizePage(q)
	case "/connect/decide": // an addition: the user's phone, for a test in a browser
		return s.decidePage(q)
	}
	return answer{status: http.StatusNotFound, contentType: "text/html", body: []byte("<h1>404</h1>")}
}

// authorizePage shows a QR code or the error of the link, both with HTTP 200.
func (s *Server) authorizePage(q url.Values) answer {
	back, err := url.Parse(q.Get("redirect_uri"))
	s.mu.Lock()
	defer s.mu.Unlock()
	app, known := s.apps[q.Get("appid")]
	switch {
	case !known:
		return page("AppID 参数错误")
	case err != nil || back.Hostname() == "" || back.Hostname() != app.CallbackHost:
		return page("redirect_uri 参数错误")
	case q.Get("response_type") != "code":
		return page("response_type 参数错误")
	case q.Get("scope") != "snsapi_login":
		return page("Scope 参数错误或没有 Scope 权限")
	case len(q.Get("state")) > 128:
		return page("state 参数错误")
	}
	a := &Attempt{UUID: rand.Text()[:16], appID: app.ID, redirect: q.Get("redirect_uri"), state: q.Get("state")}
	s.attempts[a.UUID] = a
	return page(fmt.Sprintf(`<img src="/connect/qrcode/%[1]s" alt=""><a id="allow" href="/connect/decide?uuid=%[1]s&amp;user=alice">allow</a>`+
		` <a id="deny" href="/connect/decide?uuid=%[1]s">deny</a>`, a.UUID))
}

func page(text string) answer {
	return answer{status: http.StatusOK, contentType: "text/html; charset=utf-8",
		body: []byte("<!doctype html><title>微信登录</title><body>" + text)}
}

// decidePage redirects the browser as WeChat's page does.
func (s *Server) decidePage(q url.Values) answer {
	to := s.Deny(q.Get("uuid"))
	if user := q.Get("user"); user != "" {
		to = s.Allow(q.Get("uuid"), user)
	}
	if to == "" {
		return page("二维码已过期")
	}
	return answer{status: http.StatusFound, contentType: "text/html", location: to,
		body: []byte(`<a href="` + html.EscapeString(to) + `">Found</a>`)}
}

// UUID returns the attempt's id in the authorize page's HTML, or "".
func UUID(page string) string {
	_, rest, _ := strings.Cut(page, "/connect/qrcode/")
	uuid, _, found := strings.Cut(rest, `"`)
	if !found {
		return ""
	}
	return uuid
}

// Allow consents and returns the URL of the browser's redirect, or "" for an
// unknown attempt.
func (s *Server) Allow(uuid, user string) (callback string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.attempts[uuid]
	if a == nil {
		return ""
	}
	code := s.issue(issued{appID: a.appID, user: user, web: true, expires: s.now().Add(WebCodeLife)})
	return a.back("code=" + code + "&")
}

// Deny refuses. Since 2022 the browser then stays on the page; before, it was
// redirected to the URL that Deny returns.
func (s *Server) Deny(uuid string) (callback string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.attempts[uuid]
	if a == nil {
		return ""
	}
	return a.back("")
}

func (a *Attempt) back(code string) string {
	sep := "?"
	if strings.Contains(a.redirect, "?") {
		sep = "&"
	}
	return a.redirect + sep + code + "state=" + url.QueryEscape(a.state)
}
