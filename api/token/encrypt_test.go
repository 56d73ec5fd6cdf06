package token_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"loginhub/api/token"
)

// TestEncrypt_ReadByJose: go-jose decrypts what Encrypt returns, also if the shared secret
// begins with a zero, as one of 256 does.
func TestEncrypt_ReadByJose(t *testing.T) {
	seen := map[string]bool{}
	for n := range 300 {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		public, err := private.PublicKey.ECDH()
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Repeat("x", n)
		text, err := (&token.Signer{}).Encrypt(public, want)
		if err != nil {
			t.Fatal(err)
		}
		jwe, err := jose.ParseEncryptedCompact(text, []jose.KeyAlgorithm{jose.ECDH_ES}, []jose.ContentEncryption{jose.A256GCM})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got, err := jwe.Decrypt(private)
		if err != nil || string(got) != want {
			t.Fatalf("%s: %q, %v", text, got, err)
		}
		header, _, _ := strings.Cut(text, ".") // has the epk
		if h := jwe.Header.ExtraHeaders; h["typ"] != "JWT" || h["cty"] != "JWT" || seen[header] {
			t.Fatalf("header %+v: each token has its own key", jwe.Header)
		}
		seen[header] = true
	}
}
