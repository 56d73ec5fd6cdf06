package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"

	"loginhub/api"
	"loginhub/hub/provider"
	"loginhub/hub/provider/app/assertion"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
	"loginhub/wechat"
)

// providerBuilder creates the providers and QR codes that the credentials configure.
// It sends no request: a node starts without WeChat and reports errors at the first
// login.
type providerBuilder struct {
	set      *settings
	secrets  *redisstore.SecretStore
	log      *slog.Logger
	metrics  wechatMetrics
	audience string // the issuer; aud of an own app's assertions
	cache    map[any]any
	// previous is the cache before a reload. Entries that are still needed are kept.
	previous map[any]any
}

// providers sets the providers and QR codes of the deployment and of clients with
// credentials of their own.
func (b *providerBuilder) providers(c *api.Reloadable) error {
	if b.set.sandbox() {
		sandbox, _ := memoize(b, "sandbox", func(string) (api.Provider, error) { return api.NewSandbox(), nil })
		c.Providers = map[string]api.Provider{"sandbox": sandbox}
	}
	site, err := b.loginMethods(b.set.credentials())
	if err != nil {
		return err
	}
	c.QR, c.MiniProgramCodes, c.LaunchURL, c.WebLogin = site.QR, site.MiniProgramCodes, site.LaunchURL, site.WebLogin
	if !b.set.sandbox() {
		c.Providers = site.Providers
	}
	c.LoginMethods = map[string]api.LoginMethods{}
	for id, own := range b.set.clientCredentials {
		if site, err = b.loginMethods(own); err != nil {
			return fmt.Errorf("client %s: %w", id, err)
		}
		if b.set.sandbox() {
			site.Providers = c.Providers // only the QR code is the client's own
		}
		c.LoginMethods[id] = site
	}
	return nil
}

// loginMethods returns the providers and QR codes of one set of credentials.
func (b *providerBuilder) loginMethods(c credentials) (api.LoginMethods, error) {
	site := api.LoginMethods{Providers: map[string]api.Provider{}, QR: c.qr}
	if c.qr == "link" || c.qr == "wxacode" {
		site.QR = ""
	}
	if c.miniProgram.id != "" {
		provider, err := memoize(b, c.miniProgram, b.miniProgram)
		if err != nil {
			return site, fmt.Errorf("LOGINHUB_WECHAT_…: %w", err)
		}
		site.Providers["wechat"] = provider
		if b.set.WechatScheme {
			site.LaunchURL = b.weixinScheme(c.miniProgram)
		}
		if c.qr == "wxacode" {
			if site.MiniProgramCodes, err = memoize(b, wxacodeKey{c.miniProgram}, b.codes); err != nil {
				return site, fmt.Errorf("LOGINHUB_WECHAT_…: %w", err)
			}
		}
	}
	if c.web.id != "" {
		website, err := memoize(b, websiteKey{c.web}, b.website)
		if err != nil {
			return site, fmt.Errorf("LOGINHUB_WECHAT_WEB_…: %w", err)
		}
		site.WebLogin = website
	}
	if c.jwksURL != "" {
		app, err := memoize(b, [2]string{c.jwksURL, c.issuer}, b.assertions)
		if err != nil {
			return site, fmt.Errorf("LOGINHUB_APP_…: %w", err)
		}
		site.Providers["app"] = app
	}
	return site, nil
}

// wxacodeKey and websiteKey are the cache keys of what one application has.
type (
	wxacodeKey struct{ wechatApp }
	websiteKey struct{ wechatApp }
)

// memoize creates one value for equal credentials, so that they share a connection
// pool and WeChat's quota for codes.
func memoize[K comparable, V any](b *providerBuilder, key K, make func(K) (V, error)) (V, error) {
	if entry, ok := b.cache[key]; ok {
		return entry.(V), nil
	}
	if entry, ok := b.previous[key]; ok {
		b.cache[key] = entry
		return entry.(V), nil
	}
	v, err := make(key)
	if err == nil {
		b.cache[key] = v
	}
	return v, err
}

func (b *providerBuilder) config(a wechatApp) wechat.Config {
	return wechat.Config{AppID: a.id, Secret: a.secret, BaseURL: b.set.WechatAPIURL, Observe: b.metrics.observe}
}

// weixinScheme returns the link that opens the mini-program on a phone, without a
// request to WeChat. The page gets the ticket as query.scene, as from a mini-program
// code.
//
// https://developers.weixin.qq.com/miniprogram/dev/framework/open-ability/url-scheme.html
func (b *providerBuilder) weixinScheme(a wechatApp) string {
	text := "weixin://dl/business/?appid=" + url.QueryEscape(a.id) + "&path=" + a.page + "&query=scene%3D{ticket}"
	if v := b.set.WechatEnvVersion; v != "release" {
		text += "&env_version=" + v
	}
	return text
}

// miniProgram adapts WeChat's mini-program to api.Provider.
type miniProgram struct{ *wechat.MiniProgram }

func (b *providerBuilder) miniProgram(a wechatApp) (api.Provider, error) {
	b.metrics.start(wechat.OpSession)
	program, err := wechat.NewMiniProgram(b.config(a))
	return miniProgram{program}, err
}

// Exchange implements api.Provider.
func (m miniProgram) Exchange(ctx context.Context, p api.Credential) (ticket.Identity, error) {
	user, err := m.Session(ctx, p.Code)
	if err != nil {
		return ticket.Identity{}, mapError(err)
	}
	return ticket.Identity{Provider: "wechat", Realm: user.AppID, Subject: user.OpenID, Union: user.UnionID, Token: wechatForm("wechat")}, nil
}

