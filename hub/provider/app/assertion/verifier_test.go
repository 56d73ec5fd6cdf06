package assertion_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"go.uber.org/goleak"

	"loginhub/hub/provider/app/assertion"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuer = "https://sso.example.com"
	hub    = "https://login.example.com"
	ticket = "AAAAAAAAAAAAAAAAAAAAAA"
)

// memReplayStore is a replay store in memory, shared by all verifiers of a test.
type memReplayStore struct {
	mu   sync.Mutex
	used map[string]bool
	err  error
}

func (m *memReplayStore) Now() time.Time { return time.Now() }

func (m *memReplayStore) SetNX(_ context.Context, name string, life time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if life <= 0 || life > 4*time.Minute {
		return false, errors.New("recorded for too long, or not at all")
	}
	first := !m.used[name]
	m.used[name] = true
	return first && m.err == nil, m.err
}

// backend is the company's back end: it signs assertions and serves its keys.
type backend struct {
	*httptest.Server
	mu         sync.Mutex
	set        jose.JSONWebKeySet
	fetchCount int
	serve      http.HandlerFunc // answers instead of the set; nil serves the set
}

func newBackend(t *testing.T) *backend {
	c := &backend{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.fetchCount++; c.serve != nil {
			c.serve(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(c.set)
	}))
	t.Cleanup(c.Close)
	return c
}

// key makes a key pair and publishes the public key.
func (c *backend) key(t *testing.T, kid string, alg jose.SignatureAlgorithm) jose.SigningKey {
	t.Helper()
	var private, public any
	switch alg {
	case jose.ES256:
		k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		private, public = k, &k.PublicKey
	case jose.RS256:
		k, _ := rsa.GenerateKey(rand.Reader, 2048)
		private, public = k, &k.PublicKey
	default:
		pub, k, _ := ed25519.GenerateKey(rand.Reader)
		private, public = k, pub
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set.Keys = append(c.set.Keys, jose.JSONWebKey{Key: public, KeyID: kid, Use: "sig"})
	return jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: private, KeyID: kid}}
}

func (c *backend) fetches() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fetchCount
}

// validClaims returns the claims of a valid assertion.
func validClaims() map[string]any {
	now := time.Now()
	return map[string]any{"iss": issuer, "aud": hub, "sub": "u-1", "jti": rand.Text(), "ticket": ticket,
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "name": "小明", "picture": "https://img.example.com/1"}
}

