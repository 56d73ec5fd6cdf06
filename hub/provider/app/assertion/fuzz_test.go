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

	"loginhub/hub/provider/app/assertion"
)

// fixedClockStore is a replay store with a fixed clock: the times in a stored corpus
// stay valid.
type fixedClockStore struct{ memReplayStore }

var fixedNow = time.Unix(1_800_000_000, 0)

func (*fixedClockStore) Now() time.Time { return fixedNow }

const plainHeader = `{"alg":"EdDSA","kid":"1"}`

// claimsJSON returns the payload of a valid assertion with these times, in seconds
// from fixedNow; change lists pairs of texts to replace.
func claimsJSON(iat, exp int64, change ...string) string {
	return strings.NewReplacer(change...).Replace(fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"u-1","jti":"j-1","ticket":%q,"iat":%d,"exp":%d,"name":"小明"}`,
		issuer, hub, ticket, fixedNow.Unix()+iat, fixedNow.Unix()+exp))
}

// FuzzVerify sends texts without a valid signature, and arbitrary heads and claims
// signed with the right key. invalidReason, which parses with another JSON reader,
// must agree with each that is accepted.
func FuzzVerify(f *testing.F) {
	key := ed25519.NewKeyFromSeed([]byte("loginhub's fuzzed company's seed"))
	signedBy := func(key ed25519.PrivateKey, head, claims string) string {
		text := base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
		return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(text)))
	}
	stranger := ed25519.NewKeyFromSeed([]byte("loginhub's key of another company"[:ed25519.SeedSize]))
	good := claimsJSON(0, 60)
	for _, text := range []string{"eyJhbGciOiJFZERTQSJ9.e30.AA", "..", signedBy(stranger, plainHeader, good)} {
		f.Add(text, plainHeader, good)
	}
	for _, head := range []string{`{"alg":"EdDSA"}`, `{"alg":"EdDSA","kid":"2"}`, `{"alg":"none"}`, `{"alg":"HS256","kid":"1"}`, `{"alg":"ES256","kid":"1"}`,
		`{"alg":"EdDSA","kid":"1","crit":["b64"],"b64":false}`, `{"alg":"EdDSA","kid":"1","alg":"none"}`, `{"alg":"EdDSA","kid":"1","crit":["x"]}`, `[]`} {
		f.Add("", head, good)
	}
	for _, claims := range []string{
		claimsJSON(0, 120), claimsJSON(-30, 60), claimsJSON(30, 60), claimsJSON(-120, -29), // the extreme valid times
		claimsJSON(0, 121), claimsJSON(31, 60), claimsJSON(-120, -30), claimsJSON(10, 0), claimsJSON(0, 0),
		claimsJSON(0, 60, issuer, "https://evil.example.com"), claimsJSON(0, 60, hub, "https://other.example.com"),
		claimsJSON(0, 60, `"`+hub+`"`, `["https://other.example.com","`+hub+`"]`), claimsJSON(0, 60, `"`+hub+`"`, `[]`),
		claimsJSON(0, 60, ticket, "BBBBBBBBBBBBBBBBBBBBBA"), claimsJSON(0, 60, "u-1", ""), claimsJSON(0, 60, "u-1", "u\u202e1"), claimsJSON(0, 60, "u-1", strings.Repeat("a", 201)),
		claimsJSON(0, 60, "j-1", ""), claimsJSON(0, 60, "j-1", strings.Repeat("a", 129)), claimsJSON(0, 60, `,"name"`, `,"nbf":9999999999,"name"`),
		claimsJSON(0, 60, `"exp":`, `"exp":1e10,"exp":`), claimsJSON(0, 60, `"exp":`, `"Exp":`), claimsJSON(0, 60, `"exp":`, `"exp":-9e99,"x":`), claimsJSON(0, 60, `"exp":`, `"x":`),
		claimsJSON(0, 60, `"iat":`, `"iat":null,"x":`), claimsJSON(0, 60, `"iat":`, `"iat":9223372036854775807,"x":`), claimsJSON(0, 60, `"ticket"`, `"Ticket":"x","ticket"`),
		`null`, `{}`, `[]`, ``, claimsJSON(0, 60) + "{}", "\xff",
	} {
		f.Add("", plainHeader, claims)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Use: "sig"}}})
	if err != nil {
		f.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) }))
	f.Cleanup(server.Close)
	m := &fixedClockStore{memReplayStore{used: map[string]bool{}}}
	v, err := assertion.New(assertion.Config{JWKSURL: server.URL, Issuer: issuer, Audience: hub, Replays: m})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(v.Close)

	f.Fuzz(func(t *testing.T, text, head, claims string) {
		clear(m.used)
		if _, err := v.Verify(t.Context(), text, ticket); !errors.Is(err, assertion.ErrInvalid) {
			t.Errorf("%q without a valid signature: %v", text, err)
		}
		text = signedBy(key, head, claims)
		c, err := v.Verify(t.Context(), text, ticket)
		if err != nil {
			if !errors.Is(err, assertion.ErrInvalid) || len(m.used) > 0 || head == plainHeader && claims == good {
				t.Errorf("%s.%s: %v, %d jti recorded", head, claims, err, len(m.used))
			}
			return
		}
		if why := invalidReason(head, claims, c); why != "" {
			t.Errorf("accepted: %s: %s.%s: %+v", why, head, claims, c)
		}
		if _, err := v.Verify(t.Context(), text, ticket); !errors.Is(err, assertion.ErrInvalid) {
			t.Errorf("accepted twice: %s.%s: %v", head, claims, err)
		}
	})
}

// invalidReason returns why an assertion with this head and payload must not be
// accepted as c; "" if it may.
func invalidReason(head, claims string, c assertion.Claims) string {
	var h, m map[string]any
	if json.Unmarshal([]byte(head), &h) != nil || json.Unmarshal([]byte(claims), &m) != nil {
		return "not JSON objects"
	}
	aud, _ := m["aud"].([]any)
	jti, _ := m["jti"].(string)
	sub, _ := m["sub"].(string)
	iat, issued := m["iat"].(float64)
	exp, ends := m["exp"].(float64)
	nbf, _ := m["nbf"].(float64)
	now, kid := float64(fixedNow.Unix()), h["kid"]
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
	case !issued || !ends || iat >= now+31 || nbf >= now+31 || exp < now-29 || exp <= iat-1 || exp-iat >= 121: // fractions are cut off
		return "times"
	case exp >= now+151:
		return "exp"
	}
	return ""
}
