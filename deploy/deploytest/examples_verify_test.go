package deploytest_test

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"loginhub/api/token"
	"loginhub/hub/hubtest"
	"loginhub/hub/keys"
)

// verifierCommands are the examples' verifiers in other languages than Go. Their arguments are HUB
// CLIENT_ID NONCE STORE TOKEN….
func verifierCommands(t *testing.T) map[string][]string {
	return map[string][]string{
		"node": {"node", "--input-type=module", "-e", `import { writeFileSync } from "node:fs"
			import { verifier } from "` + readExample(t, "node/verify.mjs") + `"
			const [hub, clientId, nonce, store, ...tokens] = process.argv.slice(1)
			const seen = async (jti) => { try { writeFileSync(store + "/" + jti, "", { flag: "wx" }); return true } catch { return false } }
			const verify = verifier({ hub, clientId, seen })
			for (const token of tokens) console.log(await verify(token, nonce).then((claims) => claims.sub, (error) => "no: " + error.message))`, "--"},
		"php": {"php", "-r", `require "` + readExample(t, "php/verify.php") + `";
			[, $hub, $id, $nonce, $store] = $argv;
			$v = new Verifier($hub, $id, $store);
			foreach (array_slice($argv, 5) as $token) {
				try { echo $v->verify($token, $nonce)["sub"], "\n"; } catch (Refused $e) { echo "no: ", $e->getMessage(), "\n"; }
			}`, "--"},
		"python": {"/usr/bin/python3", "-c", `import os, sys
sys.path.insert(0, "` + readExample(t, "python") + `")
sys.dont_write_bytecode = True
import verify
hub, client, nonce, store, *tokens = sys.argv[2:]
def first(jti, until):
    try:
        os.close(os.open(store + "/" + jti, os.O_CREAT | os.O_EXCL)); return True
    except FileExistsError:
        return False
verifier = verify.Verifier(hub, client, first)
for token in tokens:
    try: print(verifier.verify(token, nonce)["sub"])
    except verify.Refused as error: print("no:", error)`, "--"},
	}
}

// runVerifier returns one line per token.
func runVerifier(t *testing.T, command []string, args ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(loginContext(t), command[0], append(slices.Clone(command[1:]), args...)...).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// TestExamples_UnusableKey: an unknown kind of key does not affect the other keys (RFC 7517,
// section 5).
func TestExamples_UnusableKey(t *testing.T) {
	t.Parallel()
	masters, err := keys.ParseMasterKeys(hubtest.Key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := token.NewSigner(masters, nil)
	if err != nil {
		t.Fatal(err)
	}
	usable, err := signer.JWKS().Keys[0].MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	ed := `"kty":"OKP","crv":"Ed25519"`
	future := `{"kty":"AKP","kid":"b","alg":"ML-DSA-44","pub":"AAAA"},{"kty":"OKP","crv":"Ed448","kid":"n","alg":"Ed448","x":"AAAA"},{"kty":"oct","kid":"m","k":"AAAA"}`
	odd := future + `,{"kid":"a"},{"kty":7,"kid":"c"},` +
		`{"kty":"EC","crv":"secp256k1","kid":"d","x":"AAAA","y":"AAAA"},{"kty":"OKP","crv":"X25519","kid":"e","x":"AAAA"},` +
		`{"kty":"OKP","crv":"Ed448","kid":"f","x":"AAAA"},{` + ed + `},{` + ed + `,"kid":"g","x":7},{` + ed + `,"kid":"h","x":"???"},` +
		`{` + ed + `,"kid":["i"],"x":"AAAA"},{` + ed + `,"kid":"j","x":"AAAA"},{` + ed + `,"kid":"k","use":"enc","key_ops":7,"x":"AAAA"},` +
		strings.Repeat(`{"kty":"RSA","kid":"l","n":"`+strings.Repeat("A", 342)+`","e":"AQAB"},`, 200) + future
	for name, command := range verifierCommands(t) {
		t.Run(name, func(t *testing.T) {
			extra := map[string]string{"python": future, "node": odd, "php": `null,[],"key",7,` + odd}[name] // PyJWT skips kinds with an alg
			hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, `{"keys":[%s,%s,%s]}`, extra, usable, extra)
			}))
			defer hub.Close()
			if lines := runVerifier(t, command, hub.URL, "default", "n-1", t.TempDir(), signedToken(t, hub.URL, "login+jwt", nil)); len(lines) != 1 || lines[0] != "sandbox:root" {
				t.Errorf("%.500q", lines)
			}
		})
	}
}

