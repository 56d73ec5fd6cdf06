// Package feishutest imitates Feishu: its login page, both token endpoints and user_info.
package feishutest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"loginhub/hub/provider/providertest"
)

// The app that is registered, and the tenant of its users.
const (
	AppID  = "cli_a1b2c3d4e5f6"
	Secret = "feishu-secret-0123456789abcdefgh"
	Tenant = "tenant-1"
)

// The paths of the calls.
const (
	TokenV2  = "/open-apis/authen/v2/oauth/token"
	TokenV3  = "/oauth/v3/token"
	UserInfo = "/open-apis/authen/v1/user_info"
)

// Stranger is a user who may not use the app.
const Stranger = "stranger"

// Server imitates Feishu. It is safe for concurrent use.
type Server struct {
	providertest.Traffic
	handler http.Handler
	codes   providertest.Codes[grant]
	tokens  providertest.Codes[string] // user_access_token to user
}

// grant is a code's user, with the link to which they agreed; a gadget's has none.
type grant struct {
	user string
	link url.Values
}

// Imitation returns the imitation for tests of whole logins.
func Imitation() providertest.Imitation {
	return providertest.Imitation{New: func(o providertest.Options) http.Handler { return New(o) },
		Fields: "app_id: " + AppID + ", app_secret_file: SECRET, api_url: URL, token_url: URL, authorize_url: URL",
		Secret: Secret, Subject: "feishu:" + AppID + ":ou_alice"}
}

// New returns a Server.
func New(o providertest.Options) *Server {
	s := &Server{codes: providertest.Codes[grant]{Life: 5 * time.Minute}, tokens: providertest.Codes[string]{Prefix: "u-"}}
	mux := http.NewServeMux()
	mux.Handle("/open-apis/authen/v1/authorize", &providertest.Consent{Options: o, Title: "飞书", Denied: url.Values{"error": {"access_denied"}},
		Check: func(link url.Values) string {
			switch {
			case link.Get("client_id") != AppID || link.Get("response_type") != "code":
				return "20048"
			case o.WrongHost(link):
				return "20029 redirect_uri"
			}
			return ""
		},
		Issue: func(user string, link url.Values) string { return s.codes.Issue(grant{user, link}) }})
	mux.HandleFunc("POST "+TokenV2, func(w http.ResponseWriter, r *http.Request) { s.token(w, r, false) })
	mux.HandleFunc("POST "+TokenV3, func(w http.ResponseWriter, r *http.Request) { s.token(w, r, true) })
	mux.HandleFunc("GET "+UserInfo, s.userInfo)
	s.handler = s.Wrap(mux)
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// GadgetCode returns the code that tt.requestAccess gives to a gadget.
func (s *Server) GadgetCode(user string) string { return s.codes.Issue(grant{user: user}) }

func answer(w http.ResponseWriter, status int, body map[string]any) {
	providertest.JSON(w, status, "application/json; charset=utf-8", body)
}

func refuse(w http.ResponseWriter, code int, name, text string) {
	answer(w, http.StatusBadRequest, map[string]any{"code": code, "error": name, "error_description": text})
}

// token exchanges a code. v2 does not refuse a verifier without a challenge.
func (s *Server) token(w http.ResponseWriter, r *http.Request, strict bool) {
	var in struct {
		GrantType    string `json:"grant_type"`
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
		Code         string `json:"code"`
		RedirectURI  string `json:"redirect_uri"`
		Verifier     string `json:"code_verifier"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		refuse(w, 20063, "invalid_request", "The request is malformed. Please check your request.")
		return
	}
	switch {
	case in.GrantType != "authorization_code":
		refuse(w, 20036, "unsupported_grant_type", "The specified grant_type is not supported.")
		return
	case in.ClientID != AppID:
		refuse(w, 20048, "invalid_client", "The specified app does not exist.")
		return
	case in.ClientSecret != Secret:
		refuse(w, 20002, "invalid_client", "The client secret is invalid.")
		return
	}
	g, state := s.codes.Redeem(in.Code)
	sum := sha256.Sum256([]byte(in.Verifier))
	challenge := g.link.Get("code_challenge")
	switch {
	case state == providertest.Unknown:
		refuse(w, 20003, "invalid_grant", "The authorization code is not found. Please note that an authorization code can only be used once.")
	case state == providertest.Used:
		refuse(w, 20065, "invalid_grant", "The authorization code has been used. Please note that an authorization code can only be used once.")
	case state == providertest.Expired:
		refuse(w, 20004, "invalid_grant", "The authorization code has expired.")
	case in.RedirectURI != g.link.Get("redirect_uri"):
		refuse(w, 20071, "invalid_grant", "redirect_uri mismatch.")
	case challenge != "" && base64.RawURLEncoding.EncodeToString(sum[:]) != challenge || challenge == "" && in.Verifier != "" && strict:
		refuse(w, 20049, "invalid_grant", "PKCE code challenge failed.")
	case g.user == Stranger:
		refuse(w, 20010, "access_denied", "The user does not have permission to use this app.")
	default:
		answer(w, http.StatusOK, map[string]any{"code": 0, "access_token": s.tokens.Issue(g.user), "expires_in": 7200, "token_type": "Bearer", "scope": ""})
	}
}

func (s *Server) userInfo(w http.ResponseWriter, r *http.Request) {
	user, state := s.tokens.Look(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if state != providertest.Good {
		answer(w, http.StatusBadRequest, map[string]any{"code": 99991668, "msg": "Invalid access token for authorization. Please make a request with token attached."})
		return
	}
	answer(w, http.StatusOK, map[string]any{"code": 0, "msg": "success", "data": map[string]any{"open_id": "ou_" + user, "union_id": "on_" + user,
		"tenant_key": Tenant, "name": user, "en_name": user, "avatar_url": "https://s1-imfile.feishucdn.com/" + user + ".png"}})
}
