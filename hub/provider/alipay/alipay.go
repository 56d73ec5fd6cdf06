// Package alipay is the provider of Alipay (支付宝): its login page, the same page inside
// its app, and the code of a mini-program.
package alipay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"

	"loginhub/hub/provider"
	"loginhub/hub/provider/httpcall"
)

// Kind returns the kind "alipay". Fields: app_id, private_key, public_key, scope,
// mini_program_page, api_url, authorize_url.
func Kind() provider.Kind {
	return provider.Kind{
		Name: "alipay", Label: provider.Label{ZH: "支付宝", EN: "Alipay"},
		Token:   provider.TokenForm{AMR: "alipay", Prefix: "alipay", UnionPrefix: "alipay:unionid", OpenID: true},
		ByPhone: true, ByRedirect: true, CodeParam: "auth_code", PublicURL: true, Calls: "alipay",
		PictureHosts: []string{"tfs.alipayobjects.com"},
		InAgent:      func(userAgent string) bool { return strings.Contains(userAgent, "AlipayClient") },
		Read:         read,
	}
}

// The scopes. scopeUser also gives name and picture, after a question to the user.
const (
	scopeBase = "auth_base"
	scopeUser = "auth_user"
)

// config implements provider.Config.
type config struct {
	keys
	id, scope, page    string
	gateway, authorize *url.URL
}

var (
	appID    = regexp.MustCompile(`^[0-9]{1,32}$`)
	pagePath = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$`)
)

func read(f *provider.Fields) provider.Config {
	c := config{id: f.Text("app_id", "as Alipay's console shows it"), keys: readKeys(f),
		scope: f.Optional("scope", scopeBase), page: f.Optional("mini_program_page", "")}
	if c.id != "" && !appID.MatchString(c.id) {
		f.Fail("app_id", errors.New("digits only, in quotation marks"))
	}
	if c.scope != scopeBase && c.scope != scopeUser {
		f.Fail("scope", errors.New("auth_base or auth_user"))
	}
	if c.page != "" && !pagePath.MatchString(c.page) {
		f.Fail("mini_program_page", errors.New("like pages/confirm/confirm, no leading slash, no query"))
	}
	c.gateway = httpcall.Page(httpcall.Base(f, "api_url", "https://openapi.alipay.com"), "/gateway.do")
	c.authorize = httpcall.Page(httpcall.Base(f, "authorize_url", "https://openauth.alipay.com"), "/oauth2/publicAppAuthorize.htm")
	return c
}

// Open implements provider.Config.
func (c config) Open(e provider.Env) (provider.Access, error) {
	g := c.client(e)
	if text := c.ownPublic(); text != "" {
		e.Log.Warn(text, "app_id", c.id)
	}
	g.Start(methodToken)
	if c.scope == scopeUser {
		g.Start(methodUser)
	}
	silent := c
	silent.scope = scopeBase
	a := provider.Access{Code: &login{silent, g, e}, Redirect: &login{c, g, e}, InApp: &login{silent, g, e}}
	if c.page != "" {
		a.Launch = "alipays://platformapi/startapp?appId=" + c.id + "&page=" + url.QueryEscape(c.page) + "&query=scene%3D{ticket}"
	}
	return a, nil
}

// Check implements provider.Config. It tries the keys with an invalid code.
func (c config) Check(ctx context.Context, e provider.Env) []provider.Finding {
	what, g := e.ID+" "+c.id, c.client(e)
	defer g.Close()
	_, err := (&login{c, g, e}).Exchange(ctx, provider.Credential{Code: httpcall.InvalidCode})
	if errors.Is(err, provider.ErrCodeInvalid) {
		return []provider.Finding{{Severity: provider.OK, Subject: what, Text: "Alipay accepts App ID and private key; whether " + e.PublicURL + "/api/connect/" + e.ID + "/callback is the callback (授权回调地址), only its console shows"}}
	}
	if text := c.ownPublic(); text != "" {
		return []provider.Finding{{Severity: provider.Fail, Subject: what, Text: text}}
	}
	return []provider.Finding{httpcall.Failed(what, err, "Alipay", "compare app_id, the application's public key (应用公钥) and Alipay's (支付宝公钥) with the console; the sandbox has other hosts (api_url, authorize_url)")}
}

// login implements provider.Redirector; for a mini-program's codes it is an Exchanger.
type login struct {
	config
	client *httpcall.Client
	env    provider.Env
}

// Authorize implements provider.Redirector. Inside Alipay, auth_base redirects at once.
func (l *login) Authorize(_ context.Context, v provider.Visit) (string, error) {
	to := *l.authorize
	to.RawQuery = url.Values{"app_id": {l.id}, "scope": {l.scope}, "redirect_uri": {v.Callback}, "state": {v.State}}.Encode()
	return to.String(), nil
}

// Origin implements provider.Redirector.
func (l *login) Origin() string { return httpcall.Origin(l.authorize) }

// account identifies a user. New applications get an open_id, older ones a user_id.
type account struct {
	UserID  string `json:"user_id"`
	OpenID  string `json:"open_id"`
	UnionID string `json:"union_id"`
}

// Exchange implements provider.Exchanger.
func (l *login) Exchange(ctx context.Context, p provider.Credential) (provider.Identity, error) {
	var granted struct {
		account
		AccessToken string `json:"access_token"`
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {p.Code}}
	if err := l.call(ctx, methodToken, form, []string{p.Code}, &granted); err != nil {
		return provider.Identity{}, err
	}
	by := provider.Identity{Subject: granted.UserID, Union: granted.UnionID}
	if by.Subject == "" { // an open_id is unique in its application only
		by.Realm, by.Subject = l.id, granted.OpenID
	}
	if by.Subject == "" {
		return provider.Identity{}, l.client.Incompletef(methodToken, "neither user_id nor open_id")
	}
	if l.scope == scopeUser {
		var user struct {
			account
			Name   string `json:"nick_name"`
			Avatar string `json:"avatar"`
		}
		err := l.call(ctx, methodUser, url.Values{"auth_token": {granted.AccessToken}}, []string{granted.AccessToken, p.Code}, &user)
		switch {
		case err != nil:
			l.env.Log.WarnContext(ctx, "a login has no nickname, because its profile could not be read", "app_id", l.id, "error", err)
		case user.UserID == granted.UserID && user.OpenID == granted.OpenID:
			by.Nickname, by.Picture = user.Name, user.Avatar
		}
	}
	return by, nil
}

// Format prints the App ID for every verb, so that no verb prints a key.
func (c config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.id) }
