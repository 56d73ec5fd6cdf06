//go:build go1.25

package verify_test

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"loginhub/api/token/verify"
)

const nonce = "n-1"

// hub serves the keys of a hub and has a clock that the test sets.
type hub struct {
	*httptest.Server
	*signer

	answer  atomic.Pointer[string] // answered instead of the keys; nil is the keys
	status  atomic.Int64           // 0: 200
	gate    chan struct{}          // answers wait until it is closed; nil does not wait
	fetches atomic.Int64
	clock   atomic.Int64 // Unix seconds
}

func newHub(t testing.TB) *hub {
	t.Helper()
	h := &hub{}
	h.clock.Store(1_800_000_000)
	h.rotate(t)
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h.fetches.Add(1)
		if h.gate != nil {
			<-h.gate
		}
		if status := h.status.Load(); status != 0 {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(int(status)) // the body still has the keys
		}
		if text := h.answer.Load(); text != nil {
			w.Write([]byte(*text))
			return
		}
		json.NewEncoder(w).Encode(h.jwks())
	}))
	t.Cleanup(h.Close)
	return h
}

// rotate replaces the hub's key.
func (h *hub) rotate(t testing.TB) {
	t.Helper()
	var err error
	if h.signer, err = newSigner(); err != nil {
		t.Fatal(err)
	}
}

func (h *hub) now() time.Time { return time.Unix(h.clock.Load(), 0) }

func (h *hub) verifier() *verify.Verifier {
	return verify.New(h.URL, "demo", verify.Options{Now: h.now})
}

func (h *hub) memoryStore() *verify.MemoryStore { return &verify.MemoryStore{Now: h.now} }

