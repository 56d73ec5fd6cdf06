package wechat

import (
	"context"

	"loginhub/hub/provider"
	client "loginhub/wechat"
)

// Website returns the kind "wechat_web": WeChat's official website login. Fields:
// app_id, app_secret, api_url, authorize_url.
func Website() provider.Kind {
	return provider.Kind{
		Name: "wechat_web", Label: provider.Label{ZH: "微信", EN: "WeChat"},
		Token:      tokenForm("wechat_web"),
		ByRedirect: true, PublicURL: true, DesktopPage: true, Calls: "wechat",
		PictureHosts: pictureHosts(),
		StartPath:    "/api/wechat/qrconnect", CallbackPath: "/api/wechat/callback",
		Read: func(f *provider.Fields) provider.Config {
			return website{readApplication(f), f.Optional("authorize_url", "")}
		},
	}
}

// pictureHosts are the hosts of WeChat's headimgurl, today's and the former one.
func pictureHosts() []string { return []string{"thirdwx.qlogo.cn", "wx.qlogo.cn"} }

// website implements provider.Config.
type website struct {
	application
	openURL string
}

// Open implements provider.Config.
func (c website) Open(e provider.Env) (provider.Access, error) {
	startCalls(e, client.OpGrant, client.OpProfile)
	site, err := client.NewWebsite(c.client(e), c.openURL)
	if err != nil {
		return provider.Access{}, err
	}
	site.Warn = c.warnProfile(e)
	return provider.Access{Redirect: &redirect{site}}, nil
}

// redirect implements provider.Redirector.
type redirect struct{ site *client.Website }

// Authorize implements provider.Redirector.
func (r *redirect) Authorize(_ context.Context, v provider.Visit) (string, error) {
	lang := "en"
	if v.Lang == "zh" {
		lang = "cn"
	}
	return r.site.Authorize(v.Callback, v.State, lang), nil
}

// Origin implements provider.Redirector.
func (r *redirect) Origin() string { return r.site.Origin() }

// Exchange implements provider.Exchanger.
func (r *redirect) Exchange(ctx context.Context, p provider.Credential) (provider.Identity, error) {
	user, err := r.site.Login(ctx, p.Code)
	if err != nil {
		return provider.Identity{}, mapError(err)
	}
	return provider.Identity{Realm: user.AppID, Subject: user.OpenID, Union: user.UnionID,
		Nickname: user.Nickname, Picture: user.Avatar}, nil
}
