package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"loginhub/api/gate"
)

const (
	dpopURL   = "https://login.example.com/oauth2/userinfo"
	dpopToken = "an.access.token"
)

var dpopNow = time.Unix(1_800_000_000, 0)

// dpopChange is a proof's difference from a good one.
type dpopChange struct {
	key    any // a private key; nil: P-256
	alg    jose.SignatureAlgorithm
	typ    string
	jwk    any // nil: the public key
	claims map[string]any
}

// sign returns the changed proof.
func (c dpopChange) sign(t testing.TB, p256 *ecdsa.PrivateKey) string {
	t.Helper()
	if c.key == nil {
		c.key, c.alg = p256, jose.ES256
	}
	options := (&jose.SignerOptions{EmbedJWK: c.jwk == nil}).WithType(jose.ContentType(dpopType))
	if c.typ != "" {
		options.WithType(jose.ContentType(c.typ))
	}
	if c.jwk != nil && c.jwk != "none" {
		options.WithHeader("jwk", c.jwk)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: c.alg, Key: c.key}, options)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"jti": "one", "htm": "GET", "htu": dpopURL, "iat": dpopNow.Unix(), "ath": "UkM2b42E54u4hWzuKV_B3zyulUA6vtNYjJUv_ru2Qck"}
	for name, value := range c.claims {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func claim(name string, value any) dpopChange { return dpopChange{claims: map[string]any{name: value}} }

// TestDPoP_Proofs has a row for each check of RFC 9449, section 4.3, but the count of the
// headers and the first use of a jti.
func TestDPoP_Proofs(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	long, _ := rsa.GenerateKey(rand.Reader, 2048)
	short, _ := rsa.GenerateKey(rand.Reader, 1024)
	target := dpopTarget{method: "GET", url: dpopURL, token: dpopToken, now: dpopNow}
	for what, c := range map[string]dpopChange{
		"ES256": {}, "EdDSA": {key: ed, alg: jose.EdDSA}, "RS256": {key: long, alg: jose.RS256}, "PS256": {key: long, alg: jose.PS256},
		"query": claim("htu", dpopURL+"?a=b#c"), "case": claim("htu", "HTTPS://LOGIN.example.com/oauth2/userinfo"), "port": claim("htu", "https://login.example.com:443/oauth2/userinfo"),
		"dots": claim("htu", "https://login.example.com/x/../oauth2/./userinfo"), "percent": claim("htu", "https://login.example.com/oauth2/%75serinfo"),
		"old": claim("iat", dpopNow.Unix()-60), "early": claim("iat", dpopNow.Unix()+60), "nonce": claim("nonce", "x"), "long jti": claim("jti", strings.Repeat("j", maxDPoPID)),
	} {
		if proof, err := parseDPoP(c.sign(t, p256), target); err != nil || !isThumbprint(proof.key) || proof.jti == "" {
			t.Errorf("%s: %+v %v", what, proof, err)
		}
	}
	const form = "JWT of type dpop+jwt"
	for what, c := range map[string]struct {
		dpopChange
		want string
	}{
		"typ JWT":            {dpopChange{typ: "JWT"}, form},
		"HS256":              {dpopChange{key: []byte(strings.Repeat("k", 32)), alg: jose.HS256, jwk: jose.JSONWebKey{Key: p256.Public()}}, form},
		"ES384":              {dpopChange{key: p384, alg: jose.ES384}, form},
		"no jwk":             {dpopChange{jwk: "none"}, form},
		"a private jwk":      {dpopChange{jwk: jose.JSONWebKey{Key: p256}}, form},
		"a symmetric jwk":    {dpopChange{jwk: jose.JSONWebKey{Key: []byte("k")}}, form},
		"another key's jwk":  {dpopChange{jwk: jose.JSONWebKey{Key: other.Public()}}, form},
		"a key of that kind": {dpopChange{jwk: jose.JSONWebKey{Key: p384.Public()}}, form},
		"a short RSA key":    {dpopChange{key: short, alg: jose.RS256}, "2048"},
		"a long RSA key":     {dpopChange{jwk: jose.JSONWebKey{Key: &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 4096), E: 3}}}, form},
		"no jti":             {claim("jti", nil), "jti"},
		"a number as jti":    {claim("jti", 1), form},
		"a longer jti":       {claim("jti", strings.Repeat("j", maxDPoPID+1)), "jti"},
		"no htm":             {claim("htm", nil), "htm must be GET"},
		"htm POST":           {claim("htm", "POST"), "htm must be GET"},
		"htm get":            {claim("htm", "get"), "htm must be GET"},
		"no htu":             {claim("htu", nil), "htu must be " + dpopURL},
		"another path":       {claim("htu", "https://login.example.com/oauth2/token"), "htu"},
		"another host":       {claim("htu", "https://login.example.com.evil.example/oauth2/userinfo"), "htu"},
		"another port":       {claim("htu", "https://login.example.com:80/oauth2/userinfo"), "htu"},
		"http":               {claim("htu", "http://login.example.com/oauth2/userinfo"), "htu"},
		"a user":             {claim("htu", "https://a@login.example.com/oauth2/userinfo"), "htu"},
		"a coded slash":      {claim("htu", "https://login.example.com/oauth2%2fuserinfo"), "htu"},
		"a path only":        {claim("htu", "/oauth2/userinfo"), "htu"},
		"no iat":             {claim("iat", nil), "iat"},
		"iat as text":        {claim("iat", "1800000000"), form},
		"too old":            {claim("iat", dpopNow.Unix()-61), "iat must be at most 60 seconds"},
		"too early":          {claim("iat", dpopNow.Unix()+61), "iat"},
		"an absurd iat":      {claim("iat", int64(9e15)), "iat"},
		"no ath":             {claim("ath", nil), "ath"},
		"another ath":        {claim("ath", "AkM2b42E54u4hWzuKV_B3zyulUA6vtNYjJUv_ru2Qck"), "ath"},
		"too long":           {claim("x", strings.Repeat("x", maxDPoPProof)), form},
	} {
		var refused *Error
		if _, err := parseDPoP(c.sign(t, p256), target); !errors.As(err, &refused) || refused.Code != "invalid_dpop_proof" || !strings.Contains(refused.Description, c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
	good := dpopChange{}.sign(t, p256)
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"dpop+jwt"}`)) + "." + parts[1] + "."
	for _, text := range []string{"", "x", none, good[:len(good)-1], good + "." + parts[2], parts[0] + "." + parts[1] + ".", good + ", " + good, " " + good} {
		if _, err := parseDPoP(text, target); err == nil {
			t.Errorf("accepted: %.80s", text)
		}
	}
}

// onceStates counts the names that are set once.
type onceStates struct {
	gate.StateStore
	calls map[string]int
}

func (s onceStates) SetNX(_ context.Context, name string, _ time.Duration) (bool, error) {
	s.calls[name]++
	return s.calls[name] == 1, nil
}

// TestDPoP_Spend: a proof is used once, also if a request checks it again, and no other
// key can use up its jti.
func TestDPoP_Spend(t *testing.T) {
	states := onceStates{calls: map[string]int{}}
	first := &dpopProof{key: "a", jti: "1", states: states}
	for i, c := range []struct {
		proof *dpopProof
		ok    bool
	}{{first, true}, {first, true}, {&dpopProof{key: "a", jti: "1", states: states}, false}, {&dpopProof{key: "b", jti: "1", states: states}, true}, {nil, true}} {
		if err := c.proof.spend(t.Context()); (err == nil) != c.ok {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

// FuzzDPoP: no text panics, and only what the key has signed is accepted.
func FuzzDPoP(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // the same in each fuzzing process
	target := dpopTarget{method: "GET", url: dpopURL, token: dpopToken, now: dpopNow}
	good := dpopChange{key: key, alg: jose.EdDSA}.sign(f, nil)
	want, err := parseDPoP(good, target)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(dpopChange{key: key, alg: jose.EdDSA, jwk: jose.JSONWebKey{Key: key}}.sign(f, nil))
	f.Add(`eyJhbGciOiJub25lIn0.e30.`)
	f.Fuzz(func(t *testing.T, text string) {
		if proof, err := parseDPoP(text, target); err == nil && *proof != *want {
			t.Errorf("%q: %+v", text, proof)
		}
	})
}
