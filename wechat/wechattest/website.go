package wechattest

import (
	"bytes"
	"crypto/rand"
	"net/url"
	"time"
)

// webGrant is a website's access to one user.
type webGrant struct {
	appID, user, scope string
	expires            time.Time
}

// webToken is sns/oauth2/access_token. It spends a website's code.
func webToken(s *Server, q url.Values, f Fault) answer {
	user, scope, refusal := s.redeem(q, "code")
	if refusal != 0 {
		return failure(refusal, f)
	}
	appID := q.Get("appid")
	success := map[string]any{"access_token": rand.Text() + rand.Text() + "-user", "expires_in": 7200,
		"refresh_token": RefreshTokenPrefix + rand.Text(), "openid": s.OpenID(appID, user), "scope": scope}
	if unionid := s.UnionID(appID, user); unionid != "" && !f.NoUnionID && scope != "snsapi_base" {
		success["unionid"] = unionid
	}
	if f.Guest {
		success["is_snapshotuser"] = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[success["access_token"].(string)] = webGrant{appID, user, scope, s.now().Add(2 * time.Hour)}
	if f.ZeroErrcode || f.StringErrcode {
		success["errcode"], success["errmsg"] = number(0, f), "ok"
	}
	return body(success)
}

// RefreshTokenPrefix begins every refresh_token, so that a test can find a kept one.
const RefreshTokenPrefix = "wxRefreshToken"

// userInfo is sns/userinfo.
func userInfo(s *Server, q url.Values, f Fault) answer {
	s.mu.Lock()
	g, known := s.asked[q.Get("access_token")]
	s.mu.Unlock()
	switch {
	case !known:
		return failure(40001, f)
	case !s.now().Before(g.expires):
		return failure(42001, f)
	case g.scope == "snsapi_base":
		return failure(48001, f)
	case q.Get("openid") != s.OpenID(g.appID, g.user):
		return failure(40003, f)
	}
	success := map[string]any{"openid": q.Get("openid"), "nickname": g.user, "sex": 0, "province": "", "city": "", "country": "",
		"headimgurl": "http://thirdwx.qlogo.cn/mmopen/vi_32/" + g.user + "/132", "privilege": []string{}}
	if unionid := s.UnionID(g.appID, g.user); unionid != "" && !f.NoUnionID {
		success["unionid"] = unionid
	}
	a := body(success)
	if f.RawNickname {
		a.body = bytes.Replace(a.body, []byte(`"nickname":"`), []byte("\"nickname\":\"\x01\x1b\t"), 1)
	}
	return a
}
