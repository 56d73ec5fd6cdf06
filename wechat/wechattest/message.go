package wechattest

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Message is a subscribe message that a user has received.
type Message struct {
	User     string            `json:"touser"` // openid
	Template string            `json:"template_id"`
	Page     string            `json:"page"`
	Lang     string            `json:"lang"`
	State    string            `json:"miniprogram_state"`
	Data     map[string]string `json:"values"` // by field
}

// permission is what a user allows with one tap.
type permission struct{ user, template string }

// inbox holds the subscribe messages of all users.
type inbox struct {
	mu       sync.Mutex // guards all fields
	allowed  map[permission]int
	messages []Message // in order
}

// AllowMessage does what wx.requestSubscribeMessage does if the user accepts: one message of the
// template may be sent to them.
func (s *inbox) AllowMessage(appID, user, template string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed[permission{derive("openid", appID, user), template}]++
}

// Messages returns the messages that were received, in order.
func (s *inbox) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

var openID = regexp.MustCompile(`^o[A-Za-z0-9_-]{27}$`)

// fieldRules match the values that WeChat accepts, by the type of the field.
var fieldRules = map[string]*regexp.Regexp{
	"thing":            regexp.MustCompile(`^[^\pC]{1,20}$`),
	"character_string": regexp.MustCompile(`^[ -~]{1,32}$`),
	"phrase":           regexp.MustCompile(`^\p{Han}{1,5}$`),
	"name":             regexp.MustCompile(`^(\pL{1,10}|[A-Za-z ]{1,20})$`),
	"letter":           regexp.MustCompile(`^[A-Za-z]{1,32}$`),
	"number":           regexp.MustCompile(`^[0-9.]{1,32}$`),
	"time":             regexp.MustCompile(`^(\d{4}年\d{1,2}月\d{1,2}日 ?)?\d{1,2}:\d{2}$`),
	"date":             regexp.MustCompile(`^\d{4}年\d{1,2}月\d{1,2}日( \d{1,2}:\d{2})?$`),
}

// sendMessage is cgi-bin/message/subscribe/send. It ignores fields that the template does
// not have.
func sendMessage(s *Server, r *http.Request, f Fault) answer {
	var in struct {
		Message
		Data map[string]struct {
			Value string `json:"value"`
		} `json:"data"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	app, refusal := readCall(s, r, &in)
	switch {
	case refusal != 0:
		return failure(refusal, f)
	case !openID.MatchString(in.User):
		return failure(40003, f)
	case app.Templates[in.Template] == nil:
		return failure(40037, f)
	case app.Pages != nil && in.Page != "" && !slices.Contains(app.Pages, strings.Split(in.Page, "?")[0]):
		return failure(41030, f)
	}
	m := in.Message
	m.Data = map[string]string{}
	for _, field := range app.Templates[in.Template] {
		value := in.Data[field].Value
		if rule := fieldRules[strings.TrimRight(field, "0123456789")]; !rule.MatchString(value) {
			problem := "invalid"
			if value == "" {
				problem = "is empty"
			}
			f.Errmsg = fmt.Sprintf("argument invalid! data.%s.value %s rid: %s", field, problem, trace())
			return failure(47003, f)
		}
		m.Data[field] = value
	}
	if !s.receive(m) {
		return failure(43101, f)
	}
	return body(map[string]any{"errcode": number(0, f), "errmsg": "ok", "msgid": 1})
}

// receive uses up a permission for a message. It returns false if there is none.
func (s *inbox) receive(m Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := permission{m.User, m.Template}
	if s.allowed[p] == 0 {
		return false
	}
	s.allowed[p]--
	s.messages = append(s.messages, m)
	return true
}

// templates is wxaapi/newtmpl/gettemplate, the account's templates.
func templates(s *Server, r *http.Request, f Fault) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	app, refusal := s.checkToken(r.URL.Query().Get("access_token"))
	if refusal != 0 {
		return failure(refusal, f)
	}
	list := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(app.Templates)) {
		var content strings.Builder
		for _, field := range app.Templates[id] {
			fmt.Fprintf(&content, "%s:{{%s.DATA}}\n", field, field)
		}
		list = append(list, map[string]any{"priTmplId": id, "title": "登录提醒", "content": content.String(), "type": 2})
	}
	return body(map[string]any{"errcode": number(0, f), "errmsg": "ok", "data": list})
}
