package qq

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"strings"

	"loginhub/hub/provider"
	"loginhub/hub/provider/httpcall"
)

// The calls, by QQ's names.
const (
	callToken = "oauth2.0/token"
	callMe    = "oauth2.0/me"
	callUser  = "user/get_user_info"
)

var callback = regexp.MustCompile(`(?s)^\s*callback\(\s*(.*?)\s*\)\s*;?\s*$`)

// normalize returns an answer as JSON. In spite of fmt=json QQ answers some calls, above
// all failures, with callback( {…} ); or a form.
func normalize(body []byte) []byte {
	if m := callback.FindSubmatch(body); m != nil {
		return m[1]
	}
	text := bytes.TrimSpace(body)
	form, err := url.ParseQuery(string(text))
	if err != nil || !form.Has("access_token") && !form.Has("error") && !form.Has("code") {
		return body
	}
	members := map[string]string{}
	for name := range form {
		members[name] = form.Get(name)
	}
	asJSON, err := json.Marshal(members)
	if err != nil {
		return body
	}
	return asJSON
}

// failure reads the error code of an answer: error of the OAuth calls, ret of the others,
// code of a refused address.
func failure(a httpcall.Answer) (code, text string) {
	a.Body = normalize(a.Body)
	for _, names := range [][2]string{{"error", "error_description"}, {"ret", "msg"}, {"code", "msg"}} {
		if code, text = httpcall.Failure(names[0], names[1])(a); code != "" {
			return code, text
		}
	}
	return "", ""
}

// into returns the reader of an answer into a struct.
func into(v any) func(httpcall.Answer) error {
	return func(a httpcall.Answer) error { return json.Unmarshal(normalize(a.Body), v) }
}

// grant exchanges the code for the user's access token and, with need_openid, the openid.
func (a *app) grant(ctx context.Context, p provider.Credential) (token, openID string, err error) {
	var answer struct { // the refresh_token has no field, so it is dropped
		Token  string `json:"access_token"`
		OpenID string `json:"openid"`
	}
	err = a.client.Do(ctx, httpcall.Call{Name: callToken, Path: "/oauth2.0/token", Hidden: []string{a.key, p.Code}, Read: into(&answer),
		Query: url.Values{"grant_type": {"authorization_code"}, "client_id": {a.appID}, "client_secret": {a.key}, "code": {p.Code},
			"redirect_uri": {p.Visit.Callback}, "fmt": {"json"}, "need_openid": {"1"}}})
	if err == nil && answer.Token == "" {
		err = a.client.Unusable(callToken, "no access_token")
	}
	return answer.Token, answer.OpenID, err
}

// user is the answer of me.
type user struct {
	OpenID  string `json:"openid"`
	UnionID string `json:"unionid"`
}

// noUnion is the code of an application without the right to unionids.
const noUnion = "100048"

// me returns the user's unionid, if the application has the right to it, and the openid,
// which an older answer to grant lacks.
//
// https://wiki.connect.qq.com/unionid介绍
func (a *app) me(ctx context.Context, token, openID string) (u user, err error) {
	err = a.askMe(ctx, token, true, &u)
	var e *httpcall.Error
	if errors.As(err, &e) && e.Code == noUnion {
		if openID != "" {
			return user{OpenID: openID}, nil
		}
		err = a.askMe(ctx, token, false, &u)
	}
	if err == nil && (u.OpenID == "" || openID != "" && u.OpenID != openID) {
		err = a.client.Unusable(callMe, "no openid, or that of another user")
	}
	return u, err
}

func (a *app) askMe(ctx context.Context, token string, union bool, u *user) error {
	q := url.Values{"access_token": {token}, "fmt": {"json"}}
	if union {
		q.Set("unionid", "1")
	}
	return a.client.Do(ctx, httpcall.Call{Name: callMe, Path: "/oauth2.0/me", Query: q, Hidden: []string{a.key, token}, Read: into(u)})
}

// profile reads the names for which QQ vouches.
//
// https://wiki.connect.qq.com/get_user_info
func (a *app) profile(ctx context.Context, token, openID string) (nickname, picture string, err error) {
	var answer struct {
		Nickname string `json:"nickname"`
		Large    string `json:"figureurl_qq_2"` // 100 pixels, not of every user
		Small    string `json:"figureurl_qq_1"` // 40 pixels
	}
	err = a.client.Do(ctx, httpcall.Call{Name: callUser, Path: "/user/get_user_info", Hidden: []string{a.key, token}, Read: into(&answer),
		Query: url.Values{"access_token": {token}, "oauth_consumer_key": {a.appID}, "openid": {openID}}})
	if picture = answer.Large; picture == "" {
		picture = answer.Small
	}
	if rest, plain := strings.CutPrefix(picture, "http://"); plain {
		picture = "https://" + rest // the same picture
	}
	return answer.Nickname, picture, err
}
