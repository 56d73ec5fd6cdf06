// Package qq is the provider of QQ (QQ互联): QQ's login page, which is also the one inside
// the QQ app.
package qq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"regexp"
	"strings"

	"loginhub/hub/provider"
	"loginhub/hub/provider/httpcall"
)

// Kind returns the kind "qq". Fields: app_id, app_key, api_url, authorize_url.
func Kind() provider.Kind {
	return provider.Kind{
		Name: "qq", Label: provider.Label{ZH: "QQ", EN: "QQ"},
		Token:      provider.TokenForm{AMR: "qq", Prefix: "qq", UnionPrefix: "qq:unionid", OpenID: true},
		ByRedirect: true, PublicURL: true, Calls: "qq",
		PictureHosts: []string{"thirdqq.qlogo.cn", "q.qlogo.cn"},
		InAgent:      isQQ,
		Read:         read,
	}
}

// isQQ reports whether an agent is that of the QQ app. WeChat on some systems and QQ's
// browser have similar words.
func isQQ(agent string) bool {
	return strings.Contains(agent, " QQ/") && !strings.Contains(agent, "MicroMessenger")
}

// config is a website application. It implements provider.Config.
type config struct {
	appID, key string
	api, page  *url.URL
}

var appID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func read(f *provider.Fields) provider.Config {
	const hint, host = "the APP ID as connect.qq.com shows it", "https://graph.qq.com"
	c := config{appID: f.Text("app_id", hint), key: f.Secret("app_key"), api: httpcall.Base(f, "api_url", host)}
	if c.appID != "" && !appID.MatchString(c.appID) {
		f.Fail("app_id", errors.New("digits, "+hint))
	}
	byDefault := host
	if f.Values["api_url"] != "" {
		byDefault = c.api.String() // QQ has one host for both
	}
	c.page = httpcall.Page(httpcall.Base(f, "authorize_url", byDefault), "/oauth2.0/authorize")
	return c
}

// Format prints the application for every verb, so that no verb prints the key.
func (c config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.appID) }

// Open implements provider.Config.
func (c config) Open(e provider.Env) (provider.Access, error) {
	a := c.app(e)
	a.client.Start(callToken, callMe, callUser)
	return provider.Access{Redirect: a, InApp: a}, nil
}

// app makes the calls of one application. It implements provider.Redirector.
type app struct {
	config
	client *httpcall.Client
	log    *slog.Logger // nil in a check
}

func (c config) app(e provider.Env) *app {
	return &app{config: c, log: e.Log, client: httpcall.New(httpcall.Host{Service: "qq", Base: c.api, Failure: failure, Metrics: e.Calls,
		Reactions: map[string]httpcall.Reaction{
			"100019": httpcall.Code, "100020": httpcall.Code, noUnion: httpcall.Incomplete, "100013": httpcall.Busy, "100016": httpcall.Busy,
			"100001": httpcall.Config, "100008": httpcall.Config, "100009": httpcall.Config, "100010": httpcall.Config, "-1": httpcall.Busy}})}
}

// Authorize implements provider.Redirector.
//
// https://wiki.connect.qq.com/使用authorization_code获取access_token
func (a *app) Authorize(_ context.Context, v provider.Visit) (string, error) {
	u := *a.page
	u.RawQuery = url.Values{"response_type": {"code"}, "client_id": {a.appID}, "redirect_uri": {v.Callback}, "state": {v.State}, "scope": {"get_user_info"}}.Encode()
	return u.String(), nil
}

// Origin implements provider.Redirector.
func (a *app) Origin() string { return httpcall.Origin(a.page) }

// Exchange implements provider.Exchanger. A profile that cannot be read costs only the
// names.
func (a *app) Exchange(ctx context.Context, p provider.Credential) (provider.Identity, error) {
	token, openID, err := a.grant(ctx, p)
	if err != nil {
		return provider.Identity{}, err
	}
	me, err := a.me(ctx, token, openID)
	if err != nil {
		return provider.Identity{}, err
	}
	by := provider.Identity{Realm: a.appID, Subject: me.OpenID, Union: me.UnionID}
	if by.Nickname, by.Picture, err = a.profile(ctx, token, me.OpenID); err != nil && a.log != nil {
		a.log.WarnContext(ctx, "a login of QQ has no nickname, because its profile could not be read", "app_id", a.appID, "error", err)
	}
	return by, nil
}
