package main

import "loginhub/wechat/wechattest"

// fakeWeChat is a WeChat of our own, for the phones' codes. It runs within this
// process: what it costs is in loginbench's own CPU, and what the hub's call
// costs in the hub's.
type fakeWeChat struct{ *wechattest.Server }

const (
	benchApp    = "wx0000000000000000"
	benchSecret = "loginbench-imitation-of-wechat00"
)

func startImitation() fakeWeChat {
	w := fakeWeChat{wechattest.New(wechattest.Options{})}
	w.Register(wechattest.App{ID: benchApp, Secret: benchSecret})
	return w
}

// settings are what makes a node ask this WeChat.
func (w fakeWeChat) settings() []string {
	return []string{"LOGINHUB_WECHAT_APP_ID=" + benchApp, "LOGINHUB_WECHAT_APP_SECRET=" + benchSecret, "LOGINHUB_WECHAT_API_URL=" + w.URL}
}

// code is what the user's wx.login gives.
func (w fakeWeChat) code(user string) string {
	return w.Code(benchApp, user)
}
