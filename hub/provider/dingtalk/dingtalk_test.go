package dingtalk_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"loginhub/hub/provider"
	"loginhub/hub/provider/dingtalk"
	"loginhub/hub/provider/dingtalk/dingtalktest"
	"loginhub/hub/provider/providertest"
)

func open(t *testing.T, secret, corpID string) (*dingtalktest.Server, *provider.Provider, provider.Config) {
	s := dingtalktest.New(providertest.Options{Host: providertest.Host})
	p, c := providertest.Open(t, dingtalk.Kind(), s, map[string]string{"client_id": dingtalktest.ClientID, "client_secret": secret, "corp_id": corpID,
		"api_url": "URL", "legacy_api_url": "URL", "authorize_url": "URL"})
	return s, p, c
}

func TestDingTalk_Users(t *testing.T) {
	t.Parallel()
	for corpID, want := range map[string]string{"": "dingtalk:" + dingtalktest.UnionID("li"), dingtalktest.CorpID: "dingtalk:" + dingtalktest.CorpID + ":li"} {
		s, p, _ := open(t, dingtalktest.Secret, corpID)
		code := providertest.Visit(t, p.InApp, "authCode", "li")
		by, err := p.Redirect.Exchange(t.Context(), code)
		if sub, _ := by.Sub(""); err != nil || sub != want || by.Nickname != "li" || !provider.IsPicture(by.Picture) {
			t.Errorf("%s %+v %v", sub, by, err)
		}
		if _, err := p.Redirect.Exchange(t.Context(), code); !errors.Is(err, provider.ErrCodeInvalid) {
			t.Errorf("a used code: %v", err)
		}
		s.Revoke() // the membership call spends no code: it gets another token
		for user, member := range map[string]bool{"wang": true, "guest1": false, "external1": false} {
			_, err := p.Redirect.Exchange(t.Context(), providertest.Visit(t, p.Redirect, "authCode", user))
			if refused := errors.Is(err, provider.ErrUserBlocked); refused != (corpID != "" && !member) || err != nil && !refused {
				t.Errorf("%s in %q: %v", user, corpID, err)
			}
		}
		if n := s.Calls(dingtalktest.TokenPath); corpID != "" && n != 2 || corpID == "" && n != 0 {
			t.Errorf("%d access tokens", n)
		}
	}
}

func TestDingTalk_Errors(t *testing.T) {
	t.Parallel()
	s, p, _ := open(t, dingtalktest.Secret, dingtalktest.CorpID)
	cases := map[string]providertest.FaultCase{}
	fault := func(path string, f providertest.Fault, want error) {
		cases[fmt.Sprintf("%s %+v", path, f)] = providertest.FaultCase{Path: path, Fault: f, Want: want}
	}
	for _, path := range []string{dingtalktest.UserTokenPath, dingtalktest.UserPath, dingtalktest.MemberPath} {
		fault(path, providertest.Fault{Hang: true}, provider.ErrProviderUnavailable)
		fault(path, providertest.Fault{Lose: true}, provider.ErrProviderUnavailable)
		fault(path, providertest.Fault{Status: 502}, provider.ErrProviderUnavailable)
	}
	for code, want := range map[string]error{"invalidParameter.authCode.notFound": provider.ErrCodeInvalid, "invalidClientIdOrSecret": provider.ErrProviderMisconfigured,
		"Forbidden.AccessDenied.AccessTokenPermissionDenied": provider.ErrProviderMisconfigured, "Throttling.Api": provider.ErrProviderUnavailable, "unknownError": provider.ErrProviderUnavailable} {
		fault(dingtalktest.UserTokenPath, providertest.Fault{Status: 400, Body: `{"requestid":"1","code":"` + code + `","message":"` + dingtalktest.Secret + `"}`}, want)
	}
	for code, want := range map[string]error{`60121`: provider.ErrUserBlocked, `88,"sub_code":"60011"`: provider.ErrProviderMisconfigured, `60020`: provider.ErrProviderMisconfigured,
		`50002`: provider.ErrUserBlocked, `90018`: provider.ErrProviderUnavailable, `-1`: provider.ErrProviderUnavailable, `42001`: nil} {
		fault(dingtalktest.MemberPath, providertest.Fault{Body: `{"errmsg":"` + dingtalktest.Secret + `","errcode":` + code + `}`}, want)
	}
	fault(dingtalktest.UserPath, providertest.Fault{Body: `{"nick":"li"}`}, provider.ErrIdentityIncomplete)
	fault(dingtalktest.UserTokenPath, providertest.Fault{Body: `{"accessToken":""}`}, provider.ErrProviderUnavailable)
	providertest.CheckFaults(t, p.Redirect, "authCode", &s.Traffic, dingtalktest.UserTokenPath, []string{dingtalktest.Secret}, cases)
}

func TestDingTalk_Check(t *testing.T) {
	t.Parallel()
	for secret, lines := range map[string]int{dingtalktest.Secret: 2, "another-secret": 1} {
		_, _, c := open(t, secret, dingtalktest.CorpID)
		found := c.Check(t.Context(), provider.Env{ID: "it", PublicURL: "https://login.example.com"})
		if len(found) != lines || (found[0].Severity == provider.OK) != (lines == 2) || strings.Contains(fmt.Sprint(found, c), secret) {
			t.Errorf("%v", found)
		}
	}
}
