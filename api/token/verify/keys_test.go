//go:build go1.25

package verify_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/api/token/verify"
)

// advance moves the clock of the hub and the site.
func (h *hub) advance(d time.Duration) { h.clock.Add(int64(d / time.Second)) }

func (h *hub) wantFetches(t testing.TB, want int64) {
	t.Helper()
	if n := h.fetches.Load(); n != want {
		t.Errorf("the keys were fetched %d times, want %d", n, want)
	}
}

// unknownKeyToken returns a token that is valid except for its unknown kid.
func (h *hub) unknownKeyToken(t testing.TB, i int) string {
	t.Helper()
	return forge(t, map[string]any{"alg": "EdDSA", "typ": "login+jwt", "kid": fmt.Sprint("k", i)}, h.claims(nil),
		func(string) []byte { return make([]byte, 64) })
}

func TestKeys_UnknownKeyFlood(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	v, seen := h.verifier(), h.memoryStore()
	for round := range int64(3) {
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() { wantError(t, v, h.unknownKeyToken(t, i), seen, verify.ErrUnknownKey) })
		}
		all.Wait()
		h.wantFetches(t, round+1)
		h.advance(9 * time.Second)
		wantError(t, v, h.unknownKeyToken(t, 1000), seen, verify.ErrUnknownKey)
		h.wantFetches(t, round+1)
		h.advance(time.Second)
	}
	if _, err := verifyToken(t, v, h.token(t, nil), seen); err != nil {
		t.Errorf("a good token after the flood: %v", err)
	}
}

func TestKeys_SharedFetch(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.gate = make(chan struct{})
	v := h.verifier()
	// The caller that starts the fetch gives up; the others still get the keys.
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan error, 1)
	go func() {
		_, err := v.Verify(ctx, h.token(t, nil), nonce, h.memoryStore())
		first <- err
	}()
	for h.fetches.Load() == 0 {
		select {
		case err := <-first:
			t.Fatalf("Verify does not wait for the fetch: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	if err := <-first; !errors.Is(err, verify.ErrKeys) || !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled call returns %v", err)
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := verifyToken(t, v, h.token(t, nil), h.memoryStore()); err != nil {
				t.Error(err)
			}
		})
	}
	close(h.gate)
	all.Wait()
	h.wantFetches(t, 1)
}

func TestKeys_Refresh(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	v := h.verifier()
	old := h.token(t, map[string]any{"exp": h.clock.Load() + 3600})
	if _, err := verifyToken(t, v, old, h.memoryStore()); err != nil {
		t.Fatal(err)
	}
	h.rotate(t) // without an overlap, as after a leaked key
	h.advance(299 * time.Second)
	if _, err := verifyToken(t, v, old, h.memoryStore()); err != nil {
		t.Errorf("old key within five minutes: %v", err)
	}
	h.wantFetches(t, 1)
	h.advance(time.Second)
	wantError(t, v, old, h.memoryStore(), verify.ErrUnknownKey)
	h.wantFetches(t, 2)
	if _, err := verifyToken(t, v, h.token(t, nil), h.memoryStore()); err != nil {
		t.Errorf("the new key: %v", err)
	}
	h.wantFetches(t, 2)
}

func TestKeys_NewKey(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	v := h.verifier()
	if _, err := verifyToken(t, v, h.token(t, nil), h.memoryStore()); err != nil {
		t.Fatal(err)
	}
	h.advance(10 * time.Second)
	h.rotate(t)
	if _, err := verifyToken(t, v, h.token(t, nil), h.memoryStore()); err != nil {
		t.Error(err)
	}
	h.wantFetches(t, 2)
}

func TestKeys_HubDown(t *testing.T) {
	t.Parallel()
	garbage := map[string]string{
		"empty":           "",
		"HTML":            "<html>Bad Gateway</html>",
		"no keys":         `{"keys":[]}`,
		"other key types": `{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"},{"kty":"OKP","crv":"X25519","kid":"b","x":"AAAA"}]}`,
		"short keys":      `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"AAAA"}]}`,
		"no kid":          `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"` + strings.Repeat("A", 43) + `"}]}`,
		"for encryption":  `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","use":"enc","x":"` + strings.Repeat("A", 43) + `"}]}`,
		"a list":          `[]`,
		"a number":        `{"keys":7}`,
		"too large":       `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"` + strings.Repeat("A", 43) + `"}]}` + strings.Repeat(" ", 512<<10),
	}
	for name, text := range garbage {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			h.answer.Store(&text)
			v := h.verifier()
			wantError(t, v, h.token(t, nil), h.memoryStore(), verify.ErrKeys)
			wantError(t, v, h.token(t, nil), h.memoryStore(), verify.ErrKeys)
			h.wantFetches(t, 1) // a failed fetch is not repeated for each token
			h.answer.Store(nil)
			h.advance(time.Second)
			if _, err := verifyToken(t, v, h.token(t, nil), h.memoryStore()); err != nil {
				t.Fatalf("the hub is back: %v", err)
			}
			h.answer.Store(&text)
			for range 3 {
				h.advance(time.Hour)
				if _, err := verifyToken(t, v, h.token(t, nil), h.memoryStore()); err != nil {
					t.Errorf("the hub is down again: %v", err)
				}
			}
			h.wantFetches(t, 5)
			wantError(t, v, h.unknownKeyToken(t, 1), h.memoryStore(), verify.ErrKeys) // the kid may be a new one
		})
	}
	for _, status := range []int{http.StatusFound, http.StatusNonAuthoritativeInfo, http.StatusNotFound, http.StatusServiceUnavailable} {
		h := newHub(t)
		h.status.Store(int64(status))
		wantError(t, h.verifier(), h.token(t, nil), h.memoryStore(), verify.ErrKeys)
		h.wantFetches(t, 1) // redirects are not followed
	}
	h := newHub(t)
	v, text := h.verifier(), h.token(t, nil)
	h.Close()
	wantError(t, v, text, h.memoryStore(), verify.ErrKeys)
}

