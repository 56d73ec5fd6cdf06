package apitest_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"loginhub/api/gate"
	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// verifyToken verifies a token as a site's back end does, with only the published keys
// and the standards (RFC 7515, RFC 8037). It returns header and claims.
func verifyToken(t *testing.T, s *testServer, token any) (header, claims map[string]any) {
	t.Helper()
	text, _ := token.(string)
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		t.Fatalf("a token of %d parts: %v", len(parts), token)
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		raw[i], err = base64.RawURLEncoding.Strict().DecodeString(part)
		must(t, err)
	}
	header = object(t, raw[0])
	keys := s.ask(t, "GET", "/.well-known/jwks.json", nil).ok(t, http.StatusOK)["keys"].([]any)
	for _, k := range keys {
		key := k.(map[string]any)
		if key["kid"] != header["kid"] {
			continue
		}
		x, err := base64.RawURLEncoding.DecodeString(key["x"].(string))
		must(t, err)
		if !ed25519.Verify(x, []byte(parts[0]+"."+parts[1]), raw[2]) {
			t.Error("the signature is invalid")
		}
		return header, object(t, raw[1])
	}
	t.Fatalf("no key for %v in %v", header, keys)
	return nil, nil
}

// login creates a ticket, confirms it in one step and returns the confirmed view.
func (f *phone) login(t *testing.T, body any, more ...any) (*browser, map[string]any) {
	t.Helper()
	p := f.s.createTicket(t, body)
	f.mustDo(t, p, "confirm", more...)
	return p, p.requireState(t, "confirmed", 2)
}

