package apitest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/hubtest"
)

func TestCreate_Answer(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	a := s.ask(t, "POST", ticketsPath, map[string]any{"client_id": "demo", "nonce": "n"})
	m := a.ok(t, http.StatusCreated)
	fields(t, m, "ticket", "secret", "state", "seq", "expires_in", "qr_url", "qr_image", "scan_with")
	id, _ := m["ticket"].(string)
	secret, _ := m["secret"].(string)
	s.forbidInLogs(secret)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(secret)
	if err != nil || len(secret) != 43 || len(raw) != 32 {
		t.Fatalf("the secret is not 256 bits of base64url: %d characters, %v", len(secret), err)
	}
	sum := sha256.Sum256(raw)
	if want := base64.RawURLEncoding.EncodeToString(sum[:16]); id != want || len(id) != 22 {
		t.Errorf("ticket %q is not the secret's hash %q", id, want)
	}
	want := map[string]any{"state": "pending", "seq": 1.0, "expires_in": 120.0,
		"qr_url": public + "/s/" + id, "qr_image": ticketsPath + "/" + id + "/qr.svg"}
	for k, v := range want {
		if m[k] != v {
			t.Errorf("%s is %v, want %v", k, m[k], v)
		}
	}
	if strings.Contains(m["qr_url"].(string)+m["qr_image"].(string), secret) {
		t.Error("the QR code carries the secret")
	}
	if a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a request without Origin is answered with one")
	}
}

func TestCreate_MatchCode(t *testing.T) {
	t.Parallel()
	matching := demo()
	matching.ID, matching.NumberMatching = "careful", true
	s := start(t, options{clients: []*client.Client{demo(), matching}})
	m := s.createTicket(t, map[string]string{"client_id": "careful"}).created
	fields(t, m, "ticket", "secret", "state", "seq", "expires_in", "qr_url", "qr_image", "match_code", "scan_with")
	if code, _ := m["match_code"].(string); len(code) != 2 || strings.Trim(code, "0123456789") != "" {
		t.Errorf("match_code %v is not two digits", m["match_code"])
	}
	if p := s.createTicket(t, map[string]string{"client_id": "demo"}); p.created["match_code"] != nil {
		t.Error("match_code although matching is off")
	}
}

func TestCreate_QRURL(t *testing.T) {
	t.Parallel()
	s := start(t, options{api: qrTemplate("https://m.example.com/go?t={ticket}")})
	p := s.createTicket(t, nil)
	for _, field := range []string{"qr_url", "launch_url"} { // on the phone itself the link opens the app
		if p.created[field] != "https://m.example.com/go?t="+p.id {
			t.Errorf("%s %v", field, p.created[field])
		}
	}
}

func TestCreate_ExpiresInRoundedUp(t *testing.T) {
	t.Parallel()
	s := start(t, options{hub: func(c *hub.Config) { c.TicketTTL = 90*time.Second + time.Millisecond }})
	if p := s.createTicket(t, nil); p.created["expires_in"] != 91.0 {
		t.Errorf("90.001 s are %v", p.created["expires_in"])
	}
}

func TestCreate_ClientRequired(t *testing.T) {
	t.Parallel()
	other := demo()
	other.ID = "other"
	s := start(t, options{clients: []*client.Client{demo(), other}})
	for body, detail := range map[string]string{
		`{}`:                                  "client_id",
		``:                                    "client_id",
		`{"client_id":"nobody"}`:              "client_id",
		`{"client_id":""}`:                    "client_id", // present, but no client's id
		`{"client_id":"Demo"}`:                "client_id",
		`{"client_id":7}`:                     "client_id",
		`{"client_id":["demo"]}`:              "client_id",
		`{"client_id":"demo","nonce":7}`:      "nonce",
		`{"client_id":"demo","nonce":{}}`:     "nonce",
		`{"client_id":"demo","nonce":["n"]}`:  "nonce",
		`{"client_id":"demo","nonce":true}`:   "nonce",
		`{"client_id":"nobody","nonce":"ok"}`: "client_id",
	} {
		got := s.ask(t, "POST", ticketsPath, body).problem(t, 400, "invalid_request")
		if !strings.Contains(got, detail) {
			t.Errorf("%s: detail %q does not name %s", body, got, detail)
		}
	}
	for _, id := range []string{"demo", "other"} {
		s.createTicket(t, map[string]string{"client_id": id})
	}
}

// TestCreate_PageKey: package hub/ticket tests every malformed key.
func TestCreate_PageKey(t *testing.T) {
	t.Parallel()
	strict, coded := demo(), demo()
	strict.ID, strict.TokenEncryption = "strict", client.EncryptionRequire
	coded.ID, coded.Delivery = "coded", client.DeliveryCode
	s := start(t, options{clients: []*client.Client{demo(), strict, coded}})
	key, err := hubtest.NewPageKey()
	must(t, err)
	good := key.JWK()
	for _, c := range []struct {
		client string
		jwk    any
		detail string
	}{
		{"demo", "EC", "jwk: string is the wrong type"}, {"demo", []int{1}, "jwk: array is the wrong type"}, {"demo", map[string]any{}, "jwk: kty"},
		{"demo", map[string]any{"kty": "EC", "d": ""}, "a private key must never be sent"}, {"coded", map[string]any{"kty": "oct"}, "jwk: kty"},
		{"strict", nil, "jwk: required, because the client has token_encryption: require"},
		{"strict", good, ""}, {"demo", nil, ""}, {"demo", good, ""}, {"coded", good, ""},
	} {
		a := s.ask(t, "POST", ticketsPath, map[string]any{"client_id": c.client, "jwk": c.jwk})
		if c.detail == "" {
			a.ok(t, http.StatusCreated)
		} else if got := a.problem(t, 400, "invalid_request"); !strings.Contains(got, c.detail) {
			t.Errorf("%s %v: detail %q, want %q", c.client, c.jwk, got, c.detail)
		}
	}
	_, v := s.phone("Ann").login(t, map[string]any{"client_id": "strict", "jwk": good})
	token, err := key.Decrypt(v["token"].(string))
	if must(t, err); v["token_type"] != "JWE" || verifyToken(t, s, token)["aud"] != "strict" {
		t.Errorf("view %v", v)
	}
	if _, v := s.phone("Ann").login(t, map[string]any{"client_id": "coded", "jwk": good}); v["code"] == nil || v["token"] != nil {
		t.Errorf("with delivery code the view is %v", v)
	}
}

func TestCreate_NonceLength(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for nonce, fits := range map[string]bool{
		"":                                   true,
		strings.Repeat("n", 128):             true,
		strings.Repeat("n", 129):             false,
		strings.Repeat("国", 128):             true, // 384 bytes
		strings.Repeat("国", 129):             false,
		strings.Repeat("😀", 128):             true, // 256 units of UTF-16
		"\u0000\u0007\"\\<>&\u2028\u202e ok": true, // any text is allowed
	} {
		a := s.ask(t, "POST", ticketsPath, map[string]string{"nonce": nonce})
		if fits {
			a.ok(t, http.StatusCreated)
		} else if detail := a.problem(t, 400, "invalid_request"); !strings.Contains(detail, "nonce") {
			t.Errorf("detail %q does not name the nonce", detail)
		}
	}
}
