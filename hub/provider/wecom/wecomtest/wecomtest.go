// Package wecomtest imitates WeCom: its login pages and the calls of one application.
// Every failure is an HTTP 200 with an errcode.
package wecomtest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"loginhub/hub/provider/providertest"
)

// The application. Its members are all users whose names do not begin with "guest".
const (
	CorpID  = "ww0123456789abcdef"
	AgentID = "1000002"
	Secret  = "wecom-secret-0123456789abcdef-0123456789abc"
)

// The suite of a service provider, which the company has installed.
const (
	SuiteID     = "wwsuite0123456789"
	SuiteSecret = "suite-secret-0123456789abcdef"
	SuiteTicket = "suite-ticket-0123456789abcdef"
)

// The paths of the calls, for faults.
const (
	TokenPath = "/cgi-bin/gettoken"
	UserPath  = "/cgi-bin/auth/getuserinfo"

	SuiteTokenPath = "/cgi-bin/service/get_suite_token"
	SuiteUserPath  = "/cgi-bin/service/auth/getuserinfo3rd"
)

// Server imitates WeCom. It is an http.Handler.
type Server struct {
	providertest.Traffic
	http.Handler

	codes  providertest.Codes[string] // names of users
	tokens providertest.Codes[bool]

	mu    sync.Mutex
	token string // that gettoken returns until it ends
}

// Imitation returns the imitation for tests of whole logins.
func Imitation() providertest.Imitation {
	return providertest.Imitation{New: func(o providertest.Options) http.Handler { return New(o) },
		Fields: "corp_id: " + CorpID + ", agent_id: " + AgentID + ", secret_file: SECRET, api_url: URL, authorize_url: URL",
		Secret: Secret, Subject: "wecom:" + CorpID + ":alice"}
}

// New returns an imitation.
func New(o providertest.Options) *Server {
	s := &Server{codes: providertest.Codes[string]{Life: 5 * time.Minute}, tokens: providertest.Codes[bool]{Life: 2 * time.Hour}}
	issue := func(user string, _ url.Values) string { return s.codes.Issue(user) }
	calls := http.NewServeMux()
	calls.HandleFunc(TokenPath, s.getToken)
	calls.HandleFunc(UserPath, s.getUserInfo)
	calls.HandleFunc("POST "+SuiteTokenPath, s.getSuiteToken)
	calls.HandleFunc(SuiteUserPath, s.getUserInfo)
	all := http.NewServeMux()
	all.Handle("/wwlogin/sso/login", &providertest.Consent{Options: o, Title: "企业微信登录", Issue: issue, Check: func(link url.Values) string {
		switch {
		case link.Get("login_type") == "ServiceApp" && link.Get("appid") == SuiteID && !link.Has("agentid"):
		case link.Get("login_type") != "CorpApp":
			return "参数错误 login_type"
		case link.Get("appid") != CorpID || link.Get("agentid") != AgentID:
			return "参数错误 appid agentid"
		}
		switch {
		case o.WrongHost(link):
			return "redirect_uri 与配置的授权完成回调域名不一致"
		}
		return ""
	}})
	all.Handle("/connect/oauth2/authorize", &providertest.Consent{Options: o, Title: "企业微信", Issue: issue, Check: func(link url.Values) string {
		switch {
		case link.Get("appid") != CorpID && link.Get("appid") != SuiteID || link.Get("response_type") != "code" || link.Get("scope") != "snsapi_base":
			return "40013"
		case o.WrongHost(link):
			return "50001"
		case !inAppState.MatchString(link.Get("state")):
			return "state 参数错误"
		}
		return ""
	}})
	all.Handle("/cgi-bin/", s.Wrap(calls))
	s.Handler = all
	return s
}

// inAppState is what the page inside the app accepts as state.
var inAppState = regexp.MustCompile(`^[a-zA-Z0-9]{0,128}$`)

// Revoke makes the access token invalid. gettoken then returns another one.
func (s *Server) Revoke() {
	s.tokens.Revoke()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = ""
}

func (s *Server) getToken(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case q.Get("corpid") != CorpID:
		fail(w, 40013, "invalid corpid")
		return
	case q.Get("corpsecret") != Secret:
		fail(w, 40001, "invalid credential")
		return
	}
	if _, state := s.tokens.Look(s.token); state != providertest.Good {
		s.token = s.tokens.Issue(true)
	}
	answer(w, map[string]any{"errcode": 0, "errmsg": "ok", "access_token": s.token, "expires_in": 7200})
}

func (s *Server) getSuiteToken(w http.ResponseWriter, r *http.Request) {
	var in map[string]string
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in["suite_id"] != SuiteID {
		fail(w, 40083, "invalid suiteid")
		return
	}
	switch {
	case in["suite_secret"] != SuiteSecret:
		fail(w, 40001, "invalid credential")
	case in["suite_ticket"] != SuiteTicket:
		fail(w, 40085, "invalid suite_ticket")
	default:
		answer(w, map[string]any{"suite_access_token": s.tokens.Issue(true), "expires_in": 7200})
	}
}

func (s *Server) getUserInfo(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	suite := r.URL.Path == SuiteUserPath
	switch _, state := s.tokens.Look(q.Get("access_token") + q.Get("suite_access_token")); state {
	case providertest.Good:
	case providertest.Expired:
		fail(w, 42001, "access_token expired")
		return
	default:
		fail(w, 40014, "invalid access_token")
		return
	}
	user, state := s.codes.Redeem(q.Get("code"))
	switch {
	case state != providertest.Good:
		fail(w, 40029, "invalid code")
	case strings.HasPrefix(user, "guest"):
		answer(w, map[string]any{"errcode": 0, "errmsg": "ok", "openid": "o-" + user})
	case suite:
		answer(w, map[string]any{"errcode": 0, "errmsg": "ok", "corpid": CorpID, "userid": user, "open_userid": "wo-" + user})
	default:
		answer(w, map[string]any{"errcode": 0, "errmsg": "ok", "userid": user})
	}
}

// fail answers an errcode. The text ends as WeCom's does.
func fail(w http.ResponseWriter, code int, text string) {
	answer(w, map[string]any{"errcode": code, "errmsg": text + ", hint: [1764313200423532011234], from ip: 203.0.113.7, more info at https://open.work.weixin.qq.com/devtool/query"})
}

func answer(w http.ResponseWriter, value any) {
	providertest.JSON(w, http.StatusOK, "application/json; charset=UTF-8", value)
}
