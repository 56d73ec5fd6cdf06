package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"

	"loginhub/hub/client"
)

// noticePage is the mini-program's page that a message opens, if none is configured.
const noticePage = "pages/notice/notice"

// noticeEntry is a client's message to the user after a confirm.
type noticeEntry struct {
	TemplateID string            `yaml:"template_id"`
	Fields     map[string]string `yaml:"fields"`
	Page       string            `yaml:"page"`
}

// UnmarshalYAML refuses unknown fields.
func (e *noticeEntry) UnmarshalYAML(n *yaml.Node) error {
	type plain noticeEntry
	return decodeStrict(n, (*plain)(e), "template_id", "fields", "page")
}

var (
	templateID  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	noticePages = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+){0,9}$`)
)

// maxNoticeFields is how many fields a template has at most: WeChat allows five.
const maxNoticeFields = 10

// apply checks the entry and sets the client's message. A template belongs to one
// mini-program, so the client takes one only.
func (e *noticeEntry) apply(site *client.Client, own credentials) error {
	if e == nil {
		return nil
	}
	var sending []providerEntry
	for _, p := range own.providers {
		if p.kind.MessageField != nil && site.AllowsProvider(p.id) {
			sending = append(sending, p)
		}
	}
	notice := &client.LoginNotice{TemplateID: e.TemplateID, Fields: e.Fields, Page: cmp.Or(e.Page, noticePage)}
	switch {
	case len(sending) == 0:
		return errors.New("none of the client's providers sends messages; a mini-program (kind wechat) does")
	case len(sending) > 1:
		return fmt.Errorf("a template belongs to one mini-program, and the client takes %s and %s; name one of them in providers", sending[0].id, sending[1].id)
	case !templateID.MatchString(e.TemplateID):
		return fmt.Errorf("template_id %.80q: the id as WeChat's console shows it (订阅消息, 我的模板)", e.TemplateID)
	case len(e.Fields) == 0 || len(e.Fields) > maxNoticeFields:
		return errors.New(`fields: the text of each field of the template, such as {thing1: "{site}", time2: "{time}"}`)
	case !noticePages.MatchString(notice.Page):
		return fmt.Errorf("page %.80q: like %s, no leading slash, no query", e.Page, noticePage)
	}
	for _, field := range slices.Sorted(maps.Keys(e.Fields)) {
		if err := sending[0].kind.MessageField(field, e.Fields[field]); err != nil {
			return fmt.Errorf("fields: %w", err)
		}
	}
	site.LoginNotice = notice
	return nil
}

// templatesOf returns the templates of messages that clients send by a provider, with their
// fields.
func (s *settings) templatesOf(p providerEntry) map[string]map[string]string {
	templates := map[string]map[string]string{}
	for _, c := range s.clients {
		own, has := s.clientCredentials[c.ID]
		if !has {
			own = s.site
		}
		if c.LoginNotice != nil && c.AllowsProvider(p.id) && slices.ContainsFunc(own.providers, func(e providerEntry) bool { return e.key == p.key }) {
			templates[c.LoginNotice.TemplateID] = c.LoginNotice.Fields
		}
	}
	return templates
}