func TestJWKS_PublicOnly(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	a := s.ask(t, "GET", "/.well-known/jwks.json", nil)
	keys, _ := a.ok(t, http.StatusOK)["keys"].([]any)
	if len(keys) != 2 { // the older one too: sites may still verify its tokens
		t.Fatalf("%d keys", len(keys))
	}
	seen := map[any]bool{}
	for _, k := range keys {
		key := k.(map[string]any)
		fields(t, key, "kty", "crv", "x", "kid", "use", "alg")
		if key["kty"] != "OKP" || key["crv"] != "Ed25519" || key["use"] != "sig" || key["alg"] != "EdDSA" || seen[key["kid"]] {
			t.Errorf("key %v", key)
		}
		seen[key["kid"]] = true
	}
	if got := a.header.Get("Cache-Control"); !strings.Contains(got, "max-age=300") {
		t.Errorf("Cache-Control %q", got)
	}
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
		header, claims := verifyToken(t, s, p.requireState(t, "confirmed", 3)["token"])
		fields(t, header, "alg", "typ", "kid")
		if header["alg"] != "EdDSA" || header["typ"] != "login+jwt" {
			t.Errorf("header %v", header)
		}
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

func TestToken_AbsentClaims(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	_, v := s.phone("ann").login(t, nil)
	_, claims := verifyToken(t, s, v["token"])
	fields(t, claims, "iss", "aud", "sub", "iat", "auth_time", "exp", "jti", "amr")
}

// identities are users as a real provider returns them.
var identities = map[string]ticket.Identity{
	"full":  {Provider: "wechat", Realm: "wx01", Subject: "oABC-_9", Union: "uXYZ"},
	"bare":  {Provider: "wechat", Realm: "wx01", Subject: "oDEF"},
	"web":   {Provider: "wechat_web", Realm: "wx02", Subject: "oWEB", Union: "uXYZ", Nickname: "小明", Picture: "https://thirdwx.qlogo.cn/a"},
	"own":   {Provider: "app", Subject: "employee-7", Nickname: "Ming"},
	"long":  {Provider: "app", Subject: strings.Repeat("x", 251)},
	"long+": {Provider: "app", Subject: strings.Repeat("x", 252)},
	"empty": {Provider: "app"},
}

func withPeople(clients ...*client.Client) options {
	o := &fakeProvider{users: identities}
	return options{clients: clients, providers: map[string]gate.Provider{"wechat": o, "wechat_web": o, "app": o}}
}

func TestToken_Subject(t *testing.T) {
	t.Parallel()
	open, union := demo(), demo()
	open.ID, open.Subject = "open", ticket.SubjectOpenID
	union.ID, union.Subject = "union", ticket.SubjectUnionID
	s := start(t, withPeople(open, union, &client.Client{ID: "default"}))
	for _, c := range []struct{ client, name, provider, sub string }{
		{"open", "full", "wechat", "wechat:wx01:oABC-_9"},
		{"default", "full", "wechat", "wechat:wx01:oABC-_9"},
		{"union", "full", "wechat", "wechat:unionid:uXYZ"},
		{"open", "bare", "wechat", "wechat:wx01:oDEF"},
		{"union", "bare", "wechat", ""},
		{"open", "web", "wechat_web", "wechat:wx02:oWEB"},
		{"union", "web", "wechat_web", "wechat:unionid:uXYZ"}, // the same account through both providers
		{"open", "own", "app", "app:employee-7"},
		{"union", "own", "app", "app:employee-7"},
		{"open", "long", "app", "app:" + strings.Repeat("x", 251)}, // 255 bytes
		{"open", "long+", "app", ""},
		{"open", "empty", "app", ""},
	} {
		t.Run(c.client+" "+c.name, func(t *testing.T) {
			f := &phone{s, c.provider, c.name}
			if c.sub == "" {
				p := s.createTicket(t, map[string]string{"client_id": c.client})
				f.do(t, p, "scan").problem(t, 403, "identity_incomplete")
				f.do(t, p, "confirm").problem(t, 403, "identity_incomplete")
				p.requireState(t, "pending", 1)
				return
			}
			_, v := f.login(t, map[string]string{"client_id": c.client})
			_, claims := verifyToken(t, s, v["token"])
			id := identities[c.name]
			want := map[string]any{"iss": public, "aud": c.client, "sub": c.sub, "amr": []any{c.provider}}
			names := []string{"iss", "aud", "sub", "iat", "auth_time", "exp", "jti", "amr"}
			for name, value := range map[string]string{"appid": id.Realm, "unionid": id.Union, "nickname": id.Nickname, "picture": id.Picture} {
				if value != "" {
					want[name], names = value, append(names, name)
				}
			}
			if id.Realm != "" {
				want["openid"], names = id.Subject, append(names, "openid")
			}
			fields(t, claims, names...)
			for name, value := range want {
				if !equal(claims[name], value) {
					t.Errorf("%s is %v, want %v", name, claims[name], value)
				}
			}
		})
	}
}

func TestToken_VouchedName(t *testing.T) {
	t.Parallel()
	s := start(t, withPeople(demo()))
	claim := map[string]any{"nickname": "Der Kaiser", "avatar_url": "https://evil.example/x"}
	_, v := (&phone{s, "wechat_web", "web"}).login(t, nil, "user", claim)
	if !equal(v["user"], map[string]any{"nickname": "小明", "avatar_url": "https://thirdwx.qlogo.cn/a"}) {
		t.Errorf("the view has user %v", v["user"])
	}
	_, claims := verifyToken(t, s, v["token"])
	if claims["nickname"] != "小明" || claims["picture"] != "https://thirdwx.qlogo.cn/a" || !equal(claims["claimed"], claim) {
		t.Errorf("claims %v", claims)
	}
	// The phone's own claims never appear in place of the provider's.
	_, v = (&phone{s, "wechat", "bare"}).login(t, nil, "user", claim)
	_, claims = verifyToken(t, s, v["token"])
	if claims["nickname"] != nil || claims["picture"] != nil || !equal(claims["claimed"], claim) || !equal(v["user"], claim) {
		t.Errorf("claims %v", claims)
	}
}

func TestToken_ClientTTL(t *testing.T) {
	t.Parallel()
	site := demo()
	site.TokenTTL = time.Hour
	s := start(t, options{clients: []*client.Client{site}})
	_, v := s.phone("ann").login(t, nil)
	_, claims := verifyToken(t, s, v["token"])
	if claims["exp"].(float64)-claims["iat"].(float64) != 3600 {
		t.Errorf("from %v to %v", claims["iat"], claims["exp"])
	}
	requireRange(t, "token_expires_in", v["token_expires_in"], 3590, 3600)
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

func TestToken_UniquePerLogin(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	seen := map[string]bool{}
	for range 5 {
		_, v := s.phone("ann").login(t, nil)
		_, claims := verifyToken(t, s, v["token"])
		for _, text := range []string{fmt.Sprint(v["token"]), fmt.Sprint(claims["jti"])} {
			if seen[text] {
				t.Errorf("%s twice", text)
			}
			seen[text] = true
		}
	}
}
