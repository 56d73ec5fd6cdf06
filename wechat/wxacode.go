package wechat

import (
	"bytes"
	"context"
	"net/url"
	"time"
)

// CodeOptions describes a mini-program code. The zero value opens the home page of
// the published version.
type CodeOptions struct {
	// Page is the page that the scan opens, without a leading slash or a query.
	Page string
	// EnvVersion is release (also if empty), trial or develop.
	EnvVersion string
	// AnyPage turns WeChat's check_path off, so that the page need not exist in
	// the published version. Trial and develop need it.
	AnyPage bool
}

// Code calls getwxacodeunlimit for the mini-program code with the given scene (1 to
// 32 of WeChat's characters). It returns the picture, a JPEG or a PNG by its first
// bytes; the content type is ignored. The call may be repeated; WeChat allows 5,000
// a minute.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/qrcode-link/qr-code/api_getunlimitedqrcode
func (t *Tokens) Code(ctx context.Context, scene string, o CodeOptions) ([]byte, error) {
	body, err := codeBody(scene, o)
	if err != nil {
		return nil, call{op: OpCode}.unavailable("request not made", err)
	}
	var picture []byte
	err = t.use(ctx, func(token string) (err error) {
		c := call{op: OpCode, path: "/wxa/getwxacodeunlimit", body: body, maxBytes: maxPicture, token: true,
			query: url.Values{"access_token": {token}}, hidden: []string{token, *t.secret}}
		start := time.Now()
		defer func() { t.client.observeCall(ctx, c, start, err) }()
		answer, err := t.client.exchange(ctx, c)
		if err != nil {
			return err
		}
		if isPicture(answer) {
			picture = answer
			return nil
		}
		if err := c.decode(answer, &struct{}{}); err != nil {
			return err
		}
		return c.unavailable("answer without a picture", nil)
	})
	return picture, err
}

// codeBody omits WeChat's defaults.
func codeBody(scene string, o CodeOptions) ([]byte, error) {
	fields := map[string]any{"scene": scene, "check_path": !o.AnyPage}
	if o.Page != "" {
		fields["page"] = o.Page
	}
	if o.EnvVersion != "" {
		fields["env_version"] = o.EnvVersion
	}
	return encode(fields)
}

// isPicture reports whether b begins as a JPEG or a PNG.
func isPicture(b []byte) bool {
	return bytes.HasPrefix(b, []byte("\xff\xd8\xff")) || bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n"))
}
