package wechat

import (
	"context"
	"net/http"
	"net/url"
)

// Identity is the user of a code, according to WeChat.
type Identity struct {
	// AppID is the application that issued the code.
	AppID string
	// OpenID identifies the user within that application. It has 1 to 128 bytes
	// of printable ASCII.
	OpenID string
	// UnionID identifies the user across all applications of one Open Platform
	// account. It is empty if the application belongs to none.
	UnionID string
}

// MiniProgram exchanges the codes of one mini-program. It is safe for concurrent
// use and owns a connection pool: create one and keep it.
type MiniProgram struct {
	// Fixed after NewMiniProgram.
	client *apiClient
	appID  string
	secret *string // a pointer, because it prints as an address
}

// NewMiniProgram returns a client for the mini-program. It makes no call. An
// incomplete configuration is an error.
func NewMiniProgram(c Config) (*MiniProgram, error) {
	h, err := c.apiClient()
	if err != nil {
		return nil, err
	}
	return &MiniProgram{client: h, appID: c.AppID, secret: &c.Secret}, nil
}

// maxCode bounds a wx.login code, in bytes. Known codes have 32 characters. WeChat's
// HTTP front answers a much longer one with an error that looks like an outage.
const maxCode = 512

// Session exchanges a wx.login code for the user's identity by one call of
// jscode2session, which is never repeated. It returns after 8 s or when ctx ends.
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
	// The answer also has a session_key. It has no field, so it is dropped.
	var answer struct {
		OpenID  string `json:"openid"`
		UnionID string `json:"unionid"`
	}
	if err := m.client.get(ctx, c, &answer); err != nil {
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

// Close closes the idle connections of the package's own transport. Calls in
// progress continue.
func (m *MiniProgram) Close() {
	if t, ok := m.client.transport.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// plausibleID reports whether an id may enter records, tokens and logs. Real ones
// have 28 characters of [0-9A-Za-z_-].
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
