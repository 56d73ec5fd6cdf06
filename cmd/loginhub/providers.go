package main

import (
	"context"
	"errors"
	"fmt"

	"loginhub/api"
	"loginhub/hub/ticket"
	"loginhub/wechat"
)

// providers are those that the configuration names, or the sandbox.
func (s *settings) providers() (map[string]api.Provider, error) {
	if s.sandbox() {
		return map[string]api.Provider{"sandbox": api.NewSandbox()}, nil
	}
	program, err := wechat.NewMiniProgram(wechat.Config{
		AppID: s.WechatAppID, Secret: s.WechatAppSecret, BaseURL: s.WechatAPIURL})
	if err != nil {
		return nil, fmt.Errorf("LOGINHUB_WECHAT_…: %w", err)
	}
	return map[string]api.Provider{"wechat": miniProgram{program}}, nil
}

// miniProgram is WeChat's mini-program as a provider.
type miniProgram struct{ *wechat.MiniProgram }

// Exchange implements api.Provider.
func (m miniProgram) Exchange(ctx context.Context, p api.Proof) (ticket.Identity, error) {
	who, err := m.Session(ctx, p.Code)
	if err != nil {
		return ticket.Identity{}, refusal(err)
	}
	return ticket.Identity{Provider: "wechat", AppID: who.AppID, Subject: who.OpenID, UnionID: who.UnionID}, nil
}

// refusal gives WeChat's error the meaning that the contract has for it.
func refusal(err error) error {
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
