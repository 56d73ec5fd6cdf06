// Package wecom is the provider of WeCom (企业微信): the QR code page for a computer and
// the silent login inside the WeCom app, for members of one company.
package wecom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
	"time"

	"loginhub/hub/provider"
	"loginhub/hub/provider/httpcall"
)

// Kind returns the kind "wecom". Fields: corp_id, agent_id, secret, or those of a suite
// (suite.go); api_url, authorize_url, in_app_url.
func Kind() provider.Kind {
	return provider.Kind{
		Name: "wecom", Label: provider.Label{ZH: "企业微信", EN: "WeCom"},
		Token:      provider.TokenForm{AMR: "wecom", Prefix: "wecom"},
		ByRedirect: true, PublicURL: true, DesktopPage: true, Calls: "wecom",
		// WeCom's agent also contains MicroMessenger.
		InAgent: func(agent string) bool { return strings.Contains(agent, "wxwork/") },
		Read:    read,
	}
}

// config is an application of one company, or a suite. It implements provider.Config.
type config struct {
	corpID, agentID, secret string
	suiteID                 string // "" for an application of one company
	suiteTicket             func() (string, error)
	api, page, inApp        *url.URL
}

var (
	anyID   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	agentID = regexp.MustCompile(`^[0-9]{1,16}$`)
)

func read(f *provider.Fields) provider.Config {
	const corpHint, agentHint = "the company's id (企业ID) in WeCom's console", "the application's number (AgentId) in WeCom's console"
	var c config
	if f.Values["suite_id"] != "" {
		c = readSuite(f)
	} else {
		c = config{corpID: f.Text("corp_id", corpHint), agentID: f.Text("agent_id", agentHint), secret: f.Secret("secret")}
	}
	c.api = httpcall.Base(f, "api_url", "https://qyapi.weixin.qq.com")
	if c.corpID != "" && !anyID.MatchString(c.corpID) {
		f.Fail("corp_id", errors.New("1 to 64 letters, digits, dashes and underscores, "+corpHint))
	}
	if c.agentID != "" && !agentID.MatchString(c.agentID) {
		f.Fail("agent_id", errors.New("digits, "+agentHint))
	}
	page := httpcall.Base(f, "authorize_url", "https://login.work.weixin.qq.com")
	byDefault := "https://open.weixin.qq.com"
	if f.Values["authorize_url"] != "" {
		byDefault = httpcall.Origin(page) // one imitation or proxy serves both pages
	}
	c.page, c.inApp = httpcall.Page(page, "/wwlogin/sso/login"), httpcall.Page(httpcall.Base(f, "in_app_url", byDefault), "/connect/oauth2/authorize")
	return c
}

// Format prints the application for every verb, so that no verb prints the secret.
func (c config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.name()) }

// name returns the company and the application, or the suite.
func (c config) name() string {
	if c.suiteID != "" {
		return c.suiteID
	}
	return c.corpID + ":" + c.agentID
}

// Open implements provider.Config.
func (c config) Open(e provider.Env) (provider.Access, error) {
	a := c.app(e)
	if c.suiteID != "" {
		a.client.Start(callSuiteToken, callSuiteUser)
	} else {
		a.client.Start(callToken, callUser)
	}
	return provider.Access{
		Redirect: &pageLogin{a}, InApp: &inAppLogin{a},
		Calling: provider.AccessToken{AppID: c.name(), Age: a.token.Age},
	}, nil
}

// The calls, by WeCom's names.
const (
	callToken = "gettoken"
	callUser  = "auth/getuserinfo"
)

// reactions has the codes of README.md.
//
// https://developer.work.weixin.qq.com/document/path/90313
func reactions() map[string]httpcall.Reaction {
	return map[string]httpcall.Reaction{
		"-1":    httpcall.Busy,
		"40029": httpcall.Code, "42003": httpcall.Code, "41008": httpcall.Code,
		"40014": httpcall.Stale, "42001": httpcall.Stale, "41001": httpcall.Stale,
		"45009": httpcall.Quota, "45033": httpcall.Quota,
		"50002": httpcall.Blocked,
		"40001": httpcall.Config, "40013": httpcall.Config, "40056": httpcall.Config, "50001": httpcall.Config,
		"40082": httpcall.Stale, "42009": httpcall.Stale,
		"40083": httpcall.Config, "40085": httpcall.Config,
		"60020": httpcall.Config, "48002": httpcall.Config, "60011": httpcall.Config, "301002": httpcall.Config,
	}
}

// app makes the calls of one application.
type app struct {
	config
	client *httpcall.Client
	token  *httpcall.Token
}