func TestExamples_Verifiers(t *testing.T) {
	t.Parallel()
	hub := sandboxHub(t)
	for name, command := range verifierCommands(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := func(hub, client, nonce, store string, tokens ...string) []string {
				t.Helper()
				return runVerifier(t, command, append([]string{hub, client, nonce, store}, tokens...)...)
			}
			ctx := hubtest.Context(t, 2*time.Minute)
			good := tokenFor(ctx, t, hub, "alice", "n-1")
			no := func(what string, lines []string) {
				t.Helper()
				for _, line := range lines {
					if !strings.HasPrefix(line, "no: ") {
						t.Errorf("%s: %q", what, lines)
					}
				}
			}
			store := t.TempDir()
			if lines := run(hub, "default", "n-1", t.TempDir(), signedToken(t, hub, "login+jwt", nil)); lines[0] != "sandbox:root" {
				t.Errorf("the test's own signed token is refused: %q", lines)
			}
			hostile := hostileTokens(ctx, t, hub, good)
			names := slices.Sorted(maps.Keys(hostile))
			var tokens []string
			for _, what := range names {
				tokens = append(tokens, hostile[what])
			}
			for i, line := range run(hub, "default", "n-1", store, tokens...) {
				no(names[i], []string{line})
			}
			no("another hub", run(strings.Replace(hub, "127.0.0.1", "localhost", 1), "default", "n-1", store, good))
			no("another session", run(hub, "default", "n-2", store, good))
			no("no nonce", run(hub, "default", "", store, good, tokenFor(ctx, t, hub, "alice", "")))
			no("another site", run(hub, "other", "n-1", store, good))
			if lines := run(hub+"/", "default", "n-1", store, good, good); lines[0] != "sandbox:alice" || !strings.HasPrefix(lines[1], "no: used before") {
				t.Errorf("used twice: %q", lines)
			}
			// Exactly one of several concurrent processes accepts the token.
			other := tokenFor(ctx, t, hub, "bob", "n-1")
			won := make(chan bool, 5)
			var all sync.WaitGroup
			for range cap(won) {
				all.Go(func() { won <- run(hub, "default", "n-1", store, other)[0] == "sandbox:bob" })
			}
			all.Wait()
			close(won)
			n := 0
			for yes := range won {
				if yes {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%d of %d processes accepted the token", n, cap(won))
			}
		})
	}
}

