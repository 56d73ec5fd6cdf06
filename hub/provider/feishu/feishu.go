// Package feishu is the provider of Feishu (飞书) and Lark: their login page, the same
// page inside their app, and the code of a gadget (小程序).
package feishu

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"loginhub/hub/provider"
	"loginhub/hub/provider/httpcall"
)

// Kind returns the kind "feishu". Fields: app_id, app_secret, lark, tenant_key, api_url,
// token_url, authorize_url.
func Kind() provider.Kind {
	return provider.Kind{
		Name: "feishu", Label: provider.Label{ZH: "飞书", EN: "Feishu"},
		Token:   provider.TokenForm{AMR: "feishu", Prefix: "feishu", UnionPrefix: "feishu:unionid", OpenID: true},
		ByPhone: true, ByRedirect: true, PublicURL: true, Calls: "feishu",
		PictureHosts: []string{"*.feishucdn.com", "*.larksuitecdn.com"},
		InAgent: func(userAgent string) bool {
			return strings.Contains(userAgent, "Lark/") || strings.Contains(userAgent, "Feishu")
		},
		Read: read,
	}
}

// config implements provider.Config.
type config struct {
	id, secret, tenant string
	lark               bool
	api, page          *url.URL
	// pageToken exchanges the codes of the page, phoneToken those of a gadget.
	pageToken, phoneToken *url.URL
}

var appID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

const tokenPath = "/oauth/v3/token"

func read(f *provider.Fields) provider.Config {
	const hint = "as the developer console shows it"
	c := config{id: f.Text("app_id", hint), secret: f.Secret("app_secret"), lark: f.Bool("lark", false), tenant: f.Optional("tenant_key", "")}
	if c.id != "" && !appID.MatchString(c.id) {
		f.Fail("app_id", errors.New("1 to 64 letters, digits, dashes and underscores, "+hint))
	}
	domain := "feishu.cn"
	if c.lark {
		domain = "larksuite.com"
	}
	c.api = httpcall.Base(f, "api_url", "https://open."+domain)
	c.page = httpcall.Page(httpcall.Base(f, "authorize_url", "https://accounts."+domain), "/open-apis/authen/v1/authorize")
	c.phoneToken = httpcall.Base(f, "token_url", "https://accounts."+domain)
	if !strings.HasSuffix(c.phoneToken.Path, "/token") {
		c.phoneToken = c.phoneToken.JoinPath(tokenPath)
	}
	c.pageToken = c.phoneToken
	if f.Values["token_url"] == "" {
		// v3 answers 20049 to codes that were issued with PKCE; README.md has more.
		c.pageToken = httpcall.Page(c.api, "/open-apis/authen/v2/oauth/token")
	}
	return c
}

// Open implements provider.Config.
func (c config) Open(e provider.Env) (provider.Access, error) {
	page, phone := c.login(c.pageToken, e), c.login(c.phoneToken, e)
	page.token.Start(callToken)
	page.api.Start(callUser)
	a := provider.Access{Code: phone, Redirect: page, InApp: page}
	if c.lark {
		a.Display = provider.Label{ZH: "Lark", EN: "Lark"}
	}
	return a, nil
}

func (c config) login(token *url.URL, e provider.Env) *login {
	host := httpcall.Host{Service: "feishu", Base: token, Reactions: reactions(), Failure: failure, Metrics: e.Calls}
	l := &login{config: c, token: httpcall.New(host)}
	host.Base = c.api
	l.api = httpcall.New(host)
	return l
}

// Check implements provider.Config. It tries the secret with an invalid code.
func (c config) Check(ctx context.Context, e provider.Env) []provider.Finding {
	what, l := e.ID+" "+c.id, c.login(c.phoneToken, e)
	defer l.token.Close()
	defer l.api.Close()
	_, err := l.Exchange(ctx, provider.Credential{Code: httpcall.InvalidCode})
	if errors.Is(err, provider.ErrCodeInvalid) {
		return []provider.Finding{{Severity: provider.OK, Subject: what, Text: "Feishu accepts App ID and App Secret; whether " + e.PublicURL + "/api/connect/" + e.ID + "/callback is one of the redirect URLs, only its console shows"}}
	}
	return []provider.Finding{httpcall.Failed(what, err, "Feishu", "compare App ID and App Secret with the developer console, and set lark: true for an app of Lark")}
}

