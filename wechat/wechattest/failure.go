package wechattest

import (
	"crypto/rand"
	"fmt"
	"strconv"
)

// failure is WeChat's JSON error.
func failure(code int, f Fault) answer {
	msg := f.Errmsg
	if msg == "" {
		msg = usual(code) + ", rid: " + trace()
	}
	return body(struct {
		Errcode any    `json:"errcode"`
		Errmsg  string `json:"errmsg"`
	}{number(code, f), msg})
}

// number returns an errcode in the type that f requires.
func number(code int, f Fault) any {
	if f.StringErrcode {
		return strconv.Itoa(code)
	}
	return code
}

// trace returns a new rid.
func trace() string {
	var b [12]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x", b[:4], b[4:8], b[8:])
}

// usual returns WeChat's text of an errcode.
func usual(code int) string {
	switch code {
	case -1:
		return "system error"
	case 40001:
		return "invalid credential, access_token is invalid or not latest"
	case 40014:
		return "invalid access_token"
	case 42001:
		return "access_token expired"
	case 41001:
		return "access_token missing"
	case 40003:
		return "invalid openid"
	case 40037:
		return "invalid template_id"
	case 43101:
		return "user refuse to accept the msg"
	case 40052:
		return "invalid action name"
	case 40053:
		return "invalid action info"
	case 48001:
		return "api unauthorized"
	case 40129:
		return "invalid scene"
	case 40169:
		return "invalid length for scene, or the data is not json string"
	case 41030:
		return "invalid page"
	case 40002:
		return "invalid grant_type"
	case 40013:
		return "invalid appid"
	case 40029:
		return "invalid code"
	case 40125:
		return "invalid appsecret"
	case 40163:
		return "code been used"
	case 40164:
		return "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist"
	case 40226:
		return "code blocked"
	case 40243:
		return "appsecret is frozen"
	case 41002:
		return "appid missing"
	case 41004:
		return "appsecret missing"
	case 41008:
		return "missing code"
	case 45009:
		return "reach max api daily quota limit"
	case 45011:
		return "api minute-quota reach limit, must slower, retry next minute"
	default:
		return "error " + strconv.Itoa(code)
	}
}
