// Package imitations lists the imitations of all providers with a page of their own.
package imitations

import (
	"loginhub/hub/provider/alipay/alipaytest"
	"loginhub/hub/provider/dingtalk/dingtalktest"
	"loginhub/hub/provider/feishu/feishutest"
	"loginhub/hub/provider/oidc/oidctest"
	"loginhub/hub/provider/providertest"
	"loginhub/hub/provider/qq/qqtest"
	"loginhub/hub/provider/wecom/wecomtest"
)

// All returns the imitations by the name of their kind.
func All() map[string]providertest.Imitation {
	return map[string]providertest.Imitation{
		"alipay":   alipaytest.Imitation(),
		"dingtalk": dingtalktest.Imitation(),
		"feishu":   feishutest.Imitation(),
		"oidc":     oidctest.Imitation(),
		"qq":       qqtest.Imitation(),
		"wecom":    wecomtest.Imitation(),
	}
}
