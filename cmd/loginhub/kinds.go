package main

import (
	"slices"

	"loginhub/hub/provider"
	"loginhub/hub/provider/alipay"
	"loginhub/hub/provider/app"
	"loginhub/hub/provider/dingtalk"
	"loginhub/hub/provider/feishu"
	"loginhub/hub/provider/oidc"
	"loginhub/hub/provider/qq"
	"loginhub/hub/provider/sandbox"
	"loginhub/hub/provider/wechat"
	"loginhub/hub/provider/wecom"
)

// kinds are all kinds of providers. A new one is a package and a line here.
func kinds() []provider.Kind {
	return []provider.Kind{
		wechat.MiniProgram(),
		wechat.Website(),
		wechat.Account(),
		wechat.InApp(),
		app.Kind(),
		feishu.Kind(),
		alipay.Kind(),
		oidc.Kind(),
		wecom.Kind(),
		qq.Kind(),
		dingtalk.Kind(),
		sandbox.Kind(),
	}
}

// developmentKind returns the kind that is used if no provider is configured.
func developmentKind() provider.Kind {
	return kinds()[slices.IndexFunc(kinds(), func(k provider.Kind) bool { return k.Development })]
}
