//go:build go1.25

package verify_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"testing"

	"loginhub/api/token/verify"
)

// TestVerify_RS256: the key decides the algorithm, not the token.
func TestVerify_RS256(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	n := private.N.Bytes()
	jwk := func(kid string, n []byte) string {
		return fmt.Sprintf(`{"kty":"RSA","kid":%q,"alg":"RS256","use":"sig","n":%q,"e":"AQAB"}`, kid, base64.RawURLEncoding.EncodeToString(n))
	}
	set := `{"keys":[` + string(h.jwk()) + "," + jwk("rsa", n) + "," + jwk("small", n[:128]) + `]}`
	h.answer.Store(&set)
	sign := func(text string) []byte {
		sum := sha256.Sum256([]byte(text))
		signature, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum[:])
		if err != nil {
			t.Error(err)
		}
		return signature
	}
	for name, c := range map[string]struct {
		alg, kid string
		want     error
	}{
		"RSA key":               {"RS256", "rsa", nil},
		"RSA key, EdDSA":        {"EdDSA", "rsa", verify.ErrSignature},
		"RSA key, RS512":        {"RS512", "rsa", verify.ErrType},
		"Ed25519 key, RS256":    {"RS256", h.kid, verify.ErrSignature},
		"RSA key of 1,024 bits": {"RS256", "small", verify.ErrUnknownKey},
		"an unpublished key":    {"RS256", "other", verify.ErrUnknownKey},
	} {
		text := forge(t, map[string]any{"alg": c.alg, "typ": "login+jwt", "kid": c.kid}, h.claims(nil), sign)
		if c.want != nil {
			wantError(t, h.verifier(), text, h.memoryStore(), c.want)
		} else if _, err := verifyToken(t, h.verifier(), text, h.memoryStore()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
