package hubtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// AppIssuer imitates the back end of a company's own app: it signs assertions for its
// users and serves its public key.
type AppIssuer struct {
	URL      string   // of its keys
	Settings []string // of a node that accepts its assertions
	key      ed25519.PrivateKey
}

// AppIssuerName is the issuer in its assertions.
const AppIssuerName = "https://sso.example.com"

// StartAppIssuer starts the issuer. It ends with the test.
func StartAppIssuer(t testing.TB) *AppIssuer {
	t.Helper()
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"%s"}]}`, base64.RawURLEncoding.EncodeToString(public))
	}))
	t.Cleanup(keys.Close)
	return &AppIssuer{keys.URL, []string{"APP_JWKS_URL=" + keys.URL, "APP_ISSUER=" + AppIssuerName}, private}
}

// Assert returns an assertion that the user approves the ticket, for a hub with the
// tests' public URL. more contains additional claims.
func (a *AppIssuer) Assert(ticket, user string, more map[string]any) string {
	now := time.Now()
	claims := map[string]any{"iss": AppIssuerName, "aud": "http://login.test", "sub": user, "jti": rand.Text(),
		"ticket": ticket, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	maps.Copy(claims, more)
	body, err := json.Marshal(claims)
	if err != nil {
		panic(err) // more is a fault of the test
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"k1"}`)) + "." + base64.RawURLEncoding.EncodeToString(body)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(a.key, []byte(text)))
}
