// Package qqtest imitates QQ (QQ互联): its login page and the calls of one application.
// Failures of the OAuth calls are callback( {…} ); in spite of fmt=json.
package qqtest

import (
	"crypto/md5"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"loginhub/hub/provider/providertest"
)

// The application.
const (
	AppID = "101234567"
	Key   = "qq-key-0123456789abcdef0123456789"
)

// The paths of the calls, for faults.
const (
	TokenPath = "/oauth2.0/token"
	MePath    = "/oauth2.0/me"
	UserPath  = "/user/get_user_info"
)

// Server imitates QQ. It is an http.Handler.
type Server struct {
	providertest.Traffic
	http.Handler
	// NoUnion means that the application has no right to unionids.
	NoUnion atomic.Bool
	// Old means that fmt and need_openid are not known: answers are forms and callbacks.
	Old atomic.Bool

	codes  providertest.Codes[grant]
	grants providertest.Codes[string] // names of users
}

// grant is what a code refers to. The redirect URI must be sent again.
type grant struct{ user, redirect string }

// Imitation returns the imitation for tests of whole logins.
func Imitation() providertest.Imitation {
	return providertest.Imitation{New: func(o providertest.Options) http.Handler { return New(o) },
		Fields: "app_id: '" + AppID + "', app_key_file: SECRET, api_url: URL",
		Secret: Key, Subject: "qq:" + AppID + ":" + OpenID("alice")}
}

// New returns an imitation.
func New(o providertest.Options) *Server {
	s := &Server{codes: providertest.Codes[grant]{Life: 10 * time.Minute}, grants: providertest.Codes[string]{Life: 60 * 24 * time.Hour}}
	calls := http.NewServeMux()
	calls.HandleFunc("GET "+TokenPath, s.token)
	calls.HandleFunc("GET "+MePath, s.me)
	calls.HandleFunc("GET "+UserPath, s.user)
	all := http.NewServeMux()
	all.Handle("/oauth2.0/authorize", &providertest.Consent{Options: o, Title: "QQ登录",
		Issue: func(user string, link url.Values) string { return s.codes.Issue(grant{user, link.Get("redirect_uri")}) },
		Check: func(link url.Values) string {
			switch {
			case link.Get("response_type") != "code":
				return "100000"
			case link.Get("client_id") != AppID:
				return "100008"
			case link.Get("state") == "":
				return "100003"
			case o.WrongHost(link):
				return "redirect uri is illegal(100010)"
			}
			return ""
		}})
	all.Handle("/", s.Wrap(calls))
	s.Handler = all
	return s
}

// OpenID returns the openid of a user, UnionID the unionid.
func OpenID(user string) string { return fmt.Sprintf("%X", md5.Sum([]byte("openid "+user))) }

// UnionID returns the unionid of a user.
func UnionID(user string) string { return fmt.Sprintf("UID_%X", md5.Sum([]byte("union "+user))) }

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch {
	case q.Get("client_id") != AppID:
		fail(w, 100008, "client_id is illegal")
		return
	case q.Get("client_secret") != Key:
		fail(w, 100009, "client_secret is illegal")
		return
	case q.Get("grant_type") != "authorization_code":
		fail(w, 100004, "grant_type is illegal")
		return
	}
	g, state := s.codes.Redeem(q.Get("code"))
	switch {
	case state == providertest.Used:
		fail(w, 100020, "code is reused error")
		return
	case state != providertest.Good:
		fail(w, 100019, "code to access token error")
		return
	case q.Get("redirect_uri") != g.redirect:
		fail(w, 100010, "redirect uri is illegal")
		return
	}
	token := s.grants.Issue(g.user)
	if s.Old.Load() || q.Get("fmt") != "json" {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, "access_token=%s&expires_in=7776000&refresh_token=88E4BE14", token)
		return
	}
	value := map[string]any{"access_token": token, "expires_in": 5184000, "refresh_token": "88E4BE14"}
	if q.Get("need_openid") == "1" {
		value["openid"] = OpenID(g.user)
	}
	answer(w, value)
}

func (s *Server) me(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	user, state := s.grants.Look(q.Get("access_token"))
	switch {
	case state != providertest.Good:
		fail(w, 100016, "access token check failed")
		return
	case q.Get("unionid") == "1" && s.NoUnion.Load():
		fail(w, 100048, "no permission to get unionid")
		return
	}
	value := map[string]any{"client_id": AppID, "openid": OpenID(user)}
	if q.Get("unionid") == "1" {
		value["unionid"] = UnionID(user)
	}
	if s.Old.Load() || q.Get("fmt") != "json" {
		wrap(w, value)
		return
	}
	answer(w, value)
}

func (s *Server) user(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	user, state := s.grants.Look(q.Get("access_token"))
	if state != providertest.Good || q.Get("openid") != OpenID(user) || q.Get("oauth_consumer_key") != AppID {
		answer(w, map[string]any{"ret": -23, "msg": "token is invalid"})
		return
	}
	answer(w, map[string]any{"ret": 0, "msg": "", "is_lost": 0, "nickname": user, "gender": "男", "year": "1970",
		"figureurl_qq_1": "http://thirdqq.qlogo.cn/ek_qqapp/1/40", "figureurl_qq_2": ""})
}

func fail(w http.ResponseWriter, code int, text string) {
	wrap(w, map[string]any{"error": code, "error_description": text})
}

func wrap(w http.ResponseWriter, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic("qqtest: " + err.Error())
	}
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprintf(w, "callback( %s );\n", text)
}

func answer(w http.ResponseWriter, value any) {
	providertest.JSON(w, http.StatusOK, "text/html; charset=utf-8", value)
}
