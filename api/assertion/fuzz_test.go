package assertion_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/go-jose/go-jose/v4"

	"loginhub/api/assertion"
)

// still is a memory whose clock stands, so that a corpus stays as good as it was.
type still struct{ memory }

var instant = time.Unix(1_800_000_000, 0)

func (*still) Now() time.Time { return instant }

const plainHead = `{"alg":"EdDSA","kid":"1"}`

// says is a good assertion's payload, with other times and something else in it.
func says(iat, exp int64, change ...string) string {
	return strings.NewReplacer(change...).Replace(fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"u-1","jti":"j-1","ticket":%q,"iat":%d,"exp":%d,"name":"小明"}`,
		issuer, hub, ticket, instant.Unix()+iat, instant.Unix()+exp))
}

// FuzzVerify sends what a stranger may send, and what a company with the right
// key may sign by mistake or by malice. What is accepted must say what an
// assertion has to say, as another reader reads it.
func FuzzVerify(f *testing.F) {
	key := ed25519.NewKeyFromSeed([]byte("loginhub's fuzzed company's seed"))
	signedBy := func(key ed25519.PrivateKey, head, claims string) string {
		text := base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
		return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(text)))
	}
	stranger := ed25519.NewKeyFromSeed([]byte("loginhub's stranger, whoever he "))
	good := says(0, 60)
	for _, text := range []string{"eyJhbGciOiJFZERTQSJ9.e30.AA", "..", signedBy(stranger, plainHead, good)} {
		f.Add(text, plainHead, good)
	}
	for _, head := range []string{`{"alg":"EdDSA"}`, `{"alg":"EdDSA","kid":"2"}`, `{"alg":"none"}`, `{"alg":"HS256","kid":"1"}`, `{"alg":"ES256","kid":"1"}`,
		`{"alg":"EdDSA","kid":"1","crit":["b64"],"b64":false}`, `{"alg":"EdDSA","kid":"1","alg":"none"}`, `{"alg":"EdDSA","kid":"1","crit":["x"]}`, `[]`} {
		f.Add("", head, good)
	}
	for _, claims := range []string{
		says(0, 120), says(-30, 60), says(30, 60), says(-120, -29), // at the very edges
		says(0, 121), says(31, 60), says(-120, -30), says(10, 0), says(0, 0),
		says(0, 60, issuer, "https://evil.example.com"), says(0, 60, hub, "https://other.example.com"),
		says(0, 60, `"`+hub+`"`, `["https://other.example.com","`+hub+`"]`), says(0, 60, `"`+hub+`"`, `[]`),
		says(0, 60, ticket, "BBBBBBBBBBBBBBBBBBBBBA"), says(0, 60, "u-1", ""), says(0, 60, "u-1", "u\u202e1"), says(0, 60, "u-1", strings.Repeat("a", 201)),
		says(0, 60, "j-1", ""), says(0, 60, "j-1", strings.Repeat("a", 129)), says(0, 60, `,"name"`, `,"nbf":9999999999,"name"`),
		says(0, 60, `"exp":`, `"exp":1e10,"exp":`), says(0, 60, `"exp":`, `"Exp":`), says(0, 60, `"exp":`, `"exp":-9e99,"x":`), says(0, 60, `"exp":`, `"x":`),
		says(0, 60, `"iat":`, `"iat":null,"x":`), says(0, 60, `"iat":`, `"iat":9223372036854775807,"x":`), says(0, 60, `"ticket"`, `"Ticket":"x","ticket"`),
		`null`, `{}`, `[]`, ``, says(0, 60) + "{}", "\xff",
	} {
		f.Add("", plainHead, claims)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Use: "sig"}}})
	if err != nil {
		f.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) }))
	f.Cleanup(server.Close)
	m := &still{memory{used: map[string]bool{}}}
	v, err := assertion.New(assertion.Config{JWKSURL: server.URL, Issuer: issuer, Audience: hub, Once: m})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(v.Close)

	f.Fuzz(func(t *testing.T, text, head, claims string) {
		clear(m.used)
		if _, err := v.Verify(t.Context(), text, ticket); !errors.Is(err, assertion.ErrInvalid) {
			t.Errorf("%q, which nobody signed: %v", text, err)
		}
		text = signedBy(key, head, claims)
		c, err := v.Verify(t.Context(), text, ticket)
		if err != nil {
			if !errors.Is(err, assertion.ErrInvalid) || len(m.used) > 0 || head == plainHead && claims == good {
				t.Errorf("%s.%s: %v, %d names spent", head, claims, err, len(m.used))
			}
			return
		}
		if why := wrong(head, claims, c); why != "" {
			t.Errorf("accepted: %s: %s.%s: %+v", why, head, claims, c)
		}
		if _, err := v.Verify(t.Context(), text, ticket); !errors.Is(err, assertion.ErrInvalid) {
			t.Errorf("accepted twice: %s.%s: %v", head, claims, err)
		}
	})
}

// wrong is what must not be in an accepted assertion, by the text that was signed.
func wrong(head, claims string, c assertion.Claims) string {
	var h, m map[string]any
	if json.Unmarshal([]byte(head), &h) != nil || json.Unmarshal([]byte(claims), &m) != nil {
		return "no JSON objects"
	}
	aud, _ := m["aud"].([]any)
	jti, _ := m["jti"].(string)
	sub, _ := m["sub"].(string)
	iat, issued := m["iat"].(float64)
	exp, ends := m["exp"].(float64)
	nbf, _ := m["nbf"].(float64)
	now, kid := float64(instant.Unix()), h["kid"]
	switch {
	case h["alg"] != "EdDSA", kid != nil && kid != "" && kid != "1":
		return "alg or kid"
	case m["iss"] != issuer:
		return "iss"
	case m["aud"] != hub && !slices.Contains(aud, any(hub)):
		return "aud"
	case m["ticket"] != ticket || c.Ticket != ticket:
		return "ticket"
	case jti == "" || len(jti) > 128 || c.ID != jti:
		return "jti"
	case sub == "" || len(sub) > 200 || c.Subject != sub || strings.ContainsFunc(sub, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "sub"
	case !issued || !ends || iat >= now+31 || nbf >= now+31 || exp < now-29 || exp <= iat-1 || exp-iat >= 121: // they are cut to seconds
		return "times"
	case exp >= now+151:
		return "exp"
	}
	return ""
}
