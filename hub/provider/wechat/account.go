package wechat

import (
	"context"
	"fmt"
	"time"

	"loginhub/hub/provider"
	client "loginhub/wechat"
)

// sceneLife is how long a QR code of an official account can be scanned: longer than any
// ticket lives. The hub, not WeChat, ends a code.
const sceneLife = 25 * time.Hour

// Account returns the kind "wechat_mp": an official account draws the QR codes, and WeChat
// notifies the hub when somebody scans one. The scan is no confirm: the account sends a
// message with a link to the page on which the user decides. Fields: app_id, app_secret,
// token, aes_key, unionid, api_url.
func Account() provider.Kind {
	return provider.Kind{
		Name: "wechat_mp", Label: provider.Label{ZH: "微信", EN: "WeChat"},
		Token:   accountForm("wechat_mp"),
		ByPhone: true, PublicURL: true, QR: "wechat_mp", ByEvents: true, Calls: "wechat",
		InAgent: IsAgent,
		Read:    readAccount,
	}
}

// accountForm is of an official account's kinds: a user has the same openid in its events
// and on its pages.
func accountForm(amr string) provider.TokenForm {
	return provider.TokenForm{AMR: amr, Prefix: "wechat_mp", UnionPrefix: "wechat:unionid", OpenID: true}
}

// account implements provider.Config.
type account struct {
	application
	push    *client.Push
	safe    bool // events are encrypted
	unionID bool
}

func readAccount(f *provider.Fields) provider.Config {
	c := account{application: readApplication(f), unionID: f.Bool("unionid", false)}
	token, key := f.Secret("token"), f.OptionalSecret("aes_key")
	if token == "" {
		return c
	}
	var err error
	if c.push, err = client.NewPush(c.id, token, key); err != nil {
		f.Fail("token", fmt.Errorf("and aes_key, %s: %w", consoleHint, err))
	}
	c.safe = key != ""
	return c
}

// Open implements provider.Config.
func (c account) Open(e provider.Env) (a provider.Access, err error) {
	startCalls(e, client.OpToken, client.OpScene, client.OpFollower)
	tokens, err := client.NewTokens(c.client(e), e.Store)
	if err != nil {
		return a, err
	}
	tokens.Warn = func(err error) { e.Log.Warn("the access token is not renewed", "app_id", c.id, "error", err) }
	a.Pictures = &scenes{tokens}
	a.Events = &events{account: c, tokens: tokens, store: e.Store, log: e.Log}
	a.Calling = provider.AccessToken{AppID: c.id, Age: tokens.Age}
	return a, nil
}

// scenes implements provider.Pictures.
type scenes struct{ tokens *client.Tokens }

// Code implements provider.Pictures.
func (s *scenes) Code(ctx context.Context, ticket string) (provider.Picture, error) {
	text, err := s.tokens.SceneCode(ctx, ticket, sceneLife)
	if err != nil {
		return provider.Picture{}, mapError(err)
	}
	return provider.Picture{Text: text}, nil
}

// Check implements provider.Config. It tries the access token and a QR code, which only a
// verified service account may create.
func (c account) Check(ctx context.Context, e provider.Env) []provider.Finding {
	what := e.ID + " " + c.id
	life, err := client.AccessToken(ctx, c.client(e))
	if err != nil {
		return []provider.Finding{failed(what, err)}
	}
	found := []provider.Finding{{Severity: provider.OK, Subject: what, Text: fmt.Sprintf("access token, good for %v", life)}}
	if err = client.TrySceneCode(ctx, c.client(e), "loginhub-check"); err != nil {
		return append(found, provider.Finding{Severity: provider.Fail, Subject: what,
			Text: err.Error() + "; only a verified service account (服务号) may create QR codes with a scene"})
	}
	found = append(found, provider.Finding{Severity: provider.OK, Subject: what,
		Text: "WeChat creates QR codes; whether it sends events to " + e.PublicURL + "/api/wechat/events, only its console shows (基本配置, 服务器配置)"})
	if !c.safe {
		found = append(found, provider.Finding{Severity: provider.Warn, Subject: what,
			Text: "events are not encrypted, and their signature does not cover their content; choose 安全模式 in WeChat's console and set aes_key_file"})
	}
	return found
}
