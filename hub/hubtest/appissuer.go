package hubtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// AppIssuer imitates the back end of a company's own app: it signs assertions for its
// users and serves its public key.
type AppIssuer struct {
	Settings []string // of a node that accepts its assertions
	signer   jose.Signer
}

const appIssuer = "https://sso.example.com"

// StartAppIssuer starts the issuer. It ends with the test.
func StartAppIssuer(t testing.TB) *AppIssuer {
	t.Helper()
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: private, KeyID: "k1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "k1"}}})
	}))
	t.Cleanup(keys.Close)
	return &AppIssuer{[]string{"APP_JWKS_URL=" + keys.URL, "APP_ISSUER=" + appIssuer}, signer}
}

// Assert returns an assertion that the user approves the ticket, for a hub with the
// tests' public URL. more contains additional claims.
func (a *AppIssuer) Assert(ticket, user string, more map[string]any) string {
	now := time.Now()
	claims := map[string]any{"iss": appIssuer, "aud": "http://login.test", "sub": user, "jti": rand.Text(),
		"ticket": ticket, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	text, err := jwt.Signed(a.signer).Claims(claims).Claims(more).Serialize()
	if err != nil {
		panic(err) // cannot happen with a valid key
	}
	return text
}
