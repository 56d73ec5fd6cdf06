package wechattest

import (
	"crypto/rand"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Attempt is one visit to the authorize page.
type Attempt struct {
	UUID            string
	appID           string
	redirect, state string
	scope           string
}

// connect serves open.weixin.qq.com: the authorize page.
func (s *Server) connect(r *http.Request) answer {
	q := r.URL.Query()
	switch r.URL.Path {
	case "/connect/qrconnect":
		return s.authorizePage(q, "snsapi_login")
	case "/connect/oauth2/authorize":
		if !strings.Contains(r.UserAgent(), "MicroMessenger") {
			return page("请在微信客户端打开链接")
		}
		return s.authorizePage(q, "snsapi_base", "snsapi_userinfo")
	case "/connect/decide": // an addition: the user's phone, for a test in a browser
		return s.decidePage(q)
	}
	return answer{status: http.StatusNotFound, contentType: "text/html", body: []byte("<h1>404</h1>")}
}

// InApp sets who looks at pages inside WeChat from now on; alice at first.
func (s *Server) InApp(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inApp = user
}

// authorizePage shows a QR code or the error of the link, both with HTTP 200. Inside
// WeChat it redirects at once if the scope gives the openid only.
func (s *Server) authorizePage(q url.Values, scopes ...string) answer {
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
	case !slices.Contains(scopes, q.Get("scope")):
		return page("Scope 参数错误或没有 Scope 权限")
	case len(q.Get("state")) > 128:
		return page("state 参数错误")
	}
	a := &Attempt{UUID: rand.Text()[:16], appID: app.ID, redirect: q.Get("redirect_uri"), state: q.Get("state"), scope: q.Get("scope")}
	s.attempts[a.UUID] = a
	if a.scope == "snsapi_base" {
		return redirect(allow(s, a, s.inApp))
	}
	return page(fmt.Sprintf(`<img src="/connect/qrcode/%[1]s" alt=""><a id="allow" href="/connect/decide?uuid=%[1]s&amp;user=%[2]s">allow</a>`+
		` <a id="deny" href="/connect/decide?uuid=%[1]s">deny</a>`, a.UUID, url.QueryEscape(s.inApp)))
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
	return redirect(to)
}

func redirect(to string) answer {
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
	return allow(s, a, user)
}

// allow is Allow for an attempt. Called with mu held. A code of a page inside WeChat lives
// as long as a mini-program's.
func allow(s *Server, a *Attempt, user string) (callback string) {
	life := WebCodeLife
	if a.scope != "snsapi_login" {
		life = CodeLife
	}
	code := s.issue(issued{appID: a.appID, user: user, web: true, scope: a.scope, expires: s.now().Add(life)})
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