// claims returns the claims of a valid token with changes; nil removes a claim.
func (h *hub) claims(changes map[string]any) map[string]any {
	now := h.clock.Load()
	c := map[string]any{"iss": h.URL, "aud": "demo", "sub": "sandbox:alice", "iat": now, "auth_time": now, "exp": now + 300,
		"jti": "AAAAAAAAAAAAAAAAAAAAAA", "nonce": nonce, "amr": []string{"sandbox"}}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// token returns a token signed by the hub.
func (h *hub) token(t testing.TB, changes map[string]any) string {
	t.Helper()
	return h.sign(encode(t, h.claims(changes)))
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// forge returns a token with any head and any signature.
func forge(t testing.TB, head, claims map[string]any, sign func(text string) []byte) string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	text := b64(encode(t, head)) + "." + b64(encode(t, claims))
	return text + "." + b64(sign(text))
}

func verifyToken(t testing.TB, v *verify.Verifier, text string, seen verify.ReplayStore) (*verify.Claims, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return v.Verify(ctx, text, nonce, seen)
}

func wantError(t testing.TB, v *verify.Verifier, text string, seen verify.ReplayStore, want error) {
	t.Helper()
	c, err := verifyToken(t, v, text, seen)
	if !errors.Is(err, want) || c != nil {
		t.Errorf("%+v %v, want %v", c, err, want)
	}
}

func TestVerify_Once(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	v, seen := h.verifier(), h.memoryStore()
	text := h.token(t, map[string]any{"openid": "o-1", "claimed": map[string]string{"nickname": "小明"}})
	c, err := verifyToken(t, v, text, seen)
	if err != nil || c.Subject != "sandbox:alice" || c.OpenID != "o-1" || c.Claimed.Nickname != "小明" || c.AMR[0] != "sandbox" {
		t.Fatalf("%+v %v", c, err)
	}
	wantError(t, v, text, seen, verify.ErrReplayed)
	if n := h.fetches.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

func TestVerify_Race(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	v, seen, text := h.verifier(), h.memoryStore(), h.token(t, nil)
	var won, used atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			switch _, err := verifyToken(t, v, text, seen); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, verify.ErrReplayed):
				used.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || used.Load() != 49 {
		t.Errorf("%d logins, %d used", won.Load(), used.Load())
	}
}

func TestVerify_OtherTokens(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	v, now := h.verifier(), h.clock.Load()
	for name, c := range map[string]struct {
		changes map[string]any
		want    error
	}{
		"another hub":         {map[string]any{"iss": "https://evil.example"}, verify.ErrIssuer},
		"no issuer":           {map[string]any{"iss": nil}, verify.ErrIssuer},
		"another site":        {map[string]any{"aud": "shop"}, verify.ErrAudience},
		"issuer with more":    {map[string]any{"iss": h.URL + "9"}, verify.ErrIssuer},
		"issuer cut short":    {map[string]any{"iss": h.URL[:len(h.URL)-1]}, verify.ErrIssuer},
		"site with more":      {map[string]any{"aud": "demo-2"}, verify.ErrAudience},
		"site cut short":      {map[string]any{"aud": "dem"}, verify.ErrAudience},
		"site in capitals":    {map[string]any{"aud": "Demo"}, verify.ErrAudience},
		"no site":             {map[string]any{"aud": nil}, verify.ErrAudience},
		"several sites":       {map[string]any{"aud": []string{"demo", "shop"}}, verify.ErrMalformed},
		"another session":     {map[string]any{"nonce": "n-2"}, verify.ErrNonce},
		"nonce with more":     {map[string]any{"nonce": nonce + "1"}, verify.ErrNonce},
		"nonce cut short":     {map[string]any{"nonce": nonce[:2]}, verify.ErrNonce},
		"no nonce":            {map[string]any{"nonce": nil}, verify.ErrNonce},
		"no user":             {map[string]any{"sub": ""}, verify.ErrMalformed},
		"no id":               {map[string]any{"jti": nil}, verify.ErrMalformed},
		"a long id":           {map[string]any{"jti": strings.Repeat("a", 200)}, verify.ErrMalformed},
		"expired with leeway": {map[string]any{"exp": now - 60}, verify.ErrExpired},
		"no exp":              {map[string]any{"exp": nil}, verify.ErrExpired},
		"exp a text":          {map[string]any{"exp": "tomorrow"}, verify.ErrMalformed},
		"iat ahead":           {map[string]any{"iat": now + 61}, verify.ErrNotYetValid},
		"nbf ahead":           {map[string]any{"nbf": now + 61}, verify.ErrNotYetValid},
		"no iat":              {map[string]any{"iat": nil}, verify.ErrMalformed},
		"sub a number":        {map[string]any{"sub": 7}, verify.ErrMalformed},
		"token too long":      {map[string]any{"claimed": map[string]string{"nickname": strings.Repeat("a", 9000)}}, verify.ErrMalformed},
	} {
		seen := h.memoryStore()
		t.Run(name, func(t *testing.T) { wantError(t, v, h.token(t, c.changes), seen, c.want) })
		if first, err := seen.MarkUsed(context.Background(), "AAAAAAAAAAAAAAAAAAAAAA", h.now().Add(time.Hour)); !first || err != nil {
			t.Errorf("%s: a refused token is marked as used: %v", name, err)
		}
	}
	for name, changes := range map[string]map[string]any{
		"exp 59 s ago":   {"exp": now - 59},
		"iat 60 s ahead": {"iat": now + 60, "nbf": now + 60},
	} {
		if _, err := verifyToken(t, v, h.token(t, changes), h.memoryStore()); err != nil {
			t.Errorf("%s, within the leeway: %v", name, err)
		}
	}
	strict := verify.New(h.URL, "demo", verify.Options{Now: h.now, Leeway: -1})
	wantError(t, strict, h.token(t, map[string]any{"exp": now}), h.memoryStore(), verify.ErrExpired)
}

func TestVerify_Forged(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	v := h.verifier()
	public := h.public()
	_, mine, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	good := h.token(t, nil)
	parts := strings.Split(good, ".")
	head := func(alg, typ string) map[string]any { return map[string]any{"alg": alg, "typ": typ, "kid": h.kid} }
	mac := func(text string) []byte {
		m := hmac.New(sha256.New, public)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	own := func(text string) []byte { return ed25519.Sign(mine, []byte(text)) }
	nothing := func(string) []byte { return nil }
	crit := head("EdDSA", "login+jwt")
	crit["crit"] = []string{"exp"}
	foreign := head("EdDSA", "login+jwt")
	foreign["kid"], foreign["jwk"] = "mine", map[string]any{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(mine[32:])}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"alg none":                     {forge(t, head("none", "login+jwt"), h.claims(nil), nothing), verify.ErrType},
		"alg None":                     {forge(t, head("None", "login+jwt"), h.claims(nil), nothing), verify.ErrType},
		"HS256 with the public key":    {forge(t, head("HS256", "login+jwt"), h.claims(nil), mac), verify.ErrType},
		"HMAC as EdDSA":                {forge(t, head("EdDSA", "login+jwt"), h.claims(nil), mac), verify.ErrSignature},
		"another type":                 {forge(t, head("EdDSA", "JWT"), h.claims(nil), own), verify.ErrType},
		"no type":                      {forge(t, map[string]any{"alg": "EdDSA", "kid": h.kid}, h.claims(nil), own), verify.ErrType},
		"critical extension":           {forge(t, crit, h.claims(nil), own), verify.ErrType},
		"other key, hub's kid":         {forge(t, head("EdDSA", "login+jwt"), h.claims(nil), own), verify.ErrSignature},
		"key in the header":            {forge(t, foreign, h.claims(nil), own), verify.ErrUnknownKey},
		"no signature":                 {forge(t, head("EdDSA", "login+jwt"), h.claims(nil), nothing), verify.ErrSignature},
		"other claims":                 {parts[0] + "." + base64.RawURLEncoding.EncodeToString(encode(t, h.claims(map[string]any{"sub": "root"}))) + "." + parts[2], verify.ErrSignature},
		"signature with padding":       {good + "==", verify.ErrMalformed},
		"line break in the signature":  {good[:len(good)-4] + "\n" + good[len(good)-4:], verify.ErrMalformed},
		"unused bits in the signature": {good[:len(good)-1] + string(good[len(good)-1]+1), verify.ErrMalformed},
		"empty":                        {"", verify.ErrMalformed},
		"two parts":                    {parts[0] + "." + parts[1], verify.ErrMalformed},
		"four parts":                   {good + ".x", verify.ErrMalformed},
		"head not JSON":                {"bm8." + parts[1] + "." + parts[2], verify.ErrMalformed},
		"head null":                    {"bnVsbA." + parts[1] + "." + parts[2], verify.ErrMalformed},
		"a megabyte":                   {strings.Repeat("a", 1<<20) + "." + parts[1] + "." + parts[2], verify.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) { wantError(t, v, c.text, h.memoryStore(), c.want) })
	}
	if _, err := verifyToken(t, v, good, h.memoryStore()); err != nil {
		t.Errorf("the valid token: %v", err)
	}
}

