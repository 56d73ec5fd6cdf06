// Package wechattest imitates WeChat's API host for tests. It is an HTTP server on
// a real port that behaves like WeChat: every failure is an HTTP 200, JSON is
// text/plain, and each errmsg ends with a trace. A [Fault] makes calls fail.
//
// It owns its applications, the codes that [Server.Code] issues, and counts that
// show whether a one-time code was exchanged twice. It keeps all issued codes, so it
// is for tests only. It does not count calls against quotas; use a [Fault].
//
//	w := wechattest.New(wechattest.Options{})
//	defer w.Close()
//	w.Register(wechattest.App{ID: "wx0123456789abcdef", Secret: "…"})
//	code := w.Code("wx0123456789abcdef", "alice")
//	w.Fail(wechattest.Fault{Errcode: 45011})
//
// Each call of WeChat is one file: session.go is jscode2session, token.go
// stable_token, code.go getwxacodeunlimit, website.go the website's two calls, account.go
// those of official accounts and phone numbers, push.go the events that WeChat sends, and
// connect.go the page on which a user allows or denies a website's login.
package wechattest
