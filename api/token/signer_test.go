package token_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"loginhub/api/token"
	"loginhub/hub/keys"
)

// Two master keys: the bytes 0 to 31, and 32 to 63.
const (
	first  = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	second = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
)

// parseKeys parses master keys; an error fails the test.
func parseKeys(t testing.TB, text string) []keys.MasterKey {
	t.Helper()
	all, err := keys.ParseMasterKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// claims are signed in these tests. Sign must keep their order and spaces.
const claims = `{"sub":"wechat:wx1:alice", "aud":"demo","exp":1772366700,"claimed":{"nickname":"小明 <b>"}}`

// newSigner returns a signer with these keys; an error fails the test.
func newSigner(t testing.TB, text string) *token.Signer {
	t.Helper()
	s, err := token.NewSigner(parseKeys(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sign signs the claims; an error fails the test.
func sign(t testing.TB, s *token.Signer, kid, claims string) string {
	t.Helper()
	text, err := s.Sign(kid, []byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// publicKeys parses the JWKS without a JOSE library, by RFC 7517 and RFC 8037: kid to
// key.
func publicKeys(t testing.TB, s *token.Signer) map[string]ed25519.PublicKey {
	t.Helper()
	text, err := json.Marshal(s.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	all := map[string]ed25519.PublicKey{}
	for _, k := range set.Keys {
		x, err := base64.RawURLEncoding.Strict().DecodeString(k["x"])
		if err != nil || k["kty"] != "OKP" || k["crv"] != "Ed25519" || k["alg"] != "EdDSA" || k["use"] != "sig" || len(x) != ed25519.PublicKeySize {
			t.Errorf("key %v (%v)", k, err)
		}
		all[k["kid"]] = x
	}
	return all
}

// verifyByHand verifies a compact JWS (RFC 7515) without a library and returns its
// payload.
func verifyByHand(t testing.TB, keys map[string]ed25519.PublicKey, text string) (header map[string]any, payload string, ok bool) {
	t.Helper()
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts: %s", len(parts), text)
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			t.Fatalf("part %d: %v", i, err)
		}
	}
	if err := json.Unmarshal(raw[0], &header); err != nil {
		t.Fatal(err)
	}
	kid, _ := header["kid"].(string)
	return header, string(raw[1]), ed25519.Verify(keys[kid], []byte(parts[0]+"."+parts[1]), raw[2])
}

func TestSigner_VerifiedByJWKS(t *testing.T) {
	s := newSigner(t, first+","+second)
	keys := publicKeys(t, s)
	for _, m := range parseKeys(t, first+","+second) {
		text := sign(t, s, m.ID(), claims)
		header, payload, ok := verifyByHand(t, keys, text)
		if !ok || payload != claims {
			t.Errorf("verified %v: %s", ok, payload)
		}
		if want := map[string]any{"alg": "EdDSA", "kid": m.ID(), "typ": "login+jwt"}; !reflect.DeepEqual(header, want) {
			t.Errorf("the header is %v", header)
		}
		// The signature must not verify with other claims.
		parts := strings.Split(text, ".")
		other := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(claims, "alice", "bob", 1)))
		if _, _, ok := verifyByHand(t, keys, parts[0]+"."+other+"."+parts[2]); ok {
			t.Error("other claims verify under the same signature")
		}
	}
}

// The bytes must be the same on every node, in every process, before and after a
// rotation, and for concurrent calls.
func TestSigner_Deterministic(t *testing.T) {
	kid := parseKeys(t, first)[0].ID()
	// RFC 8032 allows one signature only, and the header must not change.
	const golden = "eyJhbGciOiJFZERTQSIsImtpZCI6Ii1Cem1FclIwYnQ5WSIsInR5cCI6ImxvZ2luK2p3dCJ9.eyJzdWIiOiJhIn0." +
		"yvBg4FsAM2w5wAWbo2O8soE0q5wHFAOTuqL2ufuln_Zk9K5LajMlRmR1RJ_dTjQm7_jg21NDrw0s3WrxUev4CA"
	var all sync.WaitGroup
	for _, keys := range []string{first, first + "," + second, second + "," + first} {
		s := newSigner(t, keys)
		for range 4 {
			all.Go(func() {
				for range 50 {
					if got, err := s.Sign(kid, []byte(`{"sub":"a"}`)); err != nil || got != golden {
						t.Errorf("signed %s (%v)", got, err)
						return
					}
				}
			})
		}
	}
	all.Wait()
}

func TestSigner_JWKSPublicOnly(t *testing.T) {
	s := newSigner(t, second+","+first)
	text, err := json.Marshal(s.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	var set map[string][]map[string]any
	if err := json.Unmarshal(text, &set); err != nil || len(set) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	var kids []string
	for _, k := range set["keys"] {
		kids = append(kids, k["kid"].(string))
		for name := range k {
			// RFC 8037, section 2: d is the private key. Only the members that are needed may be there.
			if !slices.Contains([]string{"kty", "crv", "x", "kid", "alg", "use"}, name) {
				t.Errorf("a public key has %q: %s", name, text)
			}
		}
	}
	if want := []string{parseKeys(t, second)[0].ID(), parseKeys(t, first)[0].ID()}; !slices.Equal(kids, want) {
		t.Errorf("published kids %q, want %q", kids, want)
	}
}

func TestSigner_UnknownKey(t *testing.T) {
	s := newSigner(t, first)
	for _, kid := range []string{"", "x", parseKeys(t, second)[0].ID(), strings.Repeat("k", 10000)} {
		text, err := s.Sign(kid, []byte(claims))
		if !errors.Is(err, token.ErrUnknownKey) || text != "" || len(err.Error()) > 200 {
			t.Errorf("kid %.20q: %q, %v", kid, text, err)
		}
	}
	if none, err := token.NewSigner(nil); err == nil {
		if _, err := none.Sign("", []byte(claims)); !errors.Is(err, token.ErrUnknownKey) {
			t.Errorf("a signer without keys: %v", err)
		}
	}
}