func (c config) app(e provider.Env) *app {
	a := &app{config: c, client: httpcall.New(httpcall.Host{Service: "wecom", Base: c.api, Reactions: reactions(),
		Failure: httpcall.Failure("errcode", "errmsg"), Metrics: e.Calls})}
	fetch := a.fetchToken
	if c.suiteID != "" {
		fetch = a.fetchSuiteToken
	}
	a.token = httpcall.NewToken(httpcall.TokenSource{Name: "wecom:token:" + c.name(), Store: e.Store, Log: e.Log, Fetch: fetch})
	return a
}

// fetchToken requests an access token. WeCom returns the same one until it expires.
//
// https://developer.work.weixin.qq.com/document/path/91039
func (a *app) fetchToken(ctx context.Context) (string, time.Duration, error) {
	var answer struct {
		Token     string        `json:"access_token"`
		ExpiresIn httpcall.Text `json:"expires_in"`
	}
	err := a.client.Do(ctx, httpcall.Call{Name: callToken, Path: "/cgi-bin/gettoken",
		Query: url.Values{"corpid": {a.corpID}, "corpsecret": {a.secret}}, Hidden: []string{a.secret}, Into: &answer})
	if err == nil && answer.Token == "" {
		err = a.client.Unusable(callToken, "no access_token")
	}
	return answer.Token, answer.ExpiresIn.Seconds(), err
}

// Exchange implements provider.Exchanger. A refused access token is dropped, and the
// user tries again with a fresh code: WeCom does not say whether this one is spent.
//
// https://developer.work.weixin.qq.com/document/path/98177
func (a *app) Exchange(ctx context.Context, p provider.Credential) (provider.Identity, error) {
	token, err := a.token.Get(ctx)
	if err != nil {
		return provider.Identity{}, err
	}
	var answer struct { // names are matched without regard to case: older answers have UserId
		UserID string `json:"userid"`
		CorpID string `json:"corpid"` // of a suite only
		OpenID string `json:"openid"` // in place of UserID: of any user of WeChat
	}
	call := httpcall.Call{Name: callUser, Path: "/cgi-bin/auth/getuserinfo", Query: url.Values{"access_token": {token}, "code": {p.Code}},
		Hidden: []string{token, p.Code, a.secret}, Into: &answer}
	if a.suiteID != "" {
		call.Name, call.Path = callSuiteUser, "/cgi-bin/service/auth/getuserinfo3rd"
		call.Query = url.Values{"suite_access_token": {token}, "code": {p.Code}}
	}
	err = a.client.Do(ctx, call)
	if errors.Is(err, httpcall.ErrStale) {
		a.token.Drop(token)
	}
	if err != nil {
		return provider.Identity{}, err
	}
	if a.suiteID == "" {
		answer.CorpID = a.corpID
	}
	if answer.UserID == "" && answer.OpenID == "" {
		return provider.Identity{}, fmt.Errorf("wecom: %s: the answer names no user: %w", call.Name, provider.ErrProviderUnavailable)
	}
	if answer.UserID == "" || answer.CorpID == "" || a.corpID != "" && answer.CorpID != a.corpID {
		return provider.Identity{}, a.client.Blockedf(call.Name, "the user is no member of the company")
	}
	return provider.Identity{Realm: answer.CorpID, Subject: answer.UserID}, nil
}

// pageLogin implements provider.Redirector for a computer.
type pageLogin struct{ *app }

// Authorize implements provider.Redirector.
//
// https://developer.work.weixin.qq.com/document/path/98152
func (l *pageLogin) Authorize(_ context.Context, v provider.Visit) (string, error) {
	lang := "en"
	if v.Lang == "zh" {
		lang = "zh"
	}
	q := url.Values{"login_type": {"CorpApp"}, "appid": {l.corpID}, "agentid": {l.agentID},
		"redirect_uri": {v.Callback}, "state": {v.State}, "lang": {lang}}
	if l.suiteID != "" {
		q.Set("login_type", "ServiceApp")
		q.Set("appid", l.suiteID)
		q.Del("agentid")
	}
	u := *l.page
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// Origin implements provider.Redirector.
func (l *pageLogin) Origin() string { return httpcall.Origin(l.page) }

// inAppLogin implements provider.Redirector for a browser inside WeCom.
type inAppLogin struct{ *app }

// Authorize implements provider.Redirector. The state must be of letters and digits.
//
// https://developer.work.weixin.qq.com/document/path/91022
func (l *inAppLogin) Authorize(_ context.Context, v provider.Visit) (string, error) {
	id, agent := l.corpID, "&agentid="+l.agentID
	if l.suiteID != "" {
		id, agent = l.suiteID, ""
	}
	u := *l.inApp
	// WeCom requires this order.
	u.RawQuery = "appid=" + url.QueryEscape(id) + "&redirect_uri=" + url.QueryEscape(v.Callback) +
		"&response_type=code&scope=snsapi_base&state=" + url.QueryEscape(v.State) + agent
	u.Fragment = "wechat_redirect"
	return u.String(), nil
}

// Origin implements provider.Redirector.
func (l *inAppLogin) Origin() string { return httpcall.Origin(l.inApp) }
