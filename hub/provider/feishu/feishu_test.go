package feishu_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"loginhub/hub/provider"
	"loginhub/hub/provider/feishu"
	"loginhub/hub/provider/feishu/feishutest"
	"loginhub/hub/provider/providertest"
)

// open opens a provider with changed fields.
func open(t *testing.T, change map[string]string) (*feishutest.Server, *provider.Provider, provider.Config) {
	t.Helper()
	s := feishutest.New(providertest.Options{Host: providertest.Host})
	fields := map[string]string{"app_id": feishutest.AppID, "app_secret": feishutest.Secret, "api_url": "URL", "authorize_url": "URL", "token_url": "URL"}
	maps.Copy(fields, change)
	p, c := providertest.Open(t, feishu.Kind(), s, fields)
	return s, p, c
}

// TestFeishu_Users: page and gadget identify the same user, by the endpoint that is
// configured.
func TestFeishu_Users(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fields      map[string]string
		page, phone string // paths of the exchanges
	}{
		"token_url a host":      {nil, feishutest.TokenV3, feishutest.TokenV3},
		"token_url a whole URL": {map[string]string{"token_url": "URL" + feishutest.TokenV2, "authorize_url": "URL/open-apis/authen/v1/authorize"}, feishutest.TokenV2, feishutest.TokenV2},
		"no token_url":          {map[string]string{"token_url": "", "tenant_key": feishutest.Tenant}, feishutest.TokenV2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p, _ := open(t, c.fields)
			credential := providertest.Visit(t, p.InApp, "code", "li")
			by, err := p.InApp.Exchange(t.Context(), credential)
			sub, _ := by.Sub("")
			union, _ := by.Sub("unionid")
			if err != nil || sub != "feishu:"+feishutest.AppID+":ou_li" || union != "feishu:unionid:on_li" || by.Nickname != "li" || by.Picture == "" || s.Calls(c.page) != 1 {
				t.Errorf("%+v %v", by, err)
			}
			if _, err := p.Redirect.Exchange(t.Context(), credential); !errors.Is(err, provider.ErrCodeInvalid) {
				t.Errorf("a used code: %v", err)
			}
			if c.phone == "" {
				return // it would be Feishu's own
			}
			before := s.Calls(c.phone)
			phone, err := p.Code.Exchange(t.Context(), provider.Credential{Code: s.GadgetCode("li")})
			if err != nil || !phone.Same(by) || s.Calls(c.phone) != before+1 {
				t.Errorf("gadget: %+v %v", phone, err)
			}
			if _, err := p.Code.Exchange(t.Context(), provider.Credential{Code: s.GadgetCode(feishutest.Stranger)}); !errors.Is(err, provider.ErrUserBlocked) {
				t.Errorf("a user without the app: %v", err)
			}
			// A code of another login, and one that was issued without a challenge.
			for _, code := range []string{providertest.Visit(t, p.Redirect, "code", "li").Code, s.GadgetCode("li")} {
				credential.Code, credential.Visit.Verifier = code, strings.Repeat("w", 43)
				if _, err := p.Redirect.Exchange(t.Context(), credential); err == nil {
					t.Error("a code of another login is accepted")
				}
			}
		})
	}
	_, p, _ := open(t, map[string]string{"tenant_key": "tenant-2"})
	if _, err := p.Redirect.Exchange(t.Context(), providertest.Visit(t, p.Redirect, "code", "li")); !errors.Is(err, provider.ErrUserBlocked) {
		t.Errorf("another tenant: %v", err)
	}
}

func TestFeishu_Errors(t *testing.T) {
	t.Parallel()
	s, p, _ := open(t, nil)
	refusal := func(path, body string, want error) providertest.FaultCase {
		return providertest.FaultCase{Path: path, Fault: providertest.Fault{Status: 400, Body: body}, Want: want}
	}
	cases := map[string]providertest.FaultCase{
		"hangs":      {Path: feishutest.TokenV3, Fault: providertest.Fault{Hang: true}, Want: provider.ErrProviderUnavailable},
		"lost":       {Path: feishutest.TokenV3, Fault: providertest.Fault{Lose: true}, Want: provider.ErrProviderUnavailable},
		"proxy":      {Path: feishutest.UserInfo, Fault: providertest.Fault{Status: 502}, Want: provider.ErrProviderUnavailable},
		"no token":   {Path: feishutest.TokenV3, Fault: providertest.Fault{Body: `{"code":0}`}, Want: provider.ErrProviderUnavailable},
		"no open_id": {Path: feishutest.UserInfo, Fault: providertest.Fault{Body: `{"code":"0","data":{}}`}, Want: provider.ErrIdentityIncomplete},
		"RFC 6749":   refusal(feishutest.TokenV3, `{"error":"invalid_grant","error_description":"no"}`, provider.ErrCodeInvalid),
		"resigned":   refusal(feishutest.UserInfo, `{"code":20021,"msg":"User resigned"}`, provider.ErrUserBlocked),
		"permission": refusal(feishutest.UserInfo, `{"code":99991672,"msg":"Access denied."}`, provider.ErrProviderMisconfigured),
		"bad token":  refusal(feishutest.UserInfo, `{"code":99991663,"msg":"token invalid"}`, provider.ErrProviderUnavailable),
	}
	for code, want := range map[string]error{"20003": provider.ErrCodeInvalid, `"20004"`: provider.ErrCodeInvalid, "20024": provider.ErrCodeInvalid, "20065": provider.ErrCodeInvalid,
		"20002": provider.ErrProviderMisconfigured, "20071": provider.ErrProviderMisconfigured, "20069": provider.ErrProviderMisconfigured, "20010": provider.ErrUserBlocked,
		"20050": provider.ErrProviderUnavailable, "99991400": provider.ErrProviderUnavailable, "12345": provider.ErrProviderUnavailable} {
		cases[code] = refusal(feishutest.TokenV3, fmt.Sprintf(`{"code":%s,"error":"invalid_grant","error_description":"no, %s"}`, code, feishutest.Secret), want)
	}
	providertest.CheckFaults(t, p.Redirect, "code", &s.Traffic, feishutest.TokenV3, []string{feishutest.Secret, strings.Repeat("v", 43)}, cases)
}

func TestFeishu_Check(t *testing.T) {
	t.Parallel()
	for secret, want := range map[string]provider.Severity{feishutest.Secret: provider.OK, "another-secret": provider.Fail} {
		_, _, c := open(t, map[string]string{"app_secret": secret})
		found := c.Check(t.Context(), provider.Env{ID: "it", PublicURL: "https://login.example.com"})
		if len(found) != 1 || found[0].Severity != want || strings.Contains(fmt.Sprint(found, c), secret) {
			t.Errorf("%v", found)
		}
	}
}

func TestFeishu_Lark(t *testing.T) {
	t.Parallel()
	_, p, _ := open(t, map[string]string{"lark": "true", "authorize_url": ""})
	if p.Redirect.Origin() != "https://accounts.larksuite.com" || p.Kind.Label.EN != "Lark" {
		t.Errorf("%s %+v", p.Redirect.Origin(), p.Kind.Label)
	}
	for agent, inside := range map[string]bool{
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Lark/7.32.0 LarkLocale/zh_CN ChannelName/Feishu": true,
		"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36":                                                      false,
	} {
		if feishu.Kind().InAgent(agent) != inside {
			t.Errorf("%s: wanted %v", agent, inside)
		}
	}
}
