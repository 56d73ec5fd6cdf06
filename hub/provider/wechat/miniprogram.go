package wechat

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"slices"

	"loginhub/hub/provider"
	client "loginhub/wechat"
)

// DefaultPage is the mini-program's confirm page if none is configured.
const DefaultPage = "pages/confirm/confirm"

// MiniProgram returns the kind "wechat": the code of wx.login. Fields: app_id,
// app_secret, page, env_version, check_path, scheme, api_url.
func MiniProgram() provider.Kind {
	return provider.Kind{
		Name: "wechat", Label: provider.Label{ZH: "微信", EN: "WeChat"}, AppLabel: provider.Label{ZH: "微信小程序", EN: "WeChat mini-program"},
		Token:   tokenForm("wechat"),
		ByPhone: true, QR: "wxacode", PhoneNumber: true, Calls: "wechat",
		MessageField: checkField,
		Read:         readMiniProgram,
	}
}

// miniProgram implements provider.Config.
type miniProgram struct {
	application
	page, envVersion  string
	checkPath, scheme bool
}

var pagePath = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$`)

func readMiniProgram(f *provider.Fields) provider.Config {
	c := miniProgram{application: readApplication(f), page: f.Optional("page", DefaultPage), envVersion: f.Optional("env_version", "release"),
		checkPath: f.Bool("check_path", true), scheme: f.Bool("scheme", true)}
	if !pagePath.MatchString(c.page) {
		f.Fail("page", errors.New("like pages/confirm/confirm, no leading slash, no query"))
	}
	if !slices.Contains([]string{"release", "trial", "develop"}, c.envVersion) {
		f.Fail("env_version", errors.New("release, trial or develop"))
	}
	return c
}

// Open implements provider.Config.
func (c miniProgram) Open(e provider.Env) (a provider.Access, err error) {
	startCalls(e, client.OpSession)
	program, err := client.NewMiniProgram(c.client(e))
	if err != nil {
		return a, err
	}
	a.Code = &session{program}
	if c.scheme {
		a.Launch = c.launchURL()
	}
	tokens, err := client.NewTokens(c.client(e), e.Store)
	if err != nil {
		return a, err
	}
	tokens.Warn = func(err error) { e.Log.Warn("the access token is not renewed", "app_id", c.id, "error", err) }
	a.Phone = &phoneNumbers{tokens}
	a.Messages = &messages{tokens, states[c.envVersion]}
	a.Calling = provider.AccessToken{AppID: c.id, Age: tokens.Age}
	if !e.Pictures {
		return a, nil
	}
	startCalls(e, client.OpToken, client.OpCode)
	a.Pictures = &wxacodes{tokens, client.CodeOptions{Page: c.page, EnvVersion: c.envVersion, AnyPage: !c.checkPath}}
	return a, nil
}

// launchURL returns the link that opens the mini-program on a phone, without a request
// to WeChat. The page gets the ticket as query.scene, as from a mini-program code.
//
// https://developers.weixin.qq.com/miniprogram/dev/framework/open-ability/url-scheme.html
func (c miniProgram) launchURL() string {
	text := "weixin://dl/business/?appid=" + url.QueryEscape(c.id) + "&path=" + c.page + "&query=scene%3D{ticket}"
	if c.envVersion != "release" {
		text += "&env_version=" + c.envVersion
	}
	return text
}

// session implements provider.Exchanger.
type session struct{ program *client.MiniProgram }

// Exchange implements provider.Exchanger.
func (s *session) Exchange(ctx context.Context, p provider.Credential) (provider.Identity, error) {
	user, err := s.program.Session(ctx, p.Code)
	if err != nil {
		return provider.Identity{}, mapError(err)
	}
	return provider.Identity{Realm: user.AppID, Subject: user.OpenID, Union: user.UnionID}, nil
}

// phoneNumbers implements provider.PhoneNumbers.
type phoneNumbers struct{ tokens *client.Tokens }

// PhoneNumber implements provider.PhoneNumbers.
func (p *phoneNumbers) PhoneNumber(ctx context.Context, code string) (string, error) {
	number, err := p.tokens.PhoneNumber(ctx, code)
	if err != nil {
		return "", mapError(err)
	}
	return number, nil
}

// wxacodes implements provider.Pictures.
type wxacodes struct {
	tokens  *client.Tokens
	options client.CodeOptions
}

// Code implements provider.Pictures.
func (s *wxacodes) Code(ctx context.Context, ticket string) (provider.Picture, error) {
	image, err := s.tokens.Code(ctx, ticket, s.options)
	if err != nil {
		return provider.Picture{}, mapError(err)
	}
	return provider.Picture{Image: image}, nil
}
