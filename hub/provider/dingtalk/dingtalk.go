// Package dingtalk is the provider of DingTalk (钉钉): its login page, which is also the
// one inside the app, and on request a proof that the user is a member of one company.
package dingtalk

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

// Kind returns the kind "dingtalk". Fields: client_id, client_secret, corp_id, api_url,
// legacy_api_url, authorize_url.
func Kind() provider.Kind {
	return provider.Kind{
		Name: "dingtalk", Label: provider.Label{ZH: "钉钉", EN: "DingTalk"},
		Token:      provider.TokenForm{AMR: "dingtalk", Prefix: "dingtalk"},
		ByRedirect: true, PublicURL: true, Calls: "dingtalk", CodeParam: "authCode",
		PictureHosts: []string{"*.dingtalk.com"},
		InAgent:      func(agent string) bool { return strings.Contains(agent, "DingTalk") },
		Read:         read,
	}
}

// config is an application. It implements provider.Config.
type config struct {
	clientID, secret  string
	corpID            string // whose members may log in; "" for every user of DingTalk
	api, legacy, page *url.URL
}

var anyID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func read(f *provider.Fields) provider.Config {
	const hint = "the Client ID (AppKey) in DingTalk's console"
	c := config{clientID: f.Text("client_id", hint), secret: f.Secret("client_secret"), corpID: f.Optional("corp_id", ""),
		api: httpcall.Base(f, "api_url", "https://api.dingtalk.com"), legacy: httpcall.Base(f, "legacy_api_url", "https://oapi.dingtalk.com"),
		page: httpcall.Page(httpcall.Base(f, "authorize_url", "https://login.dingtalk.com"), "/oauth2/auth")}
	for name, id := range map[string]string{"client_id": c.clientID, "corp_id": c.corpID} {
		if id != "" && !anyID.MatchString(id) {
			f.Fail(name, errors.New("1 to 64 letters, digits, dashes and underscores, as DingTalk's console shows it"))
		}
	}
	return c
}

// Format prints the application for every verb, so that no verb prints the secret.
func (c config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.clientID) }

// Open implements provider.Config.
func (c config) Open(e provider.Env) (provider.Access, error) {
	a := c.app(e)
	a.client.Start(callUserToken, callUser)
	access := provider.Access{Redirect: a, InApp: a}
	if c.corpID != "" {
		a.client.Start(callToken)
		a.legacyClient.Start(callMember)
		access.Calling = provider.AccessToken{AppID: c.clientID, Age: a.token.Age}
	}
	return access, nil
}

// Authorize implements provider.Redirector. Without prompt=consent the login fails.
//
// https://open.dingtalk.com/document/orgapp/tutorial-obtaining-user-personal-information
func (a *app) Authorize(_ context.Context, v provider.Visit) (string, error) {
	u := *a.page
	u.RawQuery = url.Values{"client_id": {a.clientID}, "response_type": {"code"}, "scope": {"openid"}, "prompt": {"consent"},
		"redirect_uri": {v.Callback}, "state": {v.State}}.Encode()
	return u.String(), nil
}

// Origin implements provider.Redirector.
func (a *app) Origin() string { return httpcall.Origin(a.page) }

// Exchange implements provider.Exchanger.
func (a *app) Exchange(ctx context.Context, p provider.Credential) (provider.Identity, error) {
	token, corpID, err := a.userToken(ctx, p.Code)
	if err != nil {
		return provider.Identity{}, err
	}
	by, err := a.user(ctx, token)
	if err != nil || a.corpID == "" {
		return by, err
	}
	if corpID != "" && corpID != a.corpID {
		return provider.Identity{}, a.client.Blockedf(callUserToken, "the user has chosen another company")
	}
	by.Realm = a.corpID
	by.Subject, err = a.member(ctx, by.Union)
	return by, err
}
