package main

import "loginhub/wechat/wechattest"

// fakeWeChat imitates WeChat for the phones' codes. It runs in this process, so
// its CPU counts as loginbench's own.
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

// settings returns the environment that makes a node call this server.
func (w fakeWeChat) settings() []string {
	return []string{"LOGINHUB_WECHAT_APP_ID=" + benchApp, "LOGINHUB_WECHAT_APP_SECRET=" + benchSecret, "LOGINHUB_WECHAT_API_URL=" + w.URL}
}

// code returns what wx.login gives to the user.
func (w fakeWeChat) code(user string) string {
	return w.Code(benchApp, user)
}
