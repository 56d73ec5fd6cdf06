package wechat

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"regexp"
	"time"
)

// SceneCode calls qrcode/create for a temporary QR code of an official account. scene has
// 1 to 64 characters. It returns the content of the code, a URL. WeChat notifies the
// account when somebody scans the code. The call may be repeated.
//
// https://developers.weixin.qq.com/doc/service/api/qrcode/qrcodes/api_createqrcode
func (t *Tokens) SceneCode(ctx context.Context, scene string, life time.Duration) (content string, err error) {
	err = t.use(ctx, func(token string) error {
		content, err = t.sceneCode(ctx, token, scene, life)
		return err
	})
	return content, err
}

// sceneCode is SceneCode with an access token.
func (t *Tokens) sceneCode(ctx context.Context, token, scene string, life time.Duration) (content string, err error) {
	c := call{op: OpScene, path: "/cgi-bin/qrcode/create"}
	// Without the level "scene" WeChat reports no error, and the event has the scene 0.
	if c.body, err = encode(map[string]any{"expire_seconds": int64(life / time.Second), "action_name": "QR_STR_SCENE",
		"action_info": map[string]any{"scene": map[string]string{"scene_str": scene}}}); err != nil {
		return "", c.unavailable("request not made", err)
	}
	var answer struct {
		URL string `json:"url"`
	}
	if err = t.send(ctx, c, token, &answer); err != nil {
		return "", err
	}
	if !sceneURL.MatchString(answer.URL) {
		return "", c.unavailable("answer without a usable url", nil)
	}
	return answer.URL, nil
}

// TrySceneCode creates a QR code that lives for a minute, with a token of its own, to see
// whether the application may.
func TrySceneCode(ctx context.Context, c Config, scene string) error {
	t, err := NewTokens(c, wallClock{})
	if err != nil {
		return err
	}
	defer t.Close()
	g, err := t.fetch(ctx)
	if err == nil {
		_, err = t.sceneCode(ctx, g.Token, scene, time.Minute)
	}
	return err
}

var sceneURL = regexp.MustCompile(`^https?://[!-~]{1,500}$`)

// UnionID calls user/info for the unionid of a follower of an official account. It is
// empty if the account belongs to no Open Platform account. The call may be repeated.
//
// https://developers.weixin.qq.com/doc/service/api/usermanage/userinfo/api_userinfo
func (t *Tokens) UnionID(ctx context.Context, openid string) (string, error) {
	c := call{op: OpFollower, path: "/cgi-bin/user/info", query: url.Values{"openid": {openid}, "lang": {"zh_CN"}}}
	var answer struct {
		OpenID  string `json:"openid"`
		UnionID string `json:"unionid"`
	}
	if err := t.use(ctx, func(token string) error { return t.send(ctx, c, token, &answer) }); err != nil {
		return "", err
	}
	if answer.OpenID != openid || answer.UnionID != "" && !plausibleID(answer.UnionID) {
		return "", c.unavailable("answer about another user, or with an unusable unionid", nil)
	}
	return answer.UnionID, nil
}

// PhoneNumber exchanges the code of the button getPhoneNumber for the user's phone number
// in the form of E.164, such as +8613800138000. The code is exchanged by one call, which
// is never repeated: if WeChat refuses the access token as stale, the next call has a new
// one. An error is always an [*Error].
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/user-info/phone-number/api_getphonenumber
func (t *Tokens) PhoneNumber(ctx context.Context, code string) (string, error) {
	c := call{op: OpPhone, path: "/wxa/business/getuserphonenumber", hidden: []string{code}}
	if code == "" || len(code) > maxCode {
		return "", &Error{Op: c.op, Kind: KindCode, Msg: "not called: no code has this length"}
	}
	var err error
	if c.body, err = encode(map[string]string{"code": code}); err != nil {
		return "", c.unavailable("request not made", err)
	}
	token, err := t.get(ctx, "")
	if err != nil {
		return "", err
	}
	var answer phoneAnswer
	err = t.send(ctx, c, token, &answer)
	var e *Error
	if errors.As(err, &e) && e.Kind == KindStale {
		e.Kind, e.RetryAfter = KindBusy, defaultRetry
		if _, renewal := t.get(ctx, token); renewal != nil {
			return "", renewal
		}
	}
	if err != nil {
		return "", err
	}
	return answer.number(c, t.appID)
}

// phoneAnswer is the answer of getuserphonenumber.
type phoneAnswer struct {
	Info struct {
		// Pure lacks the country's code, unlike phoneNumber, which has it for foreign
		// numbers only.
		Pure      string `json:"purePhoneNumber"`
		Country   string `json:"countryCode"`
		Watermark struct {
			AppID string `json:"appid"`
		} `json:"watermark"`
	} `json:"phone_info"`
}

var (
	countryCode = regexp.MustCompile(`^[1-9][0-9]{0,2}$`)
	localNumber = regexp.MustCompile(`^[0-9]{4,12}$`)
)

// number returns the number that WeChat has vouched for to this application.
func (a phoneAnswer) number(c call, appID string) (string, error) {
	switch {
	case a.Info.Watermark.AppID != appID:
		return "", c.unavailable("answer for another application", nil)
	case !countryCode.MatchString(a.Info.Country) || !localNumber.MatchString(a.Info.Pure):
		return "", c.unavailable("answer without a usable phone number", nil)
	}
	return "+" + a.Info.Country + a.Info.Pure, nil
}

// send sends c with an access token and decodes the answer into the struct that into
// points to.
func (t *Tokens) send(ctx context.Context, c call, token string, into any) error {
	query := url.Values{"access_token": {token}}
	maps.Copy(query, c.query)
	c.query, c.token, c.hidden = query, true, append([]string{token, *t.secret}, c.hidden...)
	return t.client.get(ctx, c, into)
}