// TestExamples_RS256: the sites' libraries verify the tokens of a client with token_alg RS256.
func TestExamples_RS256(t *testing.T) {
	t.Parallel()
	clients := filepath.Join(t.TempDir(), "clients.yaml")
	if err := os.WriteFile(clients, []byte("clients: [{id: default, token_alg: RS256}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	sites, hub := siteCommands(t), sandboxHub(t, "CLIENTS="+clients)
	ctx := hubtest.Context(t, 2*time.Minute)
	for _, name := range []string{"go", "node"} {
		alice := newTab(t, startSite(t, hub, sites[name]))
		if status, text := alice.do("POST", "/session", tokenFor(ctx, t, hub, "alice", alice.openLogin(hub))); status != http.StatusNoContent {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	good := tokenFor(ctx, t, hub, "alice", "n-1")
	if lines := runVerifier(t, verifierCommands(t)["python"], hub, "default", "n-1", t.TempDir(), good, good[:len(good)-300]); len(lines) != 2 || lines[0] != "sandbox:alice" || !strings.HasPrefix(lines[1], "no: ") {
		t.Errorf("python: %q", lines)
	}
}

// hubKey returns the hub's signing key, as hub/keys derives it, and its id.
func hubKey(t *testing.T) (key ed25519.PrivateKey, kid string) {
	t.Helper()
	masters, err := keys.ParseMasterKeys(hubtest.Key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(hubtest.Key)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := hkdf.Key(sha256.New, raw, nil, "loginhub v1 sign", ed25519.SeedSize)
	if err != nil {
		t.Fatal(err)
	}
	return ed25519.NewKeyFromSeed(seed), masters[0].ID()
}

// forgeToken returns a token with any head and any signature. changes are claims that the hub never
// issues; a nil value removes the claim.
func forgeToken(t *testing.T, hub string, head, changes map[string]any, sign func(text []byte) []byte) string {
	t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{"iss": hub, "aud": "default", "sub": "sandbox:root", "iat": now, "exp": now + 300, "jti": "signed", "nonce": "n-1"}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	var parts []string
	for _, part := range []any{head, claims} {
		raw, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(raw))
	}
	text := strings.Join(parts, ".")
	return text + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(text)))
}

// signedToken is signed with the hub's own key, with another type or other claims.
func signedToken(t *testing.T, hub, kind string, changes map[string]any) string {
	t.Helper()
	key, kid := hubKey(t)
	return forgeToken(t, hub, map[string]any{"alg": "EdDSA", "kid": kid, "typ": kind}, changes, func(text []byte) []byte { return ed25519.Sign(key, text) })
}

// hostileTokens must all be refused.
func hostileTokens(ctx context.Context, t *testing.T, hub, good string) map[string]string {
	t.Helper()
	key, kid := hubKey(t)
	public, mine := key.Public().(ed25519.PublicKey), ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	forge := func(alg, typ, kid string, sign func([]byte) []byte) string {
		return forgeToken(t, hub, map[string]any{"alg": alg, "typ": typ, "kid": kid}, nil, sign)
	}
	ours := func(text []byte) []byte { return ed25519.Sign(key, text) }
	own := func(text []byte) []byte { return ed25519.Sign(mine, text) }
	mac := func(secret []byte) func([]byte) []byte {
		return func(text []byte) []byte {
			m := hmac.New(sha256.New, secret)
			m.Write(text)
			return m.Sum(nil)
		}
	}
	jwk := map[string]any{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(mine[32:]), "kid": "mine"}
	now := time.Now().Unix()
	parts := strings.Split(good, ".")
	other := strings.Split(tokenFor(ctx, t, hub, "mallory", "n-1"), ".")
	all := map[string]string{
		"another user's claims":     parts[0] + "." + other[1] + "." + parts[2],
		"a truncated signature":     good[:len(good)-20],
		"no signature":              parts[0] + "." + parts[1] + ".",
		"alg none":                  forge("none", "login+jwt", kid, func([]byte) []byte { return nil }),
		"alg none, signed":          forge("none", "login+jwt", kid, ours),
		"HS256 with the public key": forge("HS256", "login+jwt", kid, mac(public)),
		"HS256 with the key's text": forge("HS256", "login+jwt", kid, mac([]byte(base64.RawURLEncoding.EncodeToString(public)))),
		"EdDSA by another key":      forge("EdDSA", "login+jwt", kid, own),
		"its own key in the header": forgeToken(t, hub, map[string]any{"alg": "EdDSA", "typ": "login+jwt", "kid": "mine", "jwk": jwk}, nil, own),
		"another type":              forge("EdDSA", "JWT", kid, ours),
		"no type":                   forgeToken(t, hub, map[string]any{"alg": "EdDSA", "kid": kid}, nil, ours),
		"an unknown key":            forge("EdDSA", "login+jwt", "x", ours),
		"claims not an object":      base64.RawURLEncoding.EncodeToString([]byte("7")) + "." + parts[1] + "." + parts[2],
		"two parts":                 parts[0] + "." + parts[1],
		"four parts":                good + ".x",
		"an empty token":            "",
		"another use":               signedToken(t, hub, "at+jwt", nil),
		"expired":                   signedToken(t, hub, "login+jwt", map[string]any{"exp": now - 61}),
		"issued tomorrow":           signedToken(t, hub, "login+jwt", map[string]any{"iat": now + 86400}),
		"too long":                  good + strings.Repeat("A", 9000),
	}
	for _, claim := range strings.Fields("exp nonce jti sub aud iss iat") {
		all["no "+claim] = signedToken(t, hub, "login+jwt", map[string]any{claim: nil})
	}
	return all
}

// TestExamples_StaleKeys: while the hub cannot be reached, the last keys are used for a day. The
// hub may have withdrawn a key.
func TestExamples_StaleKeys(t *testing.T) {
	t.Parallel()
	jwks, err := http.Get(sandboxHub(t) + "/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	defer jwks.Body.Close()
	text, err := io.ReadAll(jwks.Body)
	if err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string][]string{
		"php": {"php", "-r", `require "` + readExample(t, "php/verify.php") + `";
			[, $hub, $token, $store, $hours] = $argv;
			$say = function () use ($hub, $token, $store) {
				array_map("unlink", glob("$store/used-*"));
				try { return (new Verifier($hub, "default", $store))->verify($token, "n-1")["sub"]; } catch (RuntimeException $e) { return $e->getMessage(); }
			};
			if ($say() !== "sandbox:root") { exit(1); }
			file_get_contents("$hub/down");
			touch("$store/jwks.json", time() - $hours * 3600);
			echo $say();`, "--"},
	} {
		for hours, want := range map[string]string{"23": "", "25": "cannot be had, and the last ones are 900"} {
			down := make(chan struct{})
			hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/down" {
					close(down)
					return
				}
				select {
				case <-down:
					http.Error(w, "down", http.StatusBadGateway)
				default:
					w.Write(text)
				}
			}))
			t.Cleanup(hub.Close)
			args := append(slices.Clone(command[1:]), hub.URL, signedToken(t, hub.URL, "login+jwt", nil), t.TempDir(), hours)
			out, err := exec.CommandContext(loginContext(t), command[0], args...).CombinedOutput()
			if stale := strings.Contains(string(out), "cannot be had"); err != nil || stale != (want != "") || !strings.Contains(string(out), want) {
				t.Errorf("%s, %s h: %v %s", name, hours, err, out)
			}
		}
	}
}
