package hubtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// DPoPKey is a key of an OAuth client, which proves it by DPoP (RFC 9449).
type DPoPKey struct {
	Thumbprint string // what tokens are bound to
	signer     jose.Signer
}

// NewDPoPKey makes a P-256 key.
func NewDPoPKey(t testing.TB) DPoPKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := (&jose.JSONWebKey{Key: key}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	return DPoPKey{base64.RawURLEncoding.EncodeToString(sum), signer}
}

// Prove returns the headers of one request, as names and values: DPoP and, with an access
// token, Authorization.
func (k DPoPKey) Prove(t testing.TB, method, url, token string) []string {
	t.Helper()
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": url, "iat": time.Now().Unix()}
	var headers []string
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
		headers = []string{"Authorization", "DPoP " + token}
	}
	proof, err := jwt.Signed(k.signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return append(headers, "DPoP", proof)
}