// wxacodes fetches a mini-program's codes.
type wxacodes struct {
	tokens  *wechat.Tokens
	options wechat.CodeOptions
}

func (b *providerBuilder) codes(a wxacodeKey) (api.MiniProgramCodes, error) {
	tokens, err := wechat.NewTokens(b.config(a.wechatApp), b.secrets)
	if err != nil {
		return nil, err
	}
	tokens.Warn = func(err error) { b.log.Warn("the access token is not renewed", "app_id", a.id, "error", err) }
	b.metrics.start(wechat.OpToken, wechat.OpCode)
	return &wxacodes{tokens, wechat.CodeOptions{Page: a.page, EnvVersion: b.set.WechatEnvVersion, AnyPage: !b.set.WechatCheckPath}}, nil
}

// tokens returns the access tokens in use, by AppID.
func (b *providerBuilder) tokens() map[string][]*wechat.Tokens {
	all := map[string][]*wechat.Tokens{}
	for key, entry := range b.cache {
		if app, ok := key.(wxacodeKey); ok {
			all[app.id] = append(all[app.id], entry.(*wxacodes).tokens)
		}
	}
	return all
}

// Code implements api.MiniProgramCodes.
func (s *wxacodes) Code(ctx context.Context, id ticket.ID) ([]byte, error) {
	picture, err := s.tokens.Code(ctx, string(id), s.options)
	if err != nil {
		return nil, mapError(err)
	}
	return picture, nil
}

// wechatForm is of both WeChat providers. They share one prefix: the account belongs to
// the user, whichever way they log in. The appid keeps openids apart.
func wechatForm(amr string) *provider.TokenForm {
	return &provider.TokenForm{AMR: amr, Prefix: "wechat", UnionPrefix: "wechat:unionid", OpenID: true}
}

// website adapts WeChat's website login to api.RedirectProvider.
type website struct{ *wechat.Website }

func (b *providerBuilder) website(a websiteKey) (api.RedirectProvider, error) {
	b.metrics.start(wechat.OpGrant, wechat.OpProfile)
	site, err := wechat.NewWebsite(b.config(a.wechatApp), b.set.WechatOpenURL)
	if err != nil {
		return nil, err
	}
	site.Warn = func(err error) {
		b.log.Warn("a website login has no nickname, because its profile could not be read", "app_id", a.id, "error", err)
	}
	return website{site}, nil
}

// Exchange implements api.Provider.
func (w website) Exchange(ctx context.Context, p api.Credential) (ticket.Identity, error) {
	user, err := w.Login(ctx, p.Code)
	if err != nil {
		return ticket.Identity{}, mapError(err)
	}
	name, picture := cleanProfile(user.Nickname, user.Avatar)
	return ticket.Identity{Provider: "wechat_web", Realm: user.AppID, Subject: user.OpenID, Union: user.UnionID,
		Nickname: name, Picture: picture, Token: wechatForm("wechat_web")}, nil
}

// assertionProvider adapts a company's own app: the code is an assertion of its back
// end.
type assertionProvider struct{ *assertion.Verifier }

func (b *providerBuilder) assertions(app [2]string) (api.Provider, error) {
	v, err := assertion.New(assertion.Config{JWKSURL: app[0], Issuer: app[1], Audience: b.audience, Replays: b.secrets})
	return assertionProvider{v}, err
}

// Exchange implements api.Provider.
func (a assertionProvider) Exchange(ctx context.Context, p api.Credential) (ticket.Identity, error) {
	c, err := a.Verify(ctx, p.Code, string(p.Ticket))
	switch {
	case errors.Is(err, assertion.ErrInvalid):
		return ticket.Identity{}, fmt.Errorf("%w: %w", ticket.ErrCodeInvalid, err)
	case errors.Is(err, assertion.ErrConfig):
		return ticket.Identity{}, fmt.Errorf("%w: %w", ticket.ErrProviderMisconfigured, err)
	case errors.Is(err, assertion.ErrKeys):
		return ticket.Identity{}, fmt.Errorf("%w: %w", ticket.ErrProviderUnavailable, err)
	case err != nil:
		return ticket.Identity{}, err
	}
	name, picture := cleanProfile(c.Name, c.Picture)
	return ticket.Identity{Provider: "app", Subject: c.Subject, Nickname: name, Picture: picture, Token: &provider.TokenForm{AMR: "app", Prefix: "app"}}, nil
}

// TicketBound implements api.TicketBound: an assertion names its ticket.
func (assertionProvider) TicketBound() {}

// cleanProfile makes a provider's profile valid for pages and tokens. Invalid parts
// are left out, because a login does not depend on them.
func cleanProfile(name, picture string) (string, string) {
	name = ticket.CleanText(name, ticket.MaxNickname)
	user, err := ticket.User{AvatarURL: picture}.Clean()
	if err != nil {
		return name, ""
	}
	return name, user.AvatarURL
}

// mapError maps an error of WeChat to an error of the wire contract.
func mapError(err error) error {
	var e *wechat.Error
	if !errors.As(err, &e) {
		return err
	}
	meaning := ticket.ErrProviderUnavailable
	switch e.Kind {
	case wechat.KindCode:
		meaning = ticket.ErrCodeInvalid
	case wechat.KindBlocked:
		meaning = ticket.ErrUserBlocked
	case wechat.KindConfig:
		meaning = ticket.ErrProviderMisconfigured
	}
	err = fmt.Errorf("%w: %w", meaning, err)
	if meaning == ticket.ErrProviderUnavailable && e.RetryAfter > 0 {
		return &ticket.RetryError{After: e.RetryAfter, Err: err}
	}
	return err
}