// validClaimsWith returns valid claims with changes; nil removes a claim.
func validClaimsWith(changes map[string]any) map[string]any {
	c := validClaims()
	for k, v := range changes {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func sign(t *testing.T, key jose.SigningKey, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func newVerifier(t *testing.T, url string, m *memReplayStore) *assertion.Verifier {
	t.Helper()
	v, err := assertion.New(assertion.Config{JWKSURL: url, Issuer: issuer, Audience: hub, Replays: m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func TestVerifier_ValidOnce(t *testing.T) {
	c, m := newBackend(t), &memReplayStore{used: map[string]bool{}}
	keys := []jose.SigningKey{c.key(t, "e", jose.ES256), c.key(t, "d", jose.EdDSA), c.key(t, "r", jose.RS256)}
	a, b := newVerifier(t, c.URL, m), newVerifier(t, c.URL, m)
	for _, key := range keys {
		text := sign(t, key, validClaims())
		claims, err := a.Verify(t.Context(), text, ticket)
		if err != nil || claims.Subject != "u-1" || claims.Name != "小明" || claims.Picture == "" {
			t.Fatalf("%s: %+v %v", key.Algorithm, claims, err)
		}
		for _, v := range []*assertion.Verifier{a, b} {
			if _, err := v.Verify(t.Context(), text, ticket); !errors.Is(err, assertion.ErrInvalid) {
				t.Errorf("%s used twice: %v", key.Algorithm, err)
			}
		}
	}
	if c.fetches() != 2 {
		t.Errorf("%d fetches for two nodes, want 2", c.fetches())
	}
	list := sign(t, keys[0], validClaimsWith(map[string]any{"aud": []string{"https://other.example.com", hub}}))
	if _, err := a.Verify(t.Context(), list, ticket); err != nil {
		t.Errorf("a list of aud with the hub: %v", err)
	}
}

func TestVerifier_Invalid(t *testing.T) {
	c, m := newBackend(t), &memReplayStore{used: map[string]bool{}}
	key := c.key(t, "e", jose.ES256)
	v := newVerifier(t, c.URL, m)
	now := time.Now().Unix()
	for what, claims := range map[string]map[string]any{
		"another iss":      validClaimsWith(map[string]any{"iss": "https://evil.example.com"}),
		"no iss":           validClaimsWith(map[string]any{"iss": nil}),
		"another aud":      validClaimsWith(map[string]any{"aud": "https://other.example.com"}),
		"no aud":           validClaimsWith(map[string]any{"aud": nil}),
		"another ticket":   validClaimsWith(map[string]any{"ticket": "BBBBBBBBBBBBBBBBBBBBBA"}),
		"no ticket":        validClaimsWith(map[string]any{"ticket": nil}),
		"ticket a list":    validClaimsWith(map[string]any{"ticket": []string{ticket}}),
		"no sub":           validClaimsWith(map[string]any{"sub": nil}),
		"empty sub":        validClaimsWith(map[string]any{"sub": ""}),
		"long sub":         validClaimsWith(map[string]any{"sub": strings.Repeat("a", 201)}),
		"invisible in sub": validClaimsWith(map[string]any{"sub": "alice\u202ebob"}),
		"no jti":           validClaimsWith(map[string]any{"jti": nil}),
		"long jti":         validClaimsWith(map[string]any{"jti": strings.Repeat("a", 129)}),
		"no exp":           validClaimsWith(map[string]any{"exp": nil}),
		"no iat":           validClaimsWith(map[string]any{"iat": nil}),
		"expired":          validClaimsWith(map[string]any{"iat": now - 120, "exp": now - 31}),
		"too long":         validClaimsWith(map[string]any{"exp": now + 121}),
		"ends in the past": validClaimsWith(map[string]any{"iat": now + 10, "exp": now}),
		"iat ahead":        validClaimsWith(map[string]any{"iat": now + 40, "exp": now + 60}),
		"nbf ahead":        validClaimsWith(map[string]any{"nbf": now + 40}),
	} {
		if _, err := v.Verify(t.Context(), sign(t, key, claims), ticket); !errors.Is(err, assertion.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	head, rest, _ := strings.Cut(sign(t, key, validClaims()), ".")
	body, signature, _ := strings.Cut(rest, ".")
	_, other, _ := strings.Cut(strings.SplitN(sign(t, key, validClaimsWith(map[string]any{"sub": "u-2"})), ".", 3)[0]+"."+strings.SplitN(sign(t, key, validClaimsWith(map[string]any{"sub": "u-2"})), ".", 3)[1], ".")
	stranger := newBackend(t).key(t, "e", jose.ES256)
	none := "eyJhbGciOiJub25lIn0." + body + "."
	symmetric := sign(t, jose.SigningKey{Algorithm: jose.HS256, Key: []byte("0123456789abcdef0123456789abcdef")}, validClaims())
	wide, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	for what, text := range map[string]string{
		"HS256": symmetric, "alg none": none, "other key": sign(t, stranger, validClaims()),
		"other claims": head + "." + other + "." + signature, "cut short": head + "." + body + "." + signature[:10],
		"ES384":     sign(t, jose.SigningKey{Algorithm: jose.ES384, Key: wide}, validClaims()),
		"not a JWT": "sandbox:alice:1", "empty": "", "dots": "..", "JSON": `{"payload":"","signatures":[]}`,
	} {
		if _, err := v.Verify(t.Context(), text, ticket); !errors.Is(err, assertion.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(m.used) != 0 {
		t.Errorf("%d jti of refused assertions are recorded", len(m.used))
	}
}

// Some JWT libraries could be made to use a public key as an HMAC secret.
func TestVerifier_PublicKeyAsHMAC(t *testing.T) {
	c, m := newBackend(t), &memReplayStore{used: map[string]bool{}}
	c.key(t, "e", jose.ES256)
	c.mu.Lock()
	public, _ := json.Marshal(c.set.Keys[0])
	c.set.Keys = append(c.set.Keys, jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "oct"})
	c.mu.Unlock()
	v := newVerifier(t, c.URL, m)
	for _, secret := range [][]byte{public, []byte("0123456789abcdef0123456789abcdef")} {
		text := sign(t, jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: secret, KeyID: "oct"}}, validClaims())
		if _, err := v.Verify(t.Context(), text, ticket); !errors.Is(err, assertion.ErrInvalid) {
			t.Errorf("accepted: %v", err)
		}
	}
}

func TestVerifier_NewKeyFetched(t *testing.T) {
	c, m := newBackend(t), &memReplayStore{used: map[string]bool{}}
	key := c.key(t, "1", jose.EdDSA)
	v := newVerifier(t, c.URL, m)
	if _, err := v.Verify(t.Context(), sign(t, key, validClaims()), ticket); err != nil {
		t.Fatal(err)
	}
	stranger := newBackend(t)
	for i := range 20 {
		unknown := sign(t, stranger.key(t, rand.Text(), jose.EdDSA), validClaims())
		if _, err := v.Verify(t.Context(), unknown, ticket); !errors.Is(err, assertion.ErrInvalid) {
			t.Errorf("unknown kid %d: %v", i, err)
		}
	}
	if c.fetches() != 1 {
		t.Errorf("%d fetches", c.fetches())
	}
}

func TestVerifier_KeysUnavailable(t *testing.T) {
	for what, c := range map[string]struct {
		serve http.HandlerFunc
		want  error
	}{
		"404":      {http.NotFound, assertion.ErrConfig},
		"500":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, assertion.ErrKeys},
		"HTML":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, assertion.ErrConfig},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/there", http.StatusFound) }, assertion.ErrConfig},
		"large": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[],"x":"` + strings.Repeat("x", 512<<10) + `"}`))
		}, assertion.ErrConfig},
		"no keys":        {serveKeys(`{"key":[]}`), assertion.ErrConfig},
		"empty":          {serveKeys(`{"keys":[]}`), assertion.ErrConfig},
		"keys an object": {serveKeys(`{"keys":{"kty":"OKP"}}`), assertion.ErrConfig},
		"unusable":       {serveKeys(`{"keys":[{"kty":"AKP","kid":"1","alg":"ML-DSA-44","pub":"AAAA"}]}`), assertion.ErrConfig},
		"hang up":        {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, assertion.ErrKeys},
	} {
		company, m := newBackend(t), &memReplayStore{used: map[string]bool{}}
		key := company.key(t, "1", jose.EdDSA)
		company.serve = c.serve
		v := newVerifier(t, company.URL, m)
		for range 3 {
			if _, err := v.Verify(t.Context(), sign(t, key, validClaims()), ticket); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if company.fetches() != 1 {
			t.Errorf("%s: %d fetches", what, company.fetches())
		}
	}
}

func TestVerifier_ReplayStoreUnavailable(t *testing.T) {
	c, m := newBackend(t), &memReplayStore{used: map[string]bool{}, err: errors.New("redis is down")}
	text := sign(t, c.key(t, "1", jose.EdDSA), validClaims())
	if _, err := newVerifier(t, c.URL, m).Verify(t.Context(), text, ticket); !errors.Is(err, m.err) {
		t.Errorf("got %v", err)
	}
}

func TestVerifier_HTTPSOnly(t *testing.T) {
	for url, ok := range map[string]bool{"https://sso.example.com/jwks": true, "http://127.0.0.1:1/jwks": true, "http://localhost/": true,
		"http://[::1]:1/": true, "http://sso.example.com/jwks": false, "http://10.0.0.1/": false, "ftp://localhost/": false, "": false,
		"https://user:pw@sso.example.com/": false, "http://localhost.evil.example/": false, "jwks.json": false} {
		if err := assertion.CheckURL(url); (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		}
	}
}