func TestJWKS_UnusableKeyDisablesNoOther(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	public := h.jwk()
	point := strings.Repeat("A", 43)
	odd := func(member, value string) string {
		m := map[string]string{"kty": `"OKP"`, "crv": `"Ed25519"`, "kid": `"` + h.kid + `"`, "x": `"` + point + `"`}
		m[member] = value
		return fmt.Sprintf(`{"kty":%s,"crv":%s,"kid":%s,"x":%s,"use":%s,"key_ops":%s,"alg":%s}`, m["kty"], m["crv"], m["kid"], m["x"],
			cmp.Or(m["use"], "null"), cmp.Or(m["key_ops"], "null"), cmp.Or(m["alg"], "null"))
	}
	for name, text := range map[string]string{
		"ML-DSA":         `{"kty":"AKP","kid":"` + h.kid + `","alg":"ML-DSA-44","pub":"AAAA"}`,
		"secp256k1":      `{"kty":"EC","crv":"secp256k1","kid":"a","x":"` + point + `","y":"` + point + `"}`,
		"RSA":            `{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}`,
		"X25519":         odd("crv", `"X25519"`),
		"Ed448":          odd("crv", `"Ed448"`),
		"no kty":         odd("kty", "null"),
		"kty a number":   odd("kty", "7"),
		"no kid":         odd("kid", "null"),
		"kid a number":   odd("kid", "7"),
		"x a number":     odd("x", "7"),
		"x too short":    odd("x", `"AAAA"`),
		"x not base64":   odd("x", `"???"`),
		"encryption":     odd("use", `"enc"`),
		"use a list":     odd("use", `["sig"]`),
		"key_ops sign":   odd("key_ops", `["sign"]`),
		"key_ops empty":  odd("key_ops", "[]"),
		"key_ops a text": odd("key_ops", `"verify"`),
		"another alg":    odd("alg", `"ES256"`),
		"same kid":       odd("alg", `"EdDSA"`), // a usable key with the kid of the hub's key
		"null":           "null", "a list": "[]", "a text": `"key"`,
		"500 keys": strings.Repeat(odd("crv", `"Ed448"`)+",", 500) + "7",
	} {
		t.Run(name, func(t *testing.T) {
			set := `{"keys":[` + text + "," + string(public) + "," + text + `]}`
			h.answer.Store(&set)
			if _, err := verifyToken(t, h.verifier(), h.token(t, nil), h.memoryStore()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestKeys_StaleAreRefused(t *testing.T) {
	t.Parallel()
	for maxAge, usable := range map[time.Duration]time.Duration{0: 23 * time.Hour, 2 * time.Hour: time.Hour} {
		h := newHub(t)
		v, wrong := verify.New(h.URL, "demo", verify.Options{Now: h.now, KeysMaxAge: maxAge}), "x"
		if _, err := verifyToken(t, v, h.token(t, nil), h.memoryStore()); err != nil {
			t.Fatal(err)
		}
		h.answer.Store(&wrong)
		h.advance(usable)
		if _, err := verifyToken(t, v, h.token(t, nil), h.memoryStore()); err != nil {
			t.Errorf("keys %v old: %v", usable, err)
		}
		h.advance(time.Hour)
		_, err := verifyToken(t, v, h.token(t, nil), h.memoryStore())
		if !errors.Is(err, verify.ErrKeys) || !strings.Contains(err.Error(), "KeysMaxAge") || !strings.Contains(err.Error(), "not a JWKS") {
			t.Errorf("keys %v old: %v", usable+time.Hour, err)
		}
		h.answer.Store(nil)
		h.advance(10 * time.Second)
		if _, err := verifyToken(t, v, h.token(t, nil), h.memoryStore()); err != nil {
			t.Errorf("the hub is back: %v", err)
		}
	}
}
