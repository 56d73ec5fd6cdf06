// Package alipaytest imitates Alipay: its login page and its gateway, signed both ways.
package alipaytest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"loginhub/hub/provider/providertest"
)

// AppID is that of the registered application.
const AppID = "2021000000000001"

// Gateway is the path of the gateway.
const Gateway = "/gateway.do"

// Veteran is a user for whom the application, an old one, gets a user_id.
const Veteran = "veteran"

// Server imitates Alipay. It is safe for concurrent use.
type Server struct {
	providertest.Traffic
	handler http.Handler
	codes   providertest.Codes[grant]
	tokens  providertest.Codes[grant]
	app     *rsa.PublicKey
	own     *rsa.PrivateKey
	now     func() time.Time
}

type grant struct{ user, scope string }

// Imitation describes the imitation. Its secret has both keys.
func Imitation() providertest.Imitation {
	return providertest.Imitation{New: func(o providertest.Options) http.Handler { return New(o) },
		Fields:  "app_id: '" + AppID + "', private_key_file: SECRET, public_key_file: SECRET, api_url: URL, authorize_url: URL",
		Secret:  "-----BEGIN PRIVATE KEY-----\n" + PrivateKey + "\n-----END PRIVATE KEY-----\n-----BEGIN PUBLIC KEY-----\n" + PublicKey + "\n-----END PUBLIC KEY-----",
		Subject: "alipay:" + AppID + ":0alice"}
}

// New returns a Server.
func New(o providertest.Options) *Server {
	s := &Server{now: time.Now}
	app, err := x509.ParsePKIXPublicKey(raw(AppPublicKey))
	if err != nil {
		panic(err)
	}
	own, err := x509.ParsePKCS8PrivateKey(raw(alipayPrivateKey))
	if err != nil {
		panic(err)
	}
	s.app, s.own = app.(*rsa.PublicKey), own.(*rsa.PrivateKey)
	mux := http.NewServeMux()
	mux.Handle("/oauth2/publicAppAuthorize.htm", &providertest.Consent{Options: o, Title: "支付宝", Param: "auth_code",
		Check: func(link url.Values) string {
			if link.Get("app_id") != AppID || link.Get("scope") != "auth_base" && link.Get("scope") != "auth_user" || o.WrongHost(link) {
				return "INVALID_PARAMETER"
			}
			return ""
		},
		Issue: func(user string, link url.Values) string { return s.codes.Issue(grant{user, link.Get("scope")}) }})
	mux.HandleFunc("POST "+Gateway, s.gateway)
	s.handler = s.Wrap(mux)
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// AuthCode returns the code that my.getAuthCode gives to a mini-program.
func (s *Server) AuthCode(user string) string { return s.codes.Issue(grant{user, "auth_base"}) }

func raw(text string) []byte {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		panic(err)
	}
	return der
}

// gateway answers every request with status 200.
func (s *Server) gateway(w http.ResponseWriter, r *http.Request) {
	in := r.PostFormValue
	sent, err := time.ParseInLocation(time.DateTime, in("timestamp"), time.FixedZone("CST", 8*60*60))
	switch {
	case in("app_id") != AppID: // Alipay signs nothing for an application that it does not know
		s.unsigned(w, `{"code":"40002","msg":"Invalid Arguments","sub_code":"isv.invalid-app-id","sub_msg":"无效的AppID参数"}`)
	case err != nil || s.now().Sub(sent).Abs() > 15*time.Minute:
		s.refuse(w, "40002", "isv.invalid-timestamp")
	case in("sign_type") != "RSA2" || in("format") != "JSON" || in("version") != "1.0" || in("charset") != "utf-8" || !s.signedByApp(r.PostForm):
		s.refuse(w, "40002", "isv.invalid-signature")
	case in("method") == "alipay.system.oauth.token":
		s.token(w, in("grant_type"), in("code"))
	case in("method") == "alipay.user.info.share":
		s.share(w, in("auth_token"))
	default:
		s.refuse(w, "40002", "isv.invalid-method")
	}
}

func (s *Server) signedByApp(form url.Values) bool {
	var pairs []string
	for name := range form {
		if name != "sign" && form.Get(name) != "" {
			pairs = append(pairs, name+"="+form.Get(name))
		}
	}
	slices.Sort(pairs)
	signature, err := base64.StdEncoding.DecodeString(form.Get("sign"))
	sum := sha256.Sum256([]byte(strings.Join(pairs, "&")))
	return err == nil && rsa.VerifyPKCS1v15(s.app, crypto.SHA256, sum[:], signature) == nil
}

// token spends a code. Its answer has no code member, and numbers as strings.
func (s *Server) token(w http.ResponseWriter, grantType, code string) {
	g, state := s.codes.Redeem(code)
	if grantType != "authorization_code" || state != providertest.Good {
		s.refuse(w, "40002", "isv.code-invalid")
		return
	}
	s.answer(w, "alipay_system_oauth_token_response", id(g.user, map[string]string{"access_token": s.tokens.Issue(g), "auth_start": "2026-11-28 10:00:00",
		"expires_in": "1296000", "re_expires_in": "2592000", "refresh_token": rand.Text()}))
}

// share gives a profile, if the user agreed to auth_user.
func (s *Server) share(w http.ResponseWriter, token string) {
	g, state := s.tokens.Look(token)
	if state != providertest.Good || g.scope != "auth_user" {
		s.refuse(w, "20001", "aop.invalid-auth-token")
		return
	}
	s.answer(w, "alipay_user_info_share_response", id(g.user, map[string]string{"code": "10000", "msg": "Success", "nick_name": g.user, "avatar": "https://tfs.alipayobjects.com/" + g.user}))
}

func id(user string, members map[string]string) map[string]string {
	if user == Veteran {
		members["user_id"] = "2088000000000001"
	} else {
		members["open_id"] = "0" + user
	}
	return members
}

func (s *Server) refuse(w http.ResponseWriter, code, sub string) {
	s.answer(w, "error_response", map[string]string{"code": code, "msg": "Invalid Arguments", "sub_code": sub, "sub_msg": "无效"})
}

func (s *Server) answer(w http.ResponseWriter, name string, node map[string]string) {
	text, err := json.Marshal(node)
	if err != nil {
		panic(err)
	}
	s.send(w, name, strings.ReplaceAll(string(text), "/", `\/`)) // PHP's way; the signature is over these bytes
}

func (s *Server) send(w http.ResponseWriter, name, node string) {
	w.Header().Set("Content-Type", "text/html;charset=utf-8")
	_, _ = fmt.Fprint(w, s.Signed(name, node))
}

func (s *Server) unsigned(w http.ResponseWriter, node string) {
	_, _ = fmt.Fprintf(w, `{"error_response":%s}`, node)
}

// Signed returns an answer of the gateway with Alipay's signature.
func (s *Server) Signed(name, node string) string {
	sum := sha256.Sum256([]byte(node))
	signature, err := rsa.SignPKCS1v15(nil, s.own, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{%q:%s,"sign":%q}`, name, node, base64.StdEncoding.EncodeToString(signature))
}
