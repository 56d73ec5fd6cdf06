package wechattest

import (
	"crypto/rand"
	"net/http"
	"time"
)

// sceneCode is a QR code of an official account.
type sceneCode struct {
	appID, scene string
	expires      time.Time
}

// createScene is cgi-bin/qrcode/create. A body without the level "scene" is no error: its
// code has the scene 0.
func createScene(s *Server, r *http.Request, f Fault) answer {
	var in struct {
		Expires int64  `json:"expire_seconds"`
		Name    string `json:"action_name"`
		Info    *struct {
			Scene struct {
				Text string `json:"scene_str"`
			} `json:"scene"`
		} `json:"action_info"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	app, refusal := readCall(s, r, &in)
	switch {
	case refusal != 0:
		return failure(refusal, f)
	case app.Token == "": // no verified service account
		return failure(48001, f)
	case in.Name != "QR_STR_SCENE":
		return failure(40052, f)
	case in.Info == nil, len(in.Info.Scene.Text) > 64, in.Expires > 2592000:
		return failure(40053, f)
	}
	if in.Expires <= 0 {
		in.Expires = 60
	}
	scene := in.Info.Scene.Text
	if scene == "" {
		scene = "0"
	}
	content := "http://weixin.qq.com/q/" + rand.Text()
	s.sceneCodes[content] = sceneCode{app.ID, scene, s.now().Add(time.Duration(in.Expires) * time.Second)}
	return body(map[string]any{"ticket": "gQ" + rand.Text() + "==", "expire_seconds": in.Expires, "url": content})
}

// SceneCode returns the content of the latest QR code with this scene; "" if there is none.
func (s *Server) SceneCode(scene string) (content string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, code := range s.sceneCodes {
		if code.scene == scene && (content == "" || code.expires.After(s.sceneCodes[content].expires)) {
			content = c
		}
	}
	return content
}

// follower is cgi-bin/user/info. It knows only that somebody does not follow.
func follower(s *Server, r *http.Request, f Fault) answer {
	q := r.URL.Query()
	s.mu.Lock()
	app, refusal := s.checkToken(q.Get("access_token"))
	user, follows := s.followers[app.ID+" "+q.Get("openid")]
	s.mu.Unlock()
	switch {
	case refusal != 0:
		return failure(refusal, f)
	case len(q.Get("openid")) != 28:
		return failure(40003, f)
	case !follows:
		return body(map[string]any{"subscribe": 0, "openid": q.Get("openid")})
	}
	success := map[string]any{"subscribe": 1, "openid": q.Get("openid"), "nickname": "", "sex": 0, "language": "zh_CN", "headimgurl": ""}
	if unionid := s.UnionID(app.ID, user); unionid != "" && !f.NoUnionID {
		success["unionid"] = unionid
	}
	return body(success)
}

// PhoneCode does what the button getPhoneNumber does on the phone of a user who agrees. It
// returns a code for one exchange within CodeLife. number is, like WeChat's, without the
// country's code 86 and with any other: "13800138000", "85261234567".
func (s *Server) PhoneCode(appID, country, number string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	code := (rand.Text() + rand.Text() + rand.Text())[:64]
	s.phoneCodes[code] = &phoneCode{issued: issued{appID: appID, expires: s.now().Add(CodeLife)}, country: country, number: number}
	return code
}

// phoneCode is a code and its phone number.
type phoneCode struct {
	issued
	country, number string
}

// phoneNumber is wxa/business/getuserphonenumber.
func phoneNumber(s *Server, r *http.Request, f Fault) answer {
	var in struct {
		Code string `json:"code"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	app, refusal := readCall(s, r, &in)
	if refusal != 0 {
		return failure(refusal, f)
	}
	s.perCodeOf(in.Code)
	code := s.phoneCodes[in.Code]
	if code == nil || code.used || code.appID != app.ID || !s.now().Before(code.expires) {
		return failure(40029, f)
	}
	code.used = true
	watermark := app.ID
	if f.ForeignWatermark {
		watermark = "wx0000000000000000"
	}
	full := code.number
	if code.country != "86" {
		full = code.country + code.number
	}
	return body(map[string]any{"errcode": number(0, f), "errmsg": "ok", "phone_info": map[string]any{
		"phoneNumber": full, "purePhoneNumber": code.number, "countryCode": code.country,
		"watermark": map[string]any{"timestamp": s.now().Unix(), "appid": watermark}}})
}

// perCodeOf counts an exchange of a code that is in a body.
func (s *traffic) perCodeOf(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.perCode[code]++
}
