package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"time"
)

// CodeOptions is how a mini-program code is made; the zero value is the home
// page of the published version.
type CodeOptions struct {
	// Page is opened by the scan, without a leading slash and without a query.
	Page string
	// EnvVersion is release ("" too), trial or develop.
	EnvVersion string
	// AnyPage turns WeChat's check_path off: the page need not exist in the
	// published version. Needed for trial and develop.
	AnyPage bool
}

// Code asks getwxacodeunlimit for the mini-program code ("sun code") with that
// scene (1 to 32 of WeChat's characters) and gives the picture's bytes: a JPEG
// or a PNG, as their first bytes say; content types are not believed. It is free
// to be repeated; each is one of 5,000 a minute.
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
		defer func() { t.host.observeCall(c, start, err) }()
		answer, err := t.host.exchange(ctx, c)
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

// codeBody leaves out what is WeChat's default. & and the like stand as they
// are: WeChat's parser once refused \u0026.
func codeBody(scene string, o CodeOptions) ([]byte, error) {
	fields := map[string]any{"scene": scene, "check_path": !o.AnyPage}
	if o.Page != "" {
		fields["page"] = o.Page
	}
	if o.EnvVersion != "" {
		fields["env_version"] = o.EnvVersion
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(fields)
	return bytes.TrimSpace(b.Bytes()), err
}

// isPicture looks at the first bytes: JPEG or PNG.
func isPicture(b []byte) bool {
	return bytes.HasPrefix(b, []byte("\xff\xd8\xff")) || bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n"))
}
