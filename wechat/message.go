package wechat

import (
	"context"
	"net/url"
	"slices"
)

// Message is a subscribe message of a mini-program (订阅消息). A one-time permission of
// wx.requestSubscribeMessage serves one message.
type Message struct {
	User     string // openid of the receiver
	Template string // id of a template of the account
	Page     string // that a tap opens, with its query; "" for none
	// Data has the values of the template's fields, such as thing1. FieldText cuts a text to
	// what WeChat accepts.
	Data  map[string]string
	Lang  string // zh_CN ("" too), zh_HK, zh_TW or en_US: of the message's frame
	State string // formal ("" too), trial or developer: the version that a tap opens
}

// SendMessage sends a message. A call that WeChat refuses because of a stale access token is
// repeated once. If the answer was lost, the message may have arrived: a repeated call then
// gets KindRefused, because the permission is used up. An error is always an [*Error].
//
// https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/mp-message-management/subscribe-message/sendMessage.html
func (t *Tokens) SendMessage(ctx context.Context, m Message) error {
	type value struct {
		Value string `json:"value"`
	}
	data := make(map[string]value, len(m.Data))
	for field, text := range m.Data {
		data[field] = value{text}
	}
	c := call{op: OpMessage, path: "/cgi-bin/message/subscribe/send", hidden: []string{m.User}}
	var err error
	if c.body, err = encode(struct {
		User     string           `json:"touser"`
		Template string           `json:"template_id"`
		Page     string           `json:"page,omitempty"`
		Data     map[string]value `json:"data"`
		Lang     string           `json:"lang,omitempty"`
		State    string           `json:"miniprogram_state,omitempty"`
	}{m.User, m.Template, m.Page, data, m.Lang, m.State}); err != nil {
		return c.unavailable("request not made", err)
	}
	return t.use(ctx, func(token string) error { return t.send(ctx, c, token, &struct{}{}) })
}

// TemplateFields returns the fields of one of the account's templates of subscribe messages.
// ok is false if the account has no such template. It requests the access token without a
// forced renewal. An error is always an [*Error].
//
// https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/mp-message-management/subscribe-message/getMessageTemplateList.html
func TemplateFields(ctx context.Context, c Config, template string) (fields []string, ok bool, err error) {
	t, err := NewTokens(c, wallClock{})
	if err != nil {
		return nil, false, err
	}
	defer t.Close()
	g, err := t.fetch(ctx)
	if err != nil {
		return nil, false, err
	}
	var answer struct {
		Data []struct {
			ID      string `json:"priTmplId"`
			Content string `json:"content"` // a line for each field, with {{thing1.DATA}}
		} `json:"data"`
	}
	list := call{op: OpTemplates, path: "/wxaapi/newtmpl/gettemplate", query: url.Values{}}
	if err := t.send(ctx, list, g.Token, &answer); err != nil {
		return nil, false, err
	}
	for _, one := range answer.Data {
		if one.ID == template {
			for _, match := range templateField.FindAllStringSubmatch(one.Content, -1) {
				fields = append(fields, match[1])
			}
			slices.Sort(fields)
			return fields, true, nil
		}
	}
	return nil, false, nil
}
