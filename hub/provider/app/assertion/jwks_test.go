package assertion_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"loginhub/hub/provider/app/assertion"
)

func serveKeys(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
}

// publicJWK returns a public key as JSON, with changed members; nil removes one.
func publicJWK(t *testing.T, public any, changes map[string]any) string {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKey{Key: public, KeyID: "odd", Use: "sig"})
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	for name, value := range changes {
		if members[name] = value; value == nil {
			delete(members, name)
		}
	}
	if text, err = json.Marshal(members); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// unusableKeys returns entries of a JWKS that no assertion may be verified with.
func unusableKeys(t *testing.T) map[string]string {
	t.Helper()
	ed, private, _ := ed25519.GenerateKey(rand.Reader)
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	long := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{7}, 1312))
	point := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	return map[string]string{
		"ML-DSA":           `{"kty":"AKP","kid":"odd","alg":"ML-DSA-44","pub":"` + long + `"}`,
		"AKP, other alg":   `{"kty":"AKP","kid":"odd","alg":"SLH-DSA-SHA2-128s","pub":"AAAA"}`,
		"secp256k1":        `{"kty":"EC","crv":"secp256k1","kid":"odd","x":"` + point + `","y":"` + point + `"}`,
		"P-384":            publicJWK(t, &p384.PublicKey, nil),
		"X25519":           `{"kty":"OKP","crv":"X25519","kid":"odd","x":"` + point + `"}`,
		"Ed448":            `{"kty":"OKP","crv":"Ed448","kid":"odd","x":"` + base64.RawURLEncoding.EncodeToString(make([]byte, 57)) + `"}`,
		"unknown kty":      `{"kty":"XYZ","kid":"odd"}`,
		"no kty":           `{"kid":"odd"}`,
		"kty a number":     `{"kty":7,"kid":"odd"}`,
		"kid a list":       publicJWK(t, ed, map[string]any{"kid": []string{"odd"}}),
		"symmetric":        `{"kty":"oct","kid":"odd","k":"` + point + `"}`,
		"private":          publicJWK(t, private, nil),
		"encryption":       publicJWK(t, ed, map[string]any{"use": "enc"}),
		"use a list":       publicJWK(t, ed, map[string]any{"use": []string{"sig"}}),
		"key_ops sign":     publicJWK(t, ed, map[string]any{"use": nil, "key_ops": []string{"sign"}}),
		"key_ops empty":    publicJWK(t, ed, map[string]any{"key_ops": []string{}}),
		"key_ops a text":   publicJWK(t, ed, map[string]any{"key_ops": "verify"}),
		"RSA of 1024 bits": publicJWK(t, &small.PublicKey, nil),
		"off the curve":    publicJWK(t, &p256.PublicKey, map[string]any{"y": point}),
		"no y":             publicJWK(t, &p256.PublicKey, map[string]any{"y": nil}),
		"short":            publicJWK(t, ed, map[string]any{"x": "AAAA"}),
		"no base64":        publicJWK(t, ed, map[string]any{"x": "???"}),
		"null":             `null`, "a list": `[]`, "a text": `"key"`, "a number": `7`,
	}
}

// requireVerifies checks that an assertion signed with the key is accepted with the
// set.
func requireVerifies(t *testing.T, c *backend, key jose.SigningKey, set ...string) {
	t.Helper()
	c.serve = serveKeys("\ufeff" + `{"keys":[` + strings.Join(set, ",") + `]}`)
	v := newVerifier(t, c.URL, &memReplayStore{used: map[string]bool{}})
	if _, err := v.Verify(t.Context(), sign(t, key, validClaims()), ticket); err != nil {
		t.Errorf("kid %q: %v", key.Key.(jose.JSONWebKey).KeyID, err)
	}
}

func TestJWKS_UnusableKeyDisablesNoOther(t *testing.T) {
	c := newBackend(t)
	key := c.key(t, "good", jose.ES256)
	text, err := json.Marshal(c.set.Keys[0])
	if err != nil {
		t.Fatal(err)
	}
	usable := string(text)
	unnamed := jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key.Key.(jose.JSONWebKey).Key}}
	for name, odd := range unusableKeys(t) {
		t.Run(name, func(t *testing.T) {
			requireVerifies(t, c, key, odd, usable, odd)
			requireVerifies(t, c, unnamed, odd, usable) // with one usable key no kid is needed
			requireVerifies(t, c, key, strings.Replace(odd, `"odd"`, `"good"`, 1), usable)
			c.serve = serveKeys(`{"keys":[` + odd + `]}`)
			v := newVerifier(t, c.URL, &memReplayStore{used: map[string]bool{}})
			if _, err := v.Verify(t.Context(), sign(t, key, validClaims()), ticket); !errors.Is(err, assertion.ErrConfig) {
				t.Errorf("a set of this key only: %v", err)
			}
		})
	}
}

func TestJWKS_TakesEveryUsableKey(t *testing.T) {
	c := newBackend(t)
	es, ed, rs := c.key(t, "es", jose.ES256), c.key(t, "ed", jose.EdDSA), c.key(t, "rs", jose.RS256)
	sameKid := c.key(t, "es", jose.ES256) // a kid need not be unique
	var set []string
	for i, k := range c.set.Keys {
		// Certificates and unknown members are ignored.
		set = append(set, publicJWK(t, k.Key, map[string]any{"kid": k.KeyID, "use": nil, "key_ops": []string{"encrypt", "verify"},
			"x5c": []string{"no certificate"}, "x5t": "short", "x5u": "://", "x5t#S256": 7, "ext": true, "nbf": i}))
	}
	for i := range 500 {
		set = append([]string{fmt.Sprintf(`{"kty":"EC","crv":"secp256k1","kid":"k%d","x":"%s","y":"%s"}`, i, strings.Repeat("A", 43), strings.Repeat("A", 43))}, set...)
	}
	for _, key := range []jose.SigningKey{es, ed, rs, sameKid} {
		requireVerifies(t, c, key, set...)
	}
}
