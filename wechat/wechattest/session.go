package wechattest

import (
	"crypto/rand"
	"encoding/base64"
	"net/url"
)

// SessionKeyPrefix begins every session_key, so that a test can find a leaked one.
// A key has 24 characters, 16 bytes in base64, as WeChat's.
const SessionKeyPrefix = "wxSessionKey"

// jscode2session exchanges a wx.login code. Like WeChat it reads the query only;
// it ignores parameters in a POST body.
func (s *Server) jscode2session(q url.Values, f Fault) answer {
	user, _, refusal := s.redeem(q, "js_code")
	if refusal != 0 {
		return failure(refusal, f)
	}
	var success struct {
		SessionKey string `json:"session_key"`
		OpenID     string `json:"openid"`
		UnionID    string `json:"unionid,omitempty"`
		Errcode    any    `json:"errcode,omitempty"`
		Errmsg     string `json:"errmsg,omitempty"`
	}
	appID := q.Get("appid")
	success.SessionKey = s.newSessionKey()
	success.OpenID = s.OpenID(appID, user)
	if !f.NoUnionID {
		success.UnionID = s.UnionID(appID, user)
	}
	if f.ZeroErrcode || f.StringErrcode {
		success.Errcode, success.Errmsg = number(0, f), "ok"
	}
	return body(success)
}

// redeem spends a code and returns its user and scope, or an errcode. Of two exchanges of
// one code, one succeeds.
func (s *Server) redeem(q url.Values, name string) (user, scope string, refusal int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	app, known := s.apps[q.Get("appid")]
	code := s.codes[q.Get(name)]
	switch {
	case q.Get("appid") == "":
		return "", "", 41002
	case q.Get("secret") == "":
		return "", "", 41004
	case q.Get(name) == "":
		return "", "", 41008
	case q.Get("grant_type") != "authorization_code":
		return "", "", 40002
	case !known:
		return "", "", 40013
	case q.Get("secret") != app.Secret:
		return "", "", 40125
	case code == nil || code.appID != app.ID || code.web != (name == "code"):
		return "", "", 40029
	case code.used:
		return "", "", 40163
	case !s.now().Before(code.expires):
		return "", "", 40029
	}
	code.used = true
	return code.user, code.scope, 0
}

func (s *Server) newSessionKey() string {
	var tail [7]byte
	_, _ = rand.Read(tail[:])
	key := SessionKeyPrefix + base64.StdEncoding.EncodeToString(tail[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessionKeys = append(s.sessionKeys, key)
	return key
}