// The calls, as metrics name them.
const (
	callToken = "token"
	callUser  = "user_info"
)

// login implements provider.Redirector; for a gadget's codes it is an Exchanger.
type login struct {
	config
	token, api *httpcall.Client
}

// Authorize implements provider.Redirector. Inside Feishu the page redirects at once.
func (l *login) Authorize(_ context.Context, v provider.Visit) (string, error) {
	sum := sha256.Sum256([]byte(v.Verifier))
	to := *l.page
	to.RawQuery = url.Values{"client_id": {l.id}, "response_type": {"code"}, "redirect_uri": {v.Callback}, "state": {v.State},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}.Encode()
	return to.String(), nil
}

// Origin implements provider.Redirector.
func (l *login) Origin() string { return httpcall.Origin(l.page) }

// Exchange implements provider.Exchanger. A gadget's code comes without a visit, and is
// exchanged without redirect_uri and code_verifier.
func (l *login) Exchange(ctx context.Context, p provider.Credential) (provider.Identity, error) {
	body := map[string]string{"grant_type": "authorization_code", "client_id": l.id, "client_secret": l.secret, "code": p.Code}
	if p.Visit.Callback != "" {
		body["redirect_uri"], body["code_verifier"] = p.Visit.Callback, p.Visit.Verifier
	}
	var granted struct {
		AccessToken string `json:"access_token"`
	}
	hidden := []string{l.secret, p.Code, p.Visit.Verifier}
	if err := l.token.Do(ctx, httpcall.Call{Name: callToken, JSON: body, Hidden: hidden, Into: &granted}); err != nil {
		return provider.Identity{}, err
	}
	if granted.AccessToken == "" {
		return provider.Identity{}, l.token.Unusable(callToken, "no access_token")
	}
	var user struct {
		Data struct {
			OpenID    string `json:"open_id"`
			UnionID   string `json:"union_id"`
			TenantKey string `json:"tenant_key"`
			Name      string `json:"name"`
			Avatar    string `json:"avatar_url"`
		} `json:"data"`
	}
	err := l.api.Do(ctx, httpcall.Call{Name: callUser, Path: "/open-apis/authen/v1/user_info", Into: &user,
		Header: http.Header{"Authorization": {"Bearer " + granted.AccessToken}}, Hidden: append(hidden, granted.AccessToken)})
	switch {
	case err != nil:
		return provider.Identity{}, err
	case user.Data.OpenID == "":
		return provider.Identity{}, l.api.Incompletef(callUser, "no open_id")
	case l.tenant != "" && user.Data.TenantKey != l.tenant:
		return provider.Identity{}, l.api.Blockedf(callUser, "the user is of another tenant than tenant_key")
	}
	return provider.Identity{Realm: l.id, Subject: user.Data.OpenID, Union: user.Data.UnionID, Nickname: user.Data.Name, Picture: user.Data.Avatar}, nil
}

// failure reads the error of an answer: Feishu's code, or that of RFC 6749, section 5.2.
func failure(a httpcall.Answer) (code, text string) {
	_, msg := httpcall.Failure("code", "msg")(a)
	code, text = httpcall.Failure("code", "error_description")(a)
	if code == "" {
		code, _ = httpcall.Failure("error", "")(a)
	}
	return code, strings.TrimSpace(msg + " " + text)
}

// reactions are those of the table in README.md.
func reactions() map[string]httpcall.Reaction {
	all := map[string]httpcall.Reaction{}
	for reaction, codes := range map[httpcall.Reaction]string{
		httpcall.Code:    "20003 20004 20024 20049 20065 invalid_grant",
		httpcall.Blocked: "20008 20009 20010 20021 20022 20023 20066 access_denied",
		httpcall.Config: "20001 20002 20036 20048 20063 20067 20068 20069 20070 20071 99991672" +
			" invalid_client invalid_request invalid_scope unauthorized_client unsupported_grant_type",
		httpcall.Quota: "99991400",
		httpcall.Busy:  "20005 20050 99991663 99991664 99991668 99991677 server_error temporarily_unavailable",
	} {
		for _, code := range strings.Fields(codes) {
			all[code] = reaction
		}
	}
	return all
}

// Format prints the App ID for every verb, so that no verb prints the secret.
func (c config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.id) }
