package wechat

import (
	"context"
	"net/http"
	"net/url"
)

// Identity is who WeChat says a code belongs to.
type Identity struct {
	// AppID is the application that the code was made for.
	AppID string
	// OpenID is the user within that application: never empty, at most 128
	// bytes of printable ASCII.
	OpenID string
	// UnionID is the user across all applications of one Open Platform
	// account; empty where the application belongs to none.
	UnionID string
}

// MiniProgram asks WeChat about the users of one mini-program. It is safe for
// concurrent use; make one per program and keep it, it owns a connection pool.
type MiniProgram struct {
	// Fixed after NewMiniProgram.
	host   *host
	appID  string
	secret *string // a pointer prints as an address, under every verb
}

// NewMiniProgram takes the mini-program's configuration and gives its client.
// It makes no call; an incomplete configuration is an error.
func NewMiniProgram(c Config) (*MiniProgram, error) {
	h, err := c.apiClient()
	if err != nil {
		return nil, err
	}
	return &MiniProgram{host: h, appID: c.AppID, secret: &c.Secret}, nil
}

// maxCode bounds a wx.login code. Those seen have 32 characters, but they are
// opaque; what is longer than this no WeChat has issued, and it would be
// answered with an error of the HTTP front that looks like an outage.
const maxCode = 512

// Session exchanges a wx.login code for the identity behind it: one call of
// jscode2session, never repeated. It gives up 8 s after the start, or with ctx.
// An error is always an [*Error].
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/user-login/api_code2session
func (m *MiniProgram) Session(ctx context.Context, code string) (Identity, error) {
	c := call{
		op:   OpSession,
		path: "/sns/jscode2session",
		query: url.Values{
			"appid":      {m.appID},
			"secret":     {*m.secret},
			"js_code":    {code},
			"grant_type": {"authorization_code"},
		},
		hidden: []string{*m.secret, code},
	}
	if code == "" || len(code) > maxCode {
		return Identity{}, &Error{Op: c.op, Kind: KindCode, Msg: "not called: no code has this length"}
	}
	// The answer also has a session_key. No field takes it, so it ends here.
	var answer struct {
		OpenID  string `json:"openid"`
		UnionID string `json:"unionid"`
	}
	if err := m.host.get(ctx, c, &answer); err != nil {
		return Identity{}, err
	}
	if !plausibleID(answer.OpenID) {
		return Identity{}, c.unavailable("answer without a usable openid", nil)
	}
	if answer.UnionID != "" && !plausibleID(answer.UnionID) {
		return Identity{}, c.unavailable("answer with an unusable unionid", nil)
	}
	return Identity{AppID: m.appID, OpenID: answer.OpenID, UnionID: answer.UnionID}, nil
}

// Close lets go of idle connections of the package's own transport. Calls in
// progress go on.
func (m *MiniProgram) Close() {
	if t, ok := m.host.transport.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// plausibleID tells an id that may enter records, tokens and logs from a
// broken answer. Real ones have 28 characters of [0-9A-Za-z_-].
func plausibleID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}
