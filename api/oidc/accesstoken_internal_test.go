package oidc

import (
	"reflect"
	"testing"

	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// TestAccessToken_UserInfo: userinfo, which knows the access token only, has the claims of
// the ID token.
func TestAccessToken_UserInfo(t *testing.T) {
	site := &client.Client{Claims: map[string]any{"email": "{openid}@x.example", "union": "{unionid}", "alias": "{nickname}", "address": map[string]any{"country": "CN"}}}
	login := ticket.Claims{Subject: "s", OpenID: "o", UnionID: "u", Nickname: "n", Picture: "https://p.example/", PhoneNumber: "+8613800138000", PhoneVerified: true}
	for scope, count := range map[string]int{scopeOpenID: 2, scopeProfile: 5, scopeEmail: 3, "address": 3, scopePhone: 4} {
		scopes := []string{scopeOpenID, scope}
		id := userClaims(site, login, scopes)
		info := userClaims(site, accessToken{Subject: login.Subject, User: newUserPart(site, login, scopes)}.login(), scopes)
		if !reflect.DeepEqual(info, id) || len(id) != count {
			t.Errorf("%s: userinfo %v, ID token %v", scope, info, id)
		}
	}
}
