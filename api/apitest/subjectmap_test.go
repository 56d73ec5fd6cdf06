package apitest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// TestSubjectMap confirms with answers of a site's own mapping: a subject, an unknown user,
// and answers that fail closed.
func TestSubjectMap(t *testing.T) {
	t.Parallel()
	answer, asked := func(http.ResponseWriter) {}, 0
	var signature, body string
	mapping := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		asked++
		signature, body = r.Header.Get("Authorization"), string(text)
		answer(w)
	}))
	t.Cleanup(mapping.Close)
	site := demo()
	site.SubjectMap = mapping.URL
	s := start(t, options{clients: []*client.Client{site}})
	reply := func(status int, text string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Location", mapping.URL+"/elsewhere")
			w.WriteHeader(status)
			io.WriteString(w, text)
		}
	}
	p, ann := s.createTicket(t, nil), s.phone("ann")
	ann.mustDo(t, p, "scan")
	if asked != 0 {
		t.Error("a scan asked")
	}
	for _, c := range []struct {
		answer func(http.ResponseWriter)
		status int
		code   string
	}{
		{reply(404, "{}"), 403, "identity_unknown"},
		{reply(200, `{"sub":""}`), 503, "provider_unavailable"},
		{reply(200, `{"sub":7}`), 503, "provider_unavailable"},
		{reply(200, `{"sub":"a\u202eb"}`), 503, "provider_unavailable"},
		{reply(200, `{"sub":"`+strings.Repeat("x", 256)+`"}`), 503, "provider_unavailable"},
		{reply(200, `{"sub":"7"}`+strings.Repeat(" ", 4<<10)), 503, "provider_unavailable"},
		{reply(302, `{"sub":"7"}`), 503, "provider_unavailable"},
		{reply(500, `{"sub":"7"}`), 503, "provider_unavailable"},
	} {
		answer = c.answer
		ann.do(t, p, "confirm").problem(t, c.status, c.code)
		p.requireState(t, string(ticket.Scanned), 2)
	}
	answer = reply(200, `{"sub":"employee-7"}`)
	ann.mustDo(t, p, "confirm")
	if !equal(object(t, []byte(body)), map[string]any{"client": "demo", "provider": "sandbox", "subject": "ann"}) {
		t.Errorf("the site was asked %s", body)
	}
	checkSubjectMapSignature(t, s, strings.TrimPrefix(signature, "Bearer "), body)
	was := asked
	ann.mustDo(t, p, "confirm") // repeated: the same answer, and no question
	if asked != was {
		t.Error("a repeated confirm asked again")
	}
	token, err := jwt.ParseSigned(p.requireState(t, string(ticket.Confirmed), 3)["token"].(string), []jose.SignatureAlgorithm{jose.EdDSA})
	must(t, err)
	var claims jwt.Claims
	must(t, token.UnsafeClaimsWithoutVerification(&claims))
	if claims.Subject != "employee-7" {
		t.Errorf("sub %q", claims.Subject)
	}
}

// knowsNobody returns the address of a mapping without users.
func knowsNobody(t *testing.T) string {
	t.Helper()
	mapping := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(mapping.Close)
	return mapping.URL
}

// checkSubjectMapSignature verifies the JWT of a call as a site does.
func checkSubjectMapSignature(t *testing.T, s *testServer, signature, body string) {
	t.Helper()
	signed, err := jose.ParseSignedCompact(signature, []jose.SignatureAlgorithm{jose.EdDSA})
	must(t, err)
	payload, err := signed.Verify(s.signer.JWKS())
	must(t, err)
	var c struct {
		Issuer   string `json:"iss"`
		Audience string `json:"aud"`
		Expires  int64  `json:"exp"`
		Issued   int64  `json:"iat"`
		Hash     string `json:"body_sha256"`
	}
	must(t, json.Unmarshal(payload, &c))
	sum := sha256.Sum256([]byte(body))
	if typ := signed.Signatures[0].Header.ExtraHeaders[jose.HeaderType]; typ != "subject-map+jwt" || c.Issuer != public || c.Audience != "demo" ||
		c.Expires-c.Issued != 60 || c.Hash != base64.RawURLEncoding.EncodeToString(sum[:]) {
		t.Errorf("typ %v, claims %+v", typ, c)
	}
}
