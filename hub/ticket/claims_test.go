package ticket_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/provider"
	"loginhub/hub/ticket"
)

// at12 is noon as a NumericDate (RFC 7519, section 2).
const at12 = 1772366400

// claimsOf confirms at noon and returns the claims.
func claimsOf(t *testing.T, c ticket.Confirmation, v ticket.Ticket) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(must(t)(v.Confirm(c)).Claims, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestClaims_Exact(t *testing.T) {
	v := newTicket(t, demo)
	in := confirmation(alice, demo)
	in.User = ticket.User{Nickname: "小明", AvatarURL: "https://example.com/a"}
	want := map[string]any{
		"iss": "https://login.example.com", "aud": "demo", "sub": "wechat:wx1:alice",
		"iat": float64(at12), "auth_time": float64(at12), "exp": float64(at12 + 300),
		"jti": string(v.ID), "nonce": "n-0S6_WzA2Mj", "amr": []any{"wechat"},
		"appid": "wx1", "openid": "alice", "unionid": "union-alice",
		"claimed": map[string]any{"nickname": "小明", "avatar_url": "https://example.com/a"},
	}
	if got := claimsOf(t, in, v); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// TestClaims_Expiry: exp is found after a subject that looks like it.
func TestClaims_Expiry(t *testing.T) {
	in := confirmation(alice, demo)
	in.Subject = `","exp":1,"exp":"\\`
	if got, err := must(t)(newTicket(t, demo).Confirm(in)).TokenExpiry(); err != nil || got.Unix() != at12+300 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := newTicket(t, demo).TokenExpiry(); err == nil {
		t.Errorf("%v without claims", got)
	}
}

// TestClaims_PhoneNumber: only a client that asks gets a number, and one that requires it gets no login without.
func TestClaims_PhoneNumber(t *testing.T) {
	const number = "+8613800138000"
	for setting, want := range map[string]any{"": nil, client.PhoneAsk: number, client.PhoneRequire: number} {
		site := *demo
		site.PhoneNumber = setting
		known := confirmation(alice, &site)
		known.PhoneNumber = number
		got := claimsOf(t, known, newTicket(t, &site))
		if got["phone_number"] != want || (got["phone_number_verified"] == true) != (want != nil) {
			t.Errorf("%q: %v", setting, got)
		}
		if _, err := newTicket(t, &site).Confirm(confirmation(alice, &site)); errors.Is(err, provider.ErrIdentityIncomplete) != (setting == client.PhoneRequire) {
			t.Errorf("%q without a number: %v", setting, err)
		}
	}
}

func TestClaims_UnknownAbsent(t *testing.T) {
	v := newTicket(t, demo)
	v.Nonce = ""
	want := map[string]any{
		"iss": "https://login.example.com", "aud": "demo", "sub": "sandbox:alice", "jti": string(v.ID),
		"iat": float64(at12), "auth_time": float64(at12), "exp": float64(at12 + 300), "amr": []any{"sandbox"},
	}
	if got := claimsOf(t, confirmation(carol, demo), v); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestClaims_VouchedAndClaimedName(t *testing.T) {
	vouched := alice
	vouched.Provider, vouched.Nickname, vouched.Picture = "wechat_web", "Alice", "https://example.com/alice"
	in := confirmation(vouched, demo)
	in.User = ticket.User{Nickname: "the boss"}
	got := claimsOf(t, in, newTicket(t, demo))
	if got["nickname"] != "Alice" || got["picture"] != "https://example.com/alice" ||
		!reflect.DeepEqual(got["claimed"], map[string]any{"nickname": "the boss"}) {
		t.Errorf("got %v", got)
	}
}

func TestClaims_ConfirmUserReplacesScan(t *testing.T) {
	scanned := must(t)(newTicket(t, demo).Scan(alice, ticket.User{Nickname: "小明"}, noon, confirmTTL))
	in := confirmation(alice, demo)
	if got := claimsOf(t, in, scanned)["claimed"]; !reflect.DeepEqual(got, map[string]any{"nickname": "小明"}) {
		t.Errorf("a confirm without a user claims %v", got)
	}
	in.User = ticket.User{Nickname: "小红"}
	if got := claimsOf(t, in, scanned)["claimed"]; !reflect.DeepEqual(got, map[string]any{"nickname": "小红"}) {
		t.Errorf("a confirm with a user claims %v", got)
	}
}

func TestClaims_ClientTTL(t *testing.T) {
	c := &client.Client{ID: "demo", TokenTTL: 10 * time.Minute}
	if got := claimsOf(t, confirmation(alice, c), newTicket(t, c))["exp"]; got != float64(at12+600) {
		t.Errorf("expires %v", got)
	}
}

func TestClaims_UnionIDMissing(t *testing.T) {
	c := &client.Client{ID: "demo", Subject: provider.SubjectUnionID}
	poor := alice
	poor.Union = ""
	for _, v := range []ticket.Ticket{newTicket(t, c), must(t)(newTicket(t, c).Scan(poor, ticket.User{}, noon, confirmTTL))} {
		next, err := v.Confirm(confirmation(poor, c))
		if !errors.Is(err, provider.ErrIdentityIncomplete) || !reflect.DeepEqual(next, v) {
			t.Errorf("%s: %v and %+v", v.State, err, next)
		}
	}
	if got := claimsOf(t, confirmation(alice, c), newTicket(t, c))["sub"]; got != "wechat:unionid:union-alice" {
		t.Errorf("with a unionid the subject is %v", got)
	}
}

func TestClaims_Deterministic(t *testing.T) {
	v := newTicket(t, demo)
	in := confirmation(alice, demo)
	in.User = ticket.User{Nickname: `<b>&"\` + "\u2028", AvatarURL: "https://example.com/?a&b=<"}
	one, other := must(t)(v.Confirm(in)), must(t)(v.Confirm(in))
	if string(one.Claims) != string(other.Claims) {
		t.Errorf("%s\n%s", one.Claims, other.Claims)
	}
	// The opened record contains the same claims, byte by byte: they are what gets
	// signed.
	ring := newRing(t)
	opened, err := ring.Open(one.ID, seal(t, ring, one))
	if err != nil || string(opened.Claims) != string(one.Claims) {
		t.Errorf("%v\n%s\n%s", err, opened.Claims, one.Claims)
	}
}
