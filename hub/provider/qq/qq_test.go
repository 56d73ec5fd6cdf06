package qq_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"loginhub/hub/provider"
	"loginhub/hub/provider/providertest"
	"loginhub/hub/provider/qq"
	"loginhub/hub/provider/qq/qqtest"
)

func open(t *testing.T, key string) (*qqtest.Server, *provider.Provider, provider.Config) {
	s := qqtest.New(providertest.Options{Host: providertest.Host})
	p, c := providertest.Open(t, qq.Kind(), s, map[string]string{"app_id": qqtest.AppID, "app_key": key, "api_url": "URL"})
	return s, p, c
}

func TestQQ_Users(t *testing.T) {
	t.Parallel()
	s, p, _ := open(t, qqtest.Key)
	for range 4 {
		code := providertest.Visit(t, p.InApp, "code", "小明")
		by, err := p.Redirect.Exchange(t.Context(), code)
		sub, _ := by.Sub("")
		if err != nil || sub != "qq:"+qqtest.AppID+":"+qqtest.OpenID("小明") || by.Nickname != "小明" || !provider.IsPicture(by.Picture) {
			t.Errorf("%s %+v %v", sub, by, err)
		}
		union, err := by.Sub(provider.SubjectUnionID)
		if s.NoUnion.Load() != errors.Is(err, provider.ErrIdentityIncomplete) || err == nil && union != "qq:unionid:"+qqtest.UnionID("小明") {
			t.Errorf("union subject %s %v", union, err)
		}
		if _, err := p.Redirect.Exchange(t.Context(), code); !errors.Is(err, provider.ErrCodeInvalid) {
			t.Errorf("a used code: %v", err)
		}
		s.Old.Store(s.Old.Load() != s.NoUnion.Load()) // all four combinations
		s.NoUnion.Store(!s.NoUnion.Load())
	}
}

func TestQQ_Errors(t *testing.T) {
	t.Parallel()
	s, p, _ := open(t, qqtest.Key)
	cases := map[string]providertest.FaultCase{}
	fault := func(path string, f providertest.Fault, want error) {
		cases[fmt.Sprintf("%s %+v", path, f)] = providertest.FaultCase{Path: path, Fault: f, Want: want}
	}
	for _, path := range []string{qqtest.TokenPath, qqtest.MePath} {
		fault(path, providertest.Fault{Hang: true}, provider.ErrProviderUnavailable)
		fault(path, providertest.Fault{Lose: true}, provider.ErrProviderUnavailable)
		fault(path, providertest.Fault{Status: 502}, provider.ErrProviderUnavailable)
	}
	for code, want := range map[int]error{100019: provider.ErrCodeInvalid, 100020: provider.ErrCodeInvalid, 100009: provider.ErrProviderMisconfigured,
		100010: provider.ErrProviderMisconfigured, 100016: provider.ErrProviderUnavailable, 1: provider.ErrProviderUnavailable} {
		for _, form := range []string{`callback( {"error":%d,"error_description":"client_secret=%s"} );`, `{"error":"%d","error_description":"%s"}`, `error=%d&error_description=%s`} {
			fault(qqtest.TokenPath, providertest.Fault{Body: fmt.Sprintf(form, code, qqtest.Key)}, want)
		}
	}
	fault(qqtest.MePath, providertest.Fault{Body: `{"openid":"` + qqtest.OpenID("another") + `"}`}, provider.ErrProviderUnavailable)
	fault(qqtest.UserPath, providertest.Fault{Body: `{"ret":-1,"msg":"busy"}`}, nil) // only the names are missing
	fault(qqtest.UserPath, providertest.Fault{Lose: true}, nil)
	providertest.CheckFaults(t, p.Redirect, "code", &s.Traffic, qqtest.TokenPath, []string{qqtest.Key}, cases)
}

func TestQQ_InAgent(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]bool{
		"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36 V1_AND_SQ_9.1.0_0 QQ/9.1.0.22000 NetType/WIFI": true,
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 QQ/9.1.0.600 V1_IPH_SQ_9.1.0":             true,
		"Mozilla/5.0 (Linux; U; Android 15) AppleWebKit/537.36 Chrome/140.0 MQQBrowser/15.0 Mobile Safari/537.36":                            false,
		"Mozilla/5.0 (Linux; Android 15) Chrome/140.0 MQQBrowser/6.2 TBS/046 Mobile Safari/537.36 MicroMessenger/8.0.50 QQ/9.1":              false,
	} {
		if qq.Kind().InAgent(agent) != want {
			t.Errorf("%s: wanted %v", agent, want)
		}
	}
}

func TestQQ_Check(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]provider.Severity{qqtest.Key: provider.OK, "another-key": provider.Fail} {
		_, _, c := open(t, key)
		found := c.Check(t.Context(), provider.Env{ID: "it", PublicURL: "https://login.example.com"})
		if len(found) != 1 || found[0].Severity != want || strings.Contains(fmt.Sprint(found, c), key) {
			t.Errorf("%v", found)
		}
	}
}
