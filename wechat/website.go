package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"
)

// DefaultOpenURL is the host of WeChat's authorize page.
const DefaultOpenURL = "https://open.weixin.qq.com"

// Profile is the user of a website login, with the names that WeChat vouches for.
type Profile struct {
	Identity
	// Nickname is WeChat's; it may contain any character.
	Nickname string
	// Avatar is an https URL, or empty.
	Avatar string
}

// Website exchanges the codes of one website application, or of an official account for
// pages inside WeChat. It is safe for concurrent use.
type Website struct {
	// Warn is called if a profile could not be read; may be nil. The user is
	// logged in without a name.
	Warn func(error)

	// Fixed after NewWebsite.
	client *apiClient
	open   *url.URL
	appID  string
	secret *string
	page   string // path of the authorize page
	scope  string
}

// The scopes of a login at WeChat's page. With scopeBase WeChat asks the user nothing, and
// gives only the openid.
const (
	scopeLogin   = "snsapi_login"
	scopeBase    = "snsapi_base"
	scopeProfile = "snsapi_userinfo"
)

// NewWebsite returns a client for the website application. openURL is the base of
// the authorize page; empty means DefaultOpenURL. It makes no call.
func NewWebsite(c Config, openURL string) (*Website, error) {
	return newWebsite(c, openURL, "/connect/qrconnect", scopeLogin)
}

// NewInApp returns a client for the pages that an official account opens inside WeChat.
// With profile WeChat asks the user for their name and picture, and gives the unionid.
//
// https://developers.weixin.qq.com/doc/service/guide/h5/auth.html
func NewInApp(c Config, openURL string, profile bool) (*Website, error) {
	if profile {
		return newWebsite(c, openURL, "/connect/oauth2/authorize", scopeProfile)
	}
	return newWebsite(c, openURL, "/connect/oauth2/authorize", scopeBase)
}

func newWebsite(c Config, openURL, page, scope string) (*Website, error) {
	h, err := c.apiClient()
	if err != nil {
		return nil, err
	}
	if openURL == "" {
		openURL = DefaultOpenURL
	}
	open, err := baseURL(openURL)
	if err != nil {
		return nil, errors.New("wechat config: the authorize page's base must be http(s)://HOST[/PATH] and nothing more")
	}
	return &Website{client: h, open: open, appID: c.AppID, secret: &c.Secret, page: page, scope: scope}, nil
}

// Authorize returns the URL of WeChat's page, which redirects to redirect with the
// state and, if the user agrees, a code. lang is "cn" or "en".
//
// https://developers.weixin.qq.com/doc/oplatform/Website_App/WeChat_Login/Wechat_Login
func (w *Website) Authorize(redirect, state, lang string) string {
	u := w.open.JoinPath(w.page)
	// WeChat requires this order.
	u.RawQuery = "appid=" + url.QueryEscape(w.appID) + "&redirect_uri=" + url.QueryEscape(redirect) +
		"&response_type=code&scope=" + w.scope + "&state=" + url.QueryEscape(state)
	if w.scope == scopeLogin {
		u.RawQuery += "&lang=" + url.QueryEscape(lang)
	}
	u.Fragment = "wechat_redirect"
	return u.String()
}

// Origin returns the authorize page's origin, for a Content-Security-Policy.
func (w *Website) Origin() string { return w.open.Scheme + "://" + w.open.Host }

// Login exchanges the callback's code for the user by one call that is never
// repeated, and reads the user's profile if the scope permits it. An error is always an
// [*Error].
//
// https://developers.weixin.qq.com/doc/oplatform/Website_App/WeChat_Login/Authorized_Interface_Calling_UnionID.html
func (w *Website) Login(ctx context.Context, code string) (Profile, error) {
	c := call{
		op:   OpGrant,
		path: "/sns/oauth2/access_token",
		query: url.Values{"appid": {w.appID}, "secret": {*w.secret}, "code": {code},
			"grant_type": {"authorization_code"}},
		hidden: []string{*w.secret, code},
	}
	if code == "" || len(code) > maxCode {
		return Profile{}, &Error{Op: c.op, Kind: KindCode, Msg: "not called: no code has this length"}
	}
	// The answer also has a refresh_token. It has no field, so it is dropped.
	var answer struct {
		Token   string `json:"access_token"`
		OpenID  string `json:"openid"`
		UnionID string `json:"unionid"`
		Guest   int    `json:"is_snapshotuser"` // 1: the user sees a snapshot of the page
	}
	if err := w.client.get(ctx, c, &answer); err != nil {
		return Profile{}, err
	}
	if answer.Guest != 0 {
		return Profile{}, &Error{Op: c.op, Kind: KindGuest, Msg: "the user sees a snapshot of the page (is_snapshotuser)"}
	}
	if !plausibleID(answer.OpenID) || (answer.UnionID != "" && !plausibleID(answer.UnionID)) {
		return Profile{}, c.unavailable("answer without a usable openid or unionid", nil)
	}
	p := Profile{Identity: Identity{AppID: w.appID, OpenID: answer.OpenID, UnionID: answer.UnionID}}
	if w.scope == scopeBase {
		return p, nil
	}
	if err := w.profile(ctx, answer.Token, &p); err != nil && w.Warn != nil {
		w.Warn(err)
	}
	return p, nil
}

// profile adds the names that userinfo returns. The user is known already and the
// code is spent, so an error here costs only the names.
func (w *Website) profile(ctx context.Context, token string, p *Profile) (err error) {
	c := call{op: OpProfile, path: "/sns/userinfo", hidden: []string{token, *w.secret},
		query: url.Values{"access_token": {token}, "openid": {p.OpenID}, "lang": {"zh_CN"}}}
	if token == "" {
		return c.unavailable("no access_token in the answer", nil)
	}
	start := time.Now()
	defer func() { w.client.observeCall(ctx, c, start, err) }()
	body, err := w.client.exchange(ctx, c)
	if err != nil {
		return err
	}
	var answer struct {
		OpenID   string `json:"openid"`
		UnionID  string `json:"unionid"`
		Nickname string `json:"nickname"`
		Avatar   string `json:"headimgurl"`
	}
	if !json.Valid(body) {
		body = printable(body) // a nickname with raw control characters
	}
	if err := c.decode(body, &answer); err != nil {
		return err
	}
	if answer.OpenID != p.OpenID {
		return c.unavailable("answer about another user", nil)
	}
	if p.UnionID == "" && plausibleID(answer.UnionID) {
		p.UnionID = answer.UnionID
	}
	p.Nickname, p.Avatar = answer.Nickname, answer.Avatar
	if rest, plain := strings.CutPrefix(p.Avatar, "http://"); plain {
		p.Avatar = "https://" + rest // the same picture; older profiles have it so
	}
	return nil
}

// printable takes the bytes below the blank out of JSON: outside of strings they
// mean nothing, within them they are not allowed.
func printable(body []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, body)
}

// Close lets go of idle connections of the package's own transport.
func (w *Website) Close() { w.client.close() }
