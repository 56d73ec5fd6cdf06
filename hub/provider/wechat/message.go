package wechat

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"loginhub/hub/provider"
	client "loginhub/wechat"
)

// checkField checks a field of a subscribe message and its text. WeChat takes nothing but a
// time in a field of the type time or date.
func checkField(field, text string) error {
	kind, err := client.FieldType(field)
	if err != nil {
		return err
	}
	isTime := kind == "time" || kind == "date"
	if isTime && text != provider.TimePlaceholder || !isTime && kind != "thing" && strings.Contains(text, provider.TimePlaceholder) {
		return fmt.Errorf("%s: a field of the type time or date has the text {time}; of the others only thing may contain it", field)
	}
	if err := provider.CheckMessageText(text); err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

// messages implements provider.Messages.
type messages struct {
	tokens *client.Tokens
	state  string // miniprogram_state
}

// states are the values of miniprogram_state, by env_version.
var states = map[string]string{"release": "formal", "trial": "trial", "develop": "developer"}

// Send implements provider.Messages.
func (s *messages) Send(ctx context.Context, m provider.Message) error {
	data := m.Texts(client.FieldTime(m.Time))
	for field, text := range data {
		data[field] = client.FieldText(field, text)
	}
	err := s.tokens.SendMessage(ctx, client.Message{User: m.To, Template: m.Template, Page: m.Page, Data: data, Lang: frameLanguage(m.Lang), State: s.state})
	if err != nil {
		return mapError(err)
	}
	return nil
}

// frameLanguage returns WeChat's name of a language.
func frameLanguage(tag string) string {
	switch tag := strings.ToLower(tag); {
	case strings.HasPrefix(tag, "zh-hk"):
		return "zh_HK"
	case strings.HasPrefix(tag, "zh-tw"), strings.HasPrefix(tag, "zh-hant"):
		return "zh_TW"
	case tag == "" || strings.HasPrefix(tag, "zh"):
		return "zh_CN"
	}
	return "en_US"
}

// checkTemplates looks the templates up that the operator's clients use.
func (c miniProgram) checkTemplates(ctx context.Context, e provider.Env) (found []provider.Finding) {
	for id, used := range e.Templates {
		what := e.ID + " " + c.id
		fields, ok, err := client.TemplateFields(ctx, c.client(e), id)
		switch {
		case err != nil:
			found = append(found, failed(what, err))
		case !ok:
			found = append(found, provider.Finding{Severity: provider.Fail, Subject: what,
				Text: fmt.Sprintf("login_notice: the account has no template %s; copy its id from WeChat's console (订阅消息, 我的模板)", id)})
		case !slices.Equal(fields, slices.Sorted(maps.Keys(used))):
			found = append(found, provider.Finding{Severity: provider.Fail, Subject: what,
				Text: fmt.Sprintf("login_notice: the template %s has the fields %s; give a text to each of them, and to no other", id, strings.Join(fields, ", "))})
		default:
			found = append(found, provider.Finding{Severity: provider.OK, Subject: what, Text: "login_notice: the account has the template " + id})
		}
	}
	return found
}
