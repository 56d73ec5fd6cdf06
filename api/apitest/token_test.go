package apitest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"loginhub/hub/client"
	"loginhub/hub/hubtest"
	"loginhub/hub/provider"
)

// verifyToken verifies a token with the published keys and returns its claims.
func verifyToken(t *testing.T, s *testServer, token any) (claims map[string]any) {
	t.Helper()
	_, claims, err := hubtest.VerifyToken(s.ask(t, "GET", "/.well-known/jwks.json", nil).body, fmt.Sprint(token))
	must(t, err)
	return claims
}

// login creates a ticket, confirms it in one step and returns the confirmed view.
func (f *phone) login(t *testing.T, body any, more ...any) (*browser, map[string]any) {
	t.Helper()
	p := f.s.createTicket(t, body)
	f.mustDo(t, p, "confirm", more...)
	return p, p.requireState(t, "confirmed", 2)
}

func TestToken_SandboxClaims(t *testing.T) {
	runSynctest(t, options{}, func(t *testing.T, s *testServer) {
		p := s.createTicket(t, map[string]string{"nonce": "n-<&>\u2028国"})
		advance(10 * time.Second)
		user := map[string]any{"nickname": "安 <b>", "avatar_url": "https://example.com/a?x=1&y=2"}
		s.phone("Ann Lee").mustDo(t, p, "scan", "user", user)
		advance(10*time.Second + 300*time.Millisecond)
		confirmed := float64(time.Now().Unix())
		s.phone("Ann Lee").mustDo(t, p, "confirm")
		advance(20 * time.Second)
		claims := verifyToken(t, s, p.requireState(t, "confirmed", 3)["token"])
		fields(t, claims, "iss", "aud", "sub", "iat", "auth_time", "exp", "jti", "nonce", "amr", "claimed")
		for name, want := range map[string]any{
			"iss": public, "aud": "demo", "sub": "sandbox:Ann Lee", "nonce": "n-<&>\u2028国", "amr": []any{"sandbox"},
			"iat": confirmed, "auth_time": confirmed, "exp": confirmed + 300, "claimed": user,
		} {
			if !equal(claims[name], want) {
				t.Errorf("%s is %v, want %v", name, claims[name], want)
			}
		}
		if jti, _ := claims["jti"].(string); !strings.Contains(jti, p.id) {
			t.Errorf("jti %v is not from the ticket %s", claims["jti"], p.id)
		}
	})
}

func TestToken_Subject(t *testing.T) {
	t.Parallel()
	union := demo()
	union.Subject = provider.SubjectUnionID
	s := start(t, options{clients: []*client.Client{union}, providers: map[string]provider.Exchanger{"wechat": &fakeProvider{users: map[string]provider.Identity{
		"full": {Provider: "wechat", Realm: "wx01", Subject: "oABC-_9", Union: "uXYZ"},
		"bare": {Provider: "wechat", Realm: "wx01", Subject: "oDEF"},
	}}}})
	_, v := (&phone{s, "wechat", "full"}).login(t, nil)
	if claims := verifyToken(t, s, v["token"]); claims["sub"] != "wechat:unionid:uXYZ" {
		t.Errorf("sub is %v", claims["sub"])
	}
	p, bare := s.createTicket(t, nil), &phone{s, "wechat", "bare"}
	bare.do(t, p, "scan").problem(t, 403, "identity_incomplete")
	bare.do(t, p, "confirm").problem(t, 403, "identity_incomplete")
	p.requireState(t, "pending", 1)
}

func TestToken_SameBytesUntilAck(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, map[string]string{"nonce": "n"})
	l := p.dial(t)
	l.expect(t, "pending", 1)
	s.phone("ann").mustDo(t, p, "confirm", "user", map[string]any{"nickname": "Ann"})
	token := l.expect(t, "confirmed", 2)["token"]
	verifyToken(t, s, token)
	for range 3 {
		if got := p.requireState(t, "confirmed", 2)["token"]; got != token {
			t.Errorf("another token by poll: %v", got)
		}
		again := p.dial(t)
		if got := again.expect(t, "confirmed", 2)["token"]; got != token {
			t.Errorf("another token by socket: %v", got)
		}
		must(t, again.conn.CloseNow())
		s.phone("ann").mustDo(t, p, "confirm", "user", map[string]any{"nickname": "Other"}) // a repeated confirm changes nothing
	}
	p.ack(t, 2).noContent(t)
	fields(t, p.requireState(t, "consumed", 3), "ticket", "state", "seq")
	fields(t, p.poll(t, "after=1&wait=9").ok(t, 200), "ticket", "state", "seq")
	fields(t, l.expect(t, "consumed", 3), "ticket", "state", "seq")
	l = p.dial(t)
	fields(t, l.expect(t, "consumed", 3), "ticket", "state", "seq")
	l.requireClose(t, 1000)
	s.phone("ann").mustDo(t, p, "confirm")
	fields(t, p.requireState(t, "consumed", 3), "ticket", "state", "seq")
}

// redeemCode exchanges a code of the client as its site does.
func (s *testServer) redeemCode(t *testing.T, client string, code any) *answer {
	t.Helper()
	return s.ask(t, "POST", exchangePath, map[string]any{"code": code}, basic(client, rpSecret)...)
}

// TestToken_AfterExpiry: the site can exchange the code a minute longer than the hub's page can remember.
func TestToken_AfterExpiry(t *testing.T) {
	site := demo()
	site.AutoMatching, site.Delivery, site.Secret = true, client.DeliveryCode, hashOf(rpSecret)
	runSynctest(t, options{clients: []*client.Client{site}}, func(t *testing.T, s *testServer) {
		var pages [2]*browser
		var codes [2]any
		for i := range pages {
			p := s.createTicket(t, nil)
			s.phone("ann").mustDo(t, p, "scan")
			s.phone("ann").mustDo(t, p, "confirm", "match", p.view(t)["match_code"])
			pages[i], codes[i] = p, p.view(t)["code"]
		}
		remember := func() *answer {
			return s.ask(t, "POST", pages[0].path("remember"), nil, append(pages[0].bearer(), "Origin", public)...)
		}
		s.ask(t, "POST", exchangePath, map[string]any{"code": codes[0]}, basic("demo", "x")...).problem(t, 401, "invalid_secret")
		advance(time.Minute + time.Millisecond)
		remember().problem(t, 410, "ticket_expired")
		verifyToken(t, s, s.redeemCode(t, "demo", codes[0]).ok(t, 200)["token"])
		advance(time.Minute)
		s.redeemCode(t, "demo", codes[1]).problem(t, 410, "ticket_expired")
		advance(2 * time.Minute)
		remember().problem(t, 404, "ticket_not_found")
		s.redeemCode(t, "demo", codes[1]).problem(t, 404, "ticket_not_found")
	})
}
