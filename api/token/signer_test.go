package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
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
	s, err := token.NewSigner(parseKeys(t, text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sign signs the claims; an error fails the test.
func sign(t testing.TB, s *token.Signer, kid, claims string) string {
	t.Helper()
	text, err := s.SignLogin(kid, 0, []byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// publicKeys parses the JWKS without a JOSE library, by RFC 7517, RFC 7518 and RFC 8037:
// kid to key.
func publicKeys(t testing.TB, s *token.Signer) map[string]crypto.PublicKey {
	t.Helper()
	text, err := json.Marshal(s.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	all := map[string]crypto.PublicKey{}
	for _, k := range set.Keys {
		number := func(name string) []byte {
			raw, err := base64.RawURLEncoding.Strict().DecodeString(k[name])
			if err != nil || len(raw) == 0 {
				t.Errorf("%s of key %v (%v)", name, k, err)
			}
			return raw
		}
		var key crypto.PublicKey
		switch k["kty"] + " " + k["crv"] + " " + k["alg"] {
		case "OKP Ed25519 EdDSA":
			key = ed25519.PublicKey(number("x"))
		case "EC P-256 ES256":
			key, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, number("x"), number("y")))
		case "RSA  RS256":
			key = &rsa.PublicKey{N: new(big.Int).SetBytes(number("n")), E: int(new(big.Int).SetBytes(number("e")).Int64())}
		default:
			t.Errorf("key %v", k)
		}
		if err != nil || k["use"] != "sig" || all[k["kid"]] != nil {
			t.Errorf("key %v (%v)", k, err)
		}
		all[k["kid"]] = key
	}
	return all
}

// verifyByHand verifies a compact JWS (RFC 7515) without a library and returns its
// payload.
func verifyByHand(t testing.TB, keys map[string]crypto.PublicKey, text string) (header map[string]any, payload string, ok bool) {
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
	input, signature := []byte(parts[0]+"."+parts[1]), raw[2]
	sum := sha256.Sum256(input)
	switch key := keys[kid].(type) {
	case ed25519.PublicKey:
		ok = header["alg"] == "EdDSA" && ed25519.Verify(key, input, signature)
	case *ecdsa.PublicKey:
		ok = header["alg"] == "ES256" && len(signature) == 64 &&
			ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case *rsa.PublicKey:
		ok = header["alg"] == "RS256" && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
	}
	return header, string(raw[1]), ok
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
					if got, err := s.SignLogin(kid, 0, []byte(`{"sub":"a"}`)); err != nil || got != golden {
						t.Errorf("signed %s (%v)", got, err)
						return
					}
				}
			})
		}
	}
	all.Wait()
}

// TestSigner_Algorithms: every algorithm of a master key verifies by the JWKS, and the
// confirm's tag selects the same key. RSA keys that do not sign are published.
func TestSigner_Algorithms(t *testing.T) {
	master := parseKeys(t, first)[0]
	own, former := newRSA(t), newRSA(t)
	s, err := token.NewSigner([]keys.MasterKey{master}, map[string]token.RSAKeys{master.ID(): {own, []*rsa.PrivateKey{former, own}}})
	if err != nil {
		t.Fatal(err)
	}
	published := publicKeys(t, s)
	if len(published) != 4 {
		t.Errorf("%d keys are published", len(published))
	}
	for _, alg := range []string{"EdDSA", "ES256", "RS256"} {
		text, err := s.Sign(master.ID(), "login+jwt", alg, []byte(claims))
		if err != nil {
			t.Fatal(err)
		}
		header, payload, ok := verifyByHand(t, published, text)
		if !ok || payload != claims || header["alg"] != alg || header["typ"] != "login+jwt" {
			t.Errorf("%s: verified %v: %v %s", alg, ok, header, payload)
		}
		tag, err := s.KeyTag(master.ID(), alg)
		if again, err2 := s.SignLogin(master.ID(), tag, []byte(claims)); err != nil || err2 != nil || again != text {
			t.Errorf("%s: by tag %d (%v, %v) %s", alg, tag, err, err2, again)
		}
		if alg == "RS256" && !own.PublicKey.Equal(published[header["kid"].(string)]) {
			t.Error("the RSA key that does not sign has signed")
		}
	}
	// The former node's first key: its tickets are still signed with it.
	before, _ := token.NewSigner([]keys.MasterKey{master}, map[string]token.RSAKeys{master.ID(): {former, []*rsa.PrivateKey{former}}})
	tag, _ := before.KeyTag(master.ID(), "RS256")
	want, _ := before.SignLogin(master.ID(), tag, []byte(claims))
	if got, err := s.SignLogin(master.ID(), tag, []byte(claims)); err != nil || got != want {
		t.Errorf("a ticket of before the rotation gets %s (%v)", got, err)
	}
}

func newRSA(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestSigner_ES256Golden has a signature of another implementation of HKDF, FIPS 186-5
// and RFC 6979.
func TestSigner_ES256Golden(t *testing.T) {
	const golden = "eyJhbGciOiJFUzI1NiIsImtpZCI6InpkM3JncGs4d0xyb0lYVDdWMWU0aFVEZ01MU0w1a1h4X203bGpaLURUM1UiLCJ0eXAiOiJKV1QifQ.eyJzdWIiOiJhIn0." +
		"at4u6VjtaY99BjyEpPZDJ3BZ-_eYEv29mvds3Mq66PNkx2M5brgR0DURQHHTmFRJy-I8KvojwQEN4CMpzitoow"
	if got, err := newSigner(t, second+","+first).Sign(parseKeys(t, first)[0].ID(), "JWT", "ES256", []byte(`{"sub":"a"}`)); err != nil || got != golden {
		t.Errorf("signed %s (%v)", got, err)
	}
}

// TestSigner_JWKSPublicOnly: Ed25519 keys come first, newest first.
func TestSigner_JWKSPublicOnly(t *testing.T) {
	id := parseKeys(t, first)[0].ID()
	s, err := token.NewSigner(parseKeys(t, second+","+first), map[string]token.RSAKeys{id: {nil, []*rsa.PrivateKey{newRSA(t)}}})
	if err != nil {
		t.Fatal(err)
	}
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
			// RFC 7518, section 6, and RFC 8037, section 2: d and others are private. Only the
			// members that are needed may be there.
			if !slices.Contains([]string{"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"}, name) {
				t.Errorf("a public key has %q: %s", name, text)
			}
		}
	}
	if want := []string{parseKeys(t, second)[0].ID(), id}; len(kids) != 5 || !slices.Equal(kids[:2], want) {
		t.Errorf("published kids %q, want %q first", kids, want)
	}
}

func TestSigner_UnknownKey(t *testing.T) {
	s := newSigner(t, first)
	for _, kid := range []string{"", "x", parseKeys(t, second)[0].ID(), strings.Repeat("k", 10000)} {
		text, err := s.SignLogin(kid, 0, []byte(claims))
		if !errors.Is(err, token.ErrUnknownKey) || text != "" || len(err.Error()) > 200 {
			t.Errorf("kid %.20q: %q, %v", kid, text, err)
		}
	}
	if none, err := token.NewSigner(nil, nil); err == nil {
		if _, err := none.SignLogin("", 0, []byte(claims)); !errors.Is(err, token.ErrUnknownKey) {
			t.Errorf("a signer without keys: %v", err)
		}
	}
}
