// Package wechattest imitates WeChat's API host, for tests: a real HTTP server
// on a real port, with WeChat's manners (every failure is an HTTP 200, JSON is
// text/plain, each errmsg ends with a trace) and with knobs for all that goes
// wrong with it.
//
// It owns its applications, the codes that [Server.Code] issues, and the counts
// that tell whether a one-time code was exchanged twice. It keeps everything it
// has ever issued, so it suits test runs and not service. It does not imitate
// quotas by counting calls; order them as a [Fault].
//
//	w := wechattest.New(wechattest.Options{})
//	defer w.Close()
//	w.Register(wechattest.App{ID: "wx0123456789abcdef", Secret: "…"})
//	code := w.Code("wx0123456789abcdef", "alice")
//	w.Fail(wechattest.Fault{Errcode: 45011})
//
// Each call that WeChat knows is one file: session.go is jscode2session, token.go
// stable_token, code.go getwxacodeunlimit, website.go the website's two calls, and
// connect.go the page on which a person allows or denies a website's login.
package wechattest
