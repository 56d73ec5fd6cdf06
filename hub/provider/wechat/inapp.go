package wechat

import (
	"context"
	"strings"

	"loginhub/hub/provider"
	client "loginhub/wechat"
)

// InApp returns the kind "wechat_h5": the login of an official account on a page inside
// WeChat. Its subjects are those of the account's wechat_mp. Fields: app_id, app_secret,
// userinfo, api_url, authorize_url.
func InApp() provider.Kind {
	return provider.Kind{
		Name: "wechat_h5", Label: provider.Label{ZH: "微信", EN: "WeChat"},
		Token:        accountForm("wechat_h5"),
		PictureHosts: pictureHosts(),
		InAgent:      IsAgent, PublicURL: true, Calls: "wechat",
		Read: func(f *provider.Fields) provider.Config {
			return inApp{readApplication(f), f.Optional("authorize_url", ""), f.Bool("userinfo", false)}
		},
	}
}

// IsAgent reports whether a User-Agent is WeChat's. WeCom's names WeChat too.
func IsAgent(agent string) bool {
	return strings.Contains(agent, "MicroMessenger") && !strings.Contains(agent, "wxwork")
}

// inApp implements provider.Config.
type inApp struct {
	application
	openURL  string
	userinfo bool
}

// Open implements provider.Config.
func (c inApp) Open(e provider.Env) (provider.Access, error) {
	startCalls(e, client.OpGrant, client.OpProfile)
	site, err := client.NewInApp(c.client(e), c.openURL, c.userinfo)
	if err != nil {
		return provider.Access{}, err
	}
	site.Warn = c.warnProfile(e)
	return provider.Access{InApp: &redirect{site}}, nil
}

// Check implements provider.Config. It tries the secret with an invalid code.
func (c inApp) Check(ctx context.Context, e provider.Env) []provider.Finding {
	site, err := client.NewInApp(c.client(e), c.openURL, c.userinfo)
	return checkLogin(ctx, e, c.id, site, err, "网页授权域名")
}
