// Package dingtalktest imitates DingTalk: its login page, the calls of one application
// on both API hosts, and one company.
package dingtalktest

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"loginhub/hub/provider/providertest"
)

// The application and its company. The members are all users whose names begin neither
// with "guest" nor with "external".
const (
	ClientID = "ding0123456789abcdef"
	Secret   = "dingtalk-secret-0123456789abcdef-0123456789"
	CorpID   = "ding9876543210fedcba"
)

// The paths of the calls, for faults.
const (
	UserTokenPath = "/v1.0/oauth2/userAccessToken"
	UserPath      = "/v1.0/contact/users/me"
	TokenPath     = "/v1.0/oauth2/accessToken"
	MemberPath    = "/topapi/user/getbyunionid"
)

// Server imitates DingTalk. It is an http.Handler.
type Server struct {
	providertest.Traffic
	http.Handler

	codes, grants providertest.Codes[string] // names of users
	tokens        providertest.Codes[bool]   // of the application
}

// Imitation returns the imitation for tests of whole logins.
func Imitation() providertest.Imitation {
	return providertest.Imitation{New: func(o providertest.Options) http.Handler { return New(o) },
		Fields: "client_id: " + ClientID + ", client_secret_file: SECRET, corp_id: " + CorpID + ", api_url: URL, legacy_api_url: URL, authorize_url: URL",
		Secret: Secret, Subject: "dingtalk:" + CorpID + ":alice"}
}

// New returns an imitation.
func New(o providertest.Options) *Server {
	s := &Server{codes: providertest.Codes[string]{Life: 5 * time.Minute}, grants: providertest.Codes[string]{Life: 2 * time.Hour}, tokens: providertest.Codes[bool]{Life: 2 * time.Hour}}
	calls := http.NewServeMux()
	calls.HandleFunc("POST "+UserTokenPath, s.userAccessToken)
	calls.HandleFunc("GET "+UserPath, s.me)
	calls.HandleFunc("POST "+TokenPath, s.accessToken)
	calls.HandleFunc("POST "+MemberPath, s.getByUnionID)
	all := http.NewServeMux()
	all.Handle("/oauth2/auth", &providertest.Consent{Options: o, Title: "钉钉登录", Param: "authCode", Denied: url.Values{"error": {"access_denied"}},
		Issue: func(user string, _ url.Values) string { return s.codes.Issue(user) },
		Check: func(link url.Values) string {
			switch {
			case link.Get("client_id") != ClientID:
				return "client_id 无效"
			case link.Get("response_type") != "code" || link.Get("scope") != "openid" && link.Get("scope") != "openid corpid":
				return "参数错误"
			case link.Get("prompt") != "consent":
				return "登录失败"
			case o.WrongHost(link):
				return "redirect_uri 不在回调域名列表中"
			}
			return ""
		}})
	all.Handle("/", s.Wrap(calls))
	s.Handler = all
	return s
}

// UnionID returns the unionId of a user.
func UnionID(user string) string { return "union-" + user }

// Revoke makes the application's access tokens invalid.
func (s *Server) Revoke() { s.tokens.Revoke() }

func (s *Server) userAccessToken(w http.ResponseWriter, r *http.Request) {
	var in struct{ ClientID, ClientSecret, Code, GrantType string }
	if !decode(r, &in) || in.GrantType != "authorization_code" {
		fail(w, 400, "MissinggrantType", "grantType is mandatory for this action.")
		return
	}
	if in.ClientID != ClientID || in.ClientSecret != Secret {
		fail(w, 400, "invalidClientIdOrSecret", "无效的clientId或者clientSecret")
		return
	}
	user, state := s.codes.Redeem(in.Code)
	if state != providertest.Good {
		fail(w, 400, "invalidParameter.authCode.notFound", "不合法的临时授权码")
		return
	}
	answer(w, 200, map[string]any{"accessToken": s.grants.Issue(user), "refreshToken": rand.Text(), "expireIn": 7200})
}

// decode reads a JSON body whose names are written exactly as DingTalk writes them.
// encoding/json alone ignores case.
func decode(r *http.Request, into any) bool {
	var members map[string]json.RawMessage
	if json.NewDecoder(r.Body).Decode(&members) != nil {
		return false
	}
	for name := range members {
		if name[:1] != strings.ToLower(name[:1]) || strings.Contains(name, "_") {
			return false
		}
	}
	text, err := json.Marshal(members)
	return err == nil && json.Unmarshal(text, into) == nil
}

func (s *Server) me(w http.ResponseWriter, r *http.Request) {
	user, state := s.grants.Look(r.Header.Get("x-acs-dingtalk-access-token"))
	if state != providertest.Good {
		fail(w, 401, "InvalidAuthentication", "不合法的access_token")
		return
	}
	answer(w, 200, map[string]any{"nick": user, "avatarUrl": "https://static-legacy.dingtalk.com/media/" + url.PathEscape(user) + ".jpg",
		"openId": "open-" + user, "unionId": UnionID(user), "stateCode": "86"})
}

func (s *Server) accessToken(w http.ResponseWriter, r *http.Request) {
	var in struct{ AppKey, AppSecret string }
	if !decode(r, &in) || in.AppKey != ClientID || in.AppSecret != Secret {
		fail(w, 400, "invalidClientIdOrSecret", "无效的clientId或者clientSecret")
		return
	}
	answer(w, 200, map[string]any{"accessToken": s.tokens.Issue(true), "expireIn": 7200})
}

func (s *Server) getByUnionID(w http.ResponseWriter, r *http.Request) {
	var in struct{ UnionID string }
	if _, state := s.tokens.Look(r.URL.Query().Get("access_token")); state != providertest.Good {
		legacy(w, 40014, "不合法的access_token")
		return
	}
	user := ""
	if decode(r, &in) {
		user, _ = strings.CutPrefix(in.UnionID, "union-")
	}
	if user == "" || user == in.UnionID || strings.HasPrefix(user, "guest") {
		legacy(w, 60121, "找不到该用户")
		return
	}
	kind := 0
	if strings.HasPrefix(user, "external") {
		kind = 1
	}
	answer(w, 200, map[string]any{"errcode": 0, "errmsg": "ok", "result": map[string]any{"contact_type": kind, "userid": user}, "request_id": rand.Text()})
}

func fail(w http.ResponseWriter, status int, code, text string) {
	answer(w, status, map[string]any{"requestid": rand.Text(), "code": code, "message": text})
}

func legacy(w http.ResponseWriter, code int, text string) {
	answer(w, 200, map[string]any{"errcode": code, "errmsg": text, "request_id": rand.Text()})
}

func answer(w http.ResponseWriter, status int, value any) {
	providertest.JSON(w, status, "application/json;charset=UTF-8", value)
}