func TestVerify_RequiredArguments(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	text := h.token(t, map[string]any{"nonce": "", "aud": ""})
	ctx := context.Background()
	for name, call := range map[string]func() (*verify.Claims, error){
		"nonce": func() (*verify.Claims, error) { return h.verifier().Verify(ctx, text, "", h.memoryStore()) },
		"store": func() (*verify.Claims, error) { return h.verifier().Verify(ctx, text, nonce, nil) },
		"client": func() (*verify.Claims, error) {
			return verify.New(h.URL, "", verify.Options{}).Verify(ctx, text, nonce, h.memoryStore())
		},
		"hub": func() (*verify.Claims, error) {
			return verify.New("", "demo", verify.Options{}).Verify(ctx, text, nonce, h.memoryStore())
		},
	} {
		if c, err := call(); !errors.Is(err, verify.ErrConfig) || c != nil {
			t.Errorf("without %s: %v %v", name, c, err)
		}
	}
}

func FuzzVerifyToken(f *testing.F) {
	h := newHub(f)
	good := h.token(f, nil)
	v := h.verifier()
	f.Add(good)
	f.Add(good + ".")
	f.Add("..")
	f.Add(strings.Replace(good, ".", ".e30.", 1))
	f.Fuzz(func(t *testing.T, text string) {
		c, err := v.Verify(context.Background(), text, nonce, h.memoryStore())
		if (err == nil) != (text == good) || (c == nil) != (err != nil) {
			t.Errorf("%q: %+v %v", text, c, err)
		}
	})
}
