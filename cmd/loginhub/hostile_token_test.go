package main_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// forgeToken makes a token of any header and claims; sign signs it.
func forgeToken(t *testing.T, head, claims map[string]any, sign func([]byte) []byte) string {
	t.Helper()
	var parts []string
	for _, part := range []map[string]any{head, claims} {
		raw, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(raw))
	}
	text := strings.Join(parts, ".")
	return text + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(text)))
}

func with(m map[string]any, pairs ...any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = v
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		out[pairs[i].(string)] = pairs[i+1]
	}
	return out
}

// TestVerifier_SnippetRefusesForgedTokens runs the README's snippets against forged tokens and a
// signer with mistakes. readme_test.go tests the hub's own tokens.
func TestVerifier_SnippetRefusesForgedTokens(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := base64.RawURLEncoding.EncodeToString(public)
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "k", "alg": "EdDSA", "use": "sig"}}})
	}))
	defer keys.Close()
	ours := func(b []byte) []byte { return ed25519.Sign(private, b) }
	head := map[string]any{"alg": "EdDSA", "typ": "login+jwt", "kid": "k"}
	now := time.Now().Unix()
	claims := map[string]any{"iss": keys.URL, "aud": "demo", "sub": "sandbox:ann", "iat": now, "exp": now + 300, "jti": "j", "nonce": "n"}
	hs := func(key []byte) func([]byte) []byte {
		return func(b []byte) []byte {
			mac := hmac.New(sha256.New, key)
			mac.Write(b)
			return mac.Sum(nil)
		}
	}
	nothing := func([]byte) []byte { return nil }
	good := forgeToken(t, head, claims, ours)
	bad := map[string]string{
		"alg none":                            forgeToken(t, with(head, "alg", "none"), claims, nothing),
		"alg none, signed":                    forgeToken(t, with(head, "alg", "none"), claims, ours),
		"HS256 with the public key as secret": forgeToken(t, with(head, "alg", "HS256"), claims, hs(public)),
		"HS256 with the key's text as secret": forgeToken(t, with(head, "alg", "HS256"), claims, hs([]byte(x))),
		"EdDSA by another key":                forgeToken(t, head, claims, func(b []byte) []byte { return ed25519.Sign(other, b) }),
		"its own key in the header":           forgeToken(t, with(head, "kid", "mine", "jwk", map[string]any{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(other.Public().(ed25519.PublicKey)), "kid": "mine"}), claims, func(b []byte) []byte { return ed25519.Sign(other, b) }),
		"another type":                        forgeToken(t, with(head, "typ", "JWT"), claims, ours),
		"no type":                             forgeToken(t, map[string]any{"alg": "EdDSA", "kid": "k"}, claims, ours),
		"an unknown key":                      forgeToken(t, with(head, "kid", "q"), claims, ours),
		"another site":                        forgeToken(t, head, with(claims, "aud", "other"), ours),
		"expired":                             forgeToken(t, head, with(claims, "exp", now-120), ours),
		"another session":                     forgeToken(t, head, with(claims, "nonce", "m"), ours),
		"no nonce":                            forgeToken(t, head, with(claims, "nonce", ""), ours),
		"claims changed after signing":        strings.Replace(good, strings.Split(good, ".")[1], strings.Split(forgeToken(t, head, with(claims, "sub", "sandbox:eve"), ours), ".")[1], 1),
		"an extra part":                       good + ".x",
		"a missing part":                      good[:strings.LastIndex(good, ".")],
		"an empty token":                      "",
	}
	program := filepath.Join(t.TempDir(), "verify")
	if out, err := exec.Command("go", "build", "-o", program, snippet(t, "verify.go")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	call := func(token string) error { return exec.Command(program, keys.URL, "demo", "n", token).Run() }
	if err := call(good); err != nil {
		t.Errorf("a good token is refused: %v", err)
	}
	for name, token := range bad {
		if call(token) == nil {
			t.Errorf("accepted: a token with %s", name)
		}
	}
}
