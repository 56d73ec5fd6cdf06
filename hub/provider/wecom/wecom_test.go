package wecom_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"loginhub/hub/provider"
	"loginhub/hub/provider/httpcall"
	"loginhub/hub/provider/providertest"
	"loginhub/hub/provider/wecom"
	"loginhub/hub/provider/wecom/wecomtest"
)

func open(t *testing.T, secret string) (*wecomtest.Server, *provider.Provider, provider.Config) {
	s := wecomtest.New(providertest.Options{Host: providertest.Host})
	p, c := providertest.Open(t, wecom.Kind(), s, map[string]string{"corp_id": wecomtest.CorpID, "agent_id": wecomtest.AgentID, "secret": secret,
		"api_url": "URL", "authorize_url": "URL"})
	return s, p, c
}

func TestWeCom_Users(t *testing.T) {
	t.Parallel()
	s, p, _ := open(t, wecomtest.Secret)
	for what, r := range map[string]provider.Redirector{"page": p.Redirect, "in the app": p.InApp} {
		code := providertest.Visit(t, r, "code", "li")
		by, err := r.Exchange(t.Context(), code)
		if sub, _ := by.Sub(""); err != nil || sub != "wecom:"+wecomtest.CorpID+":li" {
			t.Errorf("%s: %s %v", what, sub, err)
		}
		if _, err := r.Exchange(t.Context(), code); !errors.Is(err, provider.ErrCodeInvalid) {
			t.Errorf("%s, a used code: %v", what, err)
		}
		if _, err := r.Exchange(t.Context(), providertest.Visit(t, r, "code", "guest1")); !errors.Is(err, provider.ErrUserBlocked) {
			t.Errorf("%s, no member: %v", what, err)
		}
	}
	if n := s.Calls(wecomtest.TokenPath); n != 1 {
		t.Errorf("%d access tokens for 6 exchanges", n)
	}
	s.Revoke()
	code := providertest.Visit(t, p.Redirect, "code", "li")
	if _, err := p.Redirect.Exchange(t.Context(), code); !errors.Is(err, httpcall.ErrStale) || !errors.Is(err, provider.ErrProviderUnavailable) {
		t.Errorf("a revoked token: %v", err)
	}
	if _, err := p.Redirect.Exchange(t.Context(), providertest.Visit(t, p.Redirect, "code", "li")); err != nil {
		t.Errorf("the next login: %v", err)
	}
}

func TestWeCom_Suite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		corpID, ticket string
		want           error
	}{
		{"", wecomtest.SuiteTicket, nil},
		{wecomtest.CorpID, wecomtest.SuiteTicket, nil},
		{"ww-another", wecomtest.SuiteTicket, provider.ErrUserBlocked},
		{"", "old-suite-ticket", provider.ErrProviderMisconfigured},
	} {
		s := wecomtest.New(providertest.Options{Host: providertest.Host})
		p, _ := providertest.Open(t, wecom.Kind(), s, map[string]string{"suite_id": wecomtest.SuiteID, "suite_secret_file": wecomtest.SuiteSecret,
			"suite_ticket_file": c.ticket, "corp_id": c.corpID, "api_url": "URL", "authorize_url": "URL"})
		for _, r := range []provider.Redirector{p.Redirect, p.InApp} {
			by, err := r.Exchange(t.Context(), providertest.Visit(t, r, "code", "li"))
			if sub, _ := by.Sub(""); !errors.Is(err, c.want) || err == nil && sub != "wecom:"+wecomtest.CorpID+":li" {
				t.Errorf("%+v: %s %v", c, sub, err)
			}
		}
		if _, err := p.Redirect.Exchange(t.Context(), providertest.Visit(t, p.Redirect, "code", "guest1")); err == nil {
			t.Error("no member is logged in")
		}
	}
}

func TestWeCom_Errors(t *testing.T) {
	t.Parallel()
	s, p, _ := open(t, wecomtest.Secret)
	cases := map[string]providertest.FaultCase{
		"hangs":      {Path: wecomtest.UserPath, Fault: providertest.Fault{Hang: true}, Want: provider.ErrProviderUnavailable},
		"lost":       {Path: wecomtest.UserPath, Fault: providertest.Fault{Lose: true}, Want: provider.ErrProviderUnavailable},
		"proxy":      {Path: wecomtest.UserPath, Fault: providertest.Fault{Status: 502}, Want: provider.ErrProviderUnavailable},
		"no id":      {Path: wecomtest.UserPath, Fault: providertest.Fault{Body: `{"errcode":0,"errmsg":"ok"}`}, Want: provider.ErrProviderUnavailable},
		"older name": {Path: wecomtest.UserPath, Fault: providertest.Fault{Body: `{"errcode":"0","errmsg":"ok","UserId":"li","DeviceId":""}`}},
	}
	for code, want := range map[int]error{-1: provider.ErrProviderUnavailable, 40029: provider.ErrCodeInvalid, 40014: httpcall.ErrStale, 42001: httpcall.ErrStale,
		45009: provider.ErrProviderUnavailable, 45033: provider.ErrProviderUnavailable, 50002: provider.ErrUserBlocked, 40056: provider.ErrProviderMisconfigured,
		60020: provider.ErrProviderMisconfigured, 48002: provider.ErrProviderMisconfigured, 99999: provider.ErrProviderUnavailable} {
		cases[fmt.Sprint(code)] = providertest.FaultCase{Path: wecomtest.UserPath, Want: want,
			Fault: providertest.Fault{Body: fmt.Sprintf(`{"errcode":%d,"errmsg":"no, corpsecret=%s"}`, code, wecomtest.Secret)}}
	}
	providertest.CheckFaults(t, p.Redirect, "code", &s.Traffic, wecomtest.UserPath, []string{wecomtest.Secret}, cases)
}

func TestWeCom_Check(t *testing.T) {
	t.Parallel()
	for secret, want := range map[string]provider.Severity{wecomtest.Secret: provider.OK, "another-secret": provider.Fail} {
		_, _, c := open(t, secret)
		found := c.Check(t.Context(), provider.Env{ID: "it", PublicURL: "https://login.example.com"})
		if len(found) != 1 || found[0].Severity != want || strings.Contains(fmt.Sprint(found, c), secret) {
			t.Errorf("%v", found)
		}
	}
}
