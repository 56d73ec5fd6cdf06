package ticket_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"loginhub/hub/ticket"
)

// jwkOf returns the members of a page's key, as JSON values.
func jwkOf(t testing.TB, point []byte) map[string]json.RawMessage {
	t.Helper()
	text := func(s string) json.RawMessage { return json.RawMessage(`"` + s + `"`) }
	b64 := base64.RawURLEncoding
	return map[string]json.RawMessage{"kty": text("EC"), "crv": text("P-256"), "x": text(b64.EncodeToString(point[1:33])), "y": text(b64.EncodeToString(point[33:]))}
}

// TestPageKey_Secret: the key that remains agrees with the page's private key, whichever y it has.
func TestPageKey_Secret(t *testing.T) {
	for range 20 {
		page, node := newP256(t), newP256(t)
		jwk := jwkOf(t, page.PublicKey().Bytes())
		jwk["use"], jwk["ext"] = json.RawMessage(`"sig"`), json.RawMessage(`7`) // ignored
		key, err := ticket.ParsePageKey(jwk)
		if err != nil {
			t.Fatal(err)
		}
		public, err := key.Public()
		if err != nil {
			t.Fatal(err)
		}
		one, err := node.ECDH(public)
		other, err2 := page.ECDH(node.PublicKey())
		if err != nil || err2 != nil || !bytes.Equal(one, other) {
			t.Fatalf("%x and %x (%v, %v)", one, other, err, err2)
		}
	}
}

func newP256(t testing.TB) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestPageKey_Refused(t *testing.T) {
	good := jwkOf(t, newP256(t).PublicKey().Bytes())
	x := strings.Trim(string(good["x"]), `"`)
	for _, c := range []struct{ name, value, want string }{
		{"d", `"AAAA"`, "private key"}, {"d", `null`, "private key"},
		{"kty", ``, "kty"}, {"kty", `"RSA"`, "kty"}, {"kty", `"ec"`, "kty"}, {"kty", `null`, "kty"}, {"kty", `["EC"]`, "kty"},
		{"crv", ``, "crv"}, {"crv", `"P-384"`, "crv"}, {"crv", `"secp256k1"`, "crv"}, {"crv", `256`, "crv"},
		{"x", ``, "x: want 43"}, {"x", `7`, "x: want 43"}, {"y", `null`, "y: want 43"}, {"y", `{}`, "y: want 43"},
		{"x", `"` + strings.Repeat("A", 43) + `"`, "not a point"}, {"y", string(good["x"]), "not a point"},
		{"y", `"` + strings.Repeat("_", 42) + `8"`, "not a point"}, // above the field's prime
	} {
		bad := maps.Clone(good)
		if bad[c.name] = json.RawMessage(c.value); c.value == "" {
			delete(bad, c.name)
		}
		if key, err := ticket.ParsePageKey(bad); key != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %q", c.name, c.value, err, c.want)
		}
	}
	for _, text := range invalidTexts(x) {
		bad := maps.Clone(good)
		bad["x"], _ = json.Marshal(text)
		if _, err := ticket.ParsePageKey(bad); err == nil {
			t.Errorf("x %+q was accepted", text)
		}
	}
}

func FuzzParsePageKey(f *testing.F) {
	good, err := json.Marshal(jwkOf(f, newP256(f).PublicKey().Bytes()))
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{string(good), `{}`, `{"kty":"EC","crv":"P-256","x":"","y":"","d":""}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var jwk map[string]json.RawMessage
		if json.Unmarshal(in, &jwk) != nil {
			return
		}
		key, err := ticket.ParsePageKey(jwk)
		if err != nil {
			return
		}
		var again ticket.PageKey
		var x string
		public, err := key.Public()
		text, err2 := key.MarshalText()
		if err != nil || err2 != nil || again.UnmarshalText(text) != nil || again != *key || json.Unmarshal(jwk["x"], &x) != nil || x != string(text) || jwk["d"] != nil {
			t.Fatalf("%s gives %v %s (%v, %v)", in, public, text, err, err2)
		}
	})
}

// TestPageKey_RecordVersion: records with a key are of version 2, also those that a node changes which
// writes version 1.
func TestPageKey_RecordVersion(t *testing.T) {
	ring := newRing(t)
	v := newTicket(t, demo)
	v.PageKey = &ticket.PageKey{7}
	sealed := seal(t, atVersion(t, ring, 1), v)
	opened, err := ring.Open(v.ID, sealed)
	if err != nil || opened.PageKey == nil || *opened.PageKey != *v.PageKey || !bytes.HasPrefix(sealed, []byte("2.")) {
		t.Errorf("opened %+v of %.20q, %v", opened, sealed, err)
	}
}
