package dingtalk

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"loginhub/hub/provider"
	"loginhub/hub/provider/httpcall"
)

// The calls, by DingTalk's names.
const (
	callUserToken = "oauth2/userAccessToken"
	callUser      = "contact/users/me"
	callToken     = "oauth2/accessToken"
	callMember    = "user/getbyunionid"
)

// app makes the calls of one application.
type app struct {
	config
	client, legacyClient *httpcall.Client
	token                *httpcall.Token // of the application, for legacyClient
}

func (c config) app(e provider.Env) *app {
	a := &app{config: c,
		client: httpcall.New(httpcall.Host{Service: "dingtalk", Base: c.api, Failure: failure, Metrics: e.Calls, Reactions: map[string]httpcall.Reaction{
			badCode: httpcall.Code, badClient: httpcall.Config, forbidden: httpcall.Config, throttled: httpcall.Quota}}),
		legacyClient: httpcall.New(httpcall.Host{Service: "dingtalk", Base: c.legacy, Failure: legacyFailure, Metrics: e.Calls, Reactions: map[string]httpcall.Reaction{
			"-1": httpcall.Busy, "60121": httpcall.Blocked, "40014": httpcall.Stale, "42001": httpcall.Stale, "50002": httpcall.Blocked,
			"90002": httpcall.Quota, "90018": httpcall.Quota, "60011": httpcall.Config, "60020": httpcall.Config}})}
	a.token = httpcall.NewToken(httpcall.TokenSource{Name: "dingtalk:token:" + c.clientID, Store: e.Store, Log: e.Log, Fetch: a.fetchToken})
	return a
}

// The families of error codes. DingTalk's own are longer, such as
// invalidParameter.authCode.notFound.
const (
	badCode   = "invalidParameter.authCode"
	badClient = "invalidClient"
	forbidden = "Forbidden"
	throttled = "Throttling"
)

// failure reads the error code of an answer, which is a text: the family if there is
// one, and the whole code before DingTalk's text.
func failure(a httpcall.Answer) (code, text string) {
	code, text = httpcall.Failure("code", "message")(a)
	for _, family := range []string{badCode, badClient, forbidden, throttled} {
		if strings.HasPrefix(strings.ToLower(code), strings.ToLower(family)) {
			return family, code + ": " + text
		}
	}
	return code, text
}

// legacyFailure reads the error code of an answer of the older API. 88 means that
// sub_code has the cause.
func legacyFailure(a httpcall.Answer) (code, text string) {
	code, text = httpcall.Failure("errcode", "errmsg")(a)
	if code == "88" {
		if sub, subText := httpcall.Failure("sub_code", "sub_msg")(a); sub != "" {
			return sub, subText
		}
	}
	return code, text
}

// userToken exchanges the code for the user's access token and, if the user had to
// choose one, the company.
//
// https://open.dingtalk.com/document/orgapp/obtain-user-token
func (a *app) userToken(ctx context.Context, code string) (token, corpID string, err error) {
	var answer struct { // the refreshToken has no field, so it is dropped
		Token  string `json:"accessToken"`
		CorpID string `json:"corpId"`
	}
	err = a.client.Do(ctx, httpcall.Call{Name: callUserToken, Path: "/v1.0/oauth2/userAccessToken", Hidden: []string{a.secret, code}, Into: &answer,
		JSON: map[string]string{"clientId": a.clientID, "clientSecret": a.secret, "code": code, "grantType": "authorization_code"}})
	if err == nil && answer.Token == "" {
		err = a.client.Unusable(callUserToken, "no accessToken")
	}
	return answer.Token, answer.CorpID, err
}

// user reads who the user is.
//
// https://open.dingtalk.com/document/orgapp/dingtalk-retrieve-user-information
func (a *app) user(ctx context.Context, token string) (provider.Identity, error) {
	var answer struct {
		UnionID string `json:"unionId"`
		Nick    string `json:"nick"`
		Avatar  string `json:"avatarUrl"`
	}
	err := a.client.Do(ctx, httpcall.Call{Name: callUser, Path: "/v1.0/contact/users/me", Hidden: []string{a.secret, token}, Into: &answer,
		Header: http.Header{"X-Acs-Dingtalk-Access-Token": {token}}})
	if err == nil && answer.UnionID == "" {
		err = a.client.Incompletef(callUser, "no unionId")
	}
	if err != nil {
		return provider.Identity{}, err
	}
	return provider.Identity{Subject: answer.UnionID, Union: answer.UnionID, Nickname: answer.Nick, Picture: answer.Avatar}, nil
}

// fetchToken requests the application's access token.
//
// https://open.dingtalk.com/document/orgapp/obtain-the-access_token-of-an-internal-app
func (a *app) fetchToken(ctx context.Context) (string, time.Duration, error) {
	var answer struct {
		Token    string        `json:"accessToken"`
		ExpireIn httpcall.Text `json:"expireIn"`
	}
	err := a.client.Do(ctx, httpcall.Call{Name: callToken, Path: "/v1.0/oauth2/accessToken", Hidden: []string{a.secret}, Into: &answer,
		JSON: map[string]string{"appKey": a.clientID, "appSecret": a.secret}})
	if err == nil && answer.Token == "" {
		err = a.client.Unusable(callToken, "no accessToken")
	}
	return answer.Token, answer.ExpireIn.Seconds(), err
}

// member returns the userid of a member of the company. The call spends no code, so it
// is made again with a new token if the first is refused.
//
// https://open.dingtalk.com/document/orgapp/query-a-user-by-the-union-id
func (a *app) member(ctx context.Context, unionID string) (userID string, err error) {
	for range 2 {
		var token string
		if token, err = a.token.Get(ctx); err != nil {
			return "", err
		}
		if userID, err = a.memberWith(ctx, token, unionID); !errors.Is(err, httpcall.ErrStale) {
			break
		}
		a.token.Drop(token)
	}
	return userID, err
}

func (a *app) memberWith(ctx context.Context, token, unionID string) (string, error) {
	var answer struct {
		Result struct {
			UserID      string      `json:"userid"`
			ContactType json.Number `json:"contact_type"` // 1: an external contact
		} `json:"result"`
	}
	err := a.legacyClient.Do(ctx, httpcall.Call{Name: callMember, Path: "/topapi/user/getbyunionid", Hidden: []string{a.secret, token}, Into: &answer,
		Query: url.Values{"access_token": {token}}, JSON: map[string]string{"unionid": unionID}})
	switch {
	case err != nil:
		return "", err
	case answer.Result.UserID == "" || answer.Result.ContactType != "" && answer.Result.ContactType != "0":
		return "", a.client.Blockedf(callMember, "the user is no member of the company")
	}
	return answer.Result.UserID, nil
}
