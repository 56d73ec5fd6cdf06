package provider_test

import (
	"errors"
	"strings"
	"testing"

	"loginhub/hub/provider"
)

// TestIdentity_Sub checks the subject for each provider and each kind that a client may
// choose.
func TestIdentity_Sub(t *testing.T) {
	form := &provider.TokenForm{Prefix: "wechat", UnionPrefix: "wechat:unionid"}
	wechat := func(openid, unionid string) provider.Identity {
		return provider.Identity{Provider: "wechat", Realm: "wx1", Subject: openid, Union: unionid, Token: form}
	}
	own := func(subject string) provider.Identity {
		return provider.Identity{Provider: "own", Subject: subject, Token: &provider.TokenForm{Prefix: "app"}}
	}
	wecom := provider.Identity{Provider: "staff", Realm: "ww1", Subject: "li", Token: &provider.TokenForm{Prefix: "wecom"}}
	for _, c := range []struct {
		who  provider.Identity
		kind string
		want string // "" means an error
	}{
		{wechat("o1", "u1"), "", "wechat:wx1:o1"},
		{wechat("o1", "u1"), "openid", "wechat:wx1:o1"},
		{wechat("o1", "u1"), "unionid", "wechat:unionid:u1"},
		{wechat("o1", ""), "openid", "wechat:wx1:o1"},
		{wechat("o1", ""), "unionid", ""},
		{wechat("", "u1"), "openid", ""},
		{wechat("", "u1"), "unionid", "wechat:unionid:u1"},
		{own("42"), "openid", "app:42"},
		{own("42"), "unionid", "app:42"}, // a kind without union subjects
		{wecom, "unionid", "wecom:ww1:li"},
		{own(""), "", ""},
		{own(""), "unionid", ""},
		{provider.Identity{Provider: "app", Subject: "42"}, "", ""}, // of no kind
		{provider.Identity{}, "", ""},
		{own(strings.Repeat("x", 251)), "", "app:" + strings.Repeat("x", 251)}, // 255 bytes
		{own(strings.Repeat("x", 252)), "", ""},
		{own(strings.Repeat("明", 84)), "", ""}, // 256 bytes of 88 characters
		{wechat("o1", strings.Repeat("u", 240)), "unionid", "wechat:unionid:" + strings.Repeat("u", 240)},
		{wechat("o1", strings.Repeat("u", 241)), "unionid", ""},
	} {
		got, err := c.who.Sub(c.kind)
		if got != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, provider.ErrIdentityIncomplete) {
			t.Errorf("%+v as %q: %q, %v", c.who, c.kind, got, err)
		}
		if err != nil && c.who.Subject != "" && strings.Contains(err.Error(), c.who.Subject) {
			t.Errorf("the error names the user: %v", err)
		}
	}
}

func TestIdentity_Clean(t *testing.T) {
	for _, c := range []struct{ in, want provider.Identity }{
		{provider.Identity{Nickname: strings.Repeat("<", 4000)}, provider.Identity{Nickname: strings.Repeat("<", 64)}},
		{provider.Identity{Nickname: "\u202e Ann\n", Picture: "http://example.com/a"}, provider.Identity{Nickname: "Ann"}},
		{provider.Identity{Picture: "https://example.com/?" + strings.Repeat("&", 4000)}, provider.Identity{}},
	} {
		if got, err := c.in.Clean(); err != nil || got != c.want {
			t.Errorf("%+v became %+v, %v", c.in, got, err)
		}
	}
}
