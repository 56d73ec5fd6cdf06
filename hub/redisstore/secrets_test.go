package redisstore_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

func secretKeys(ids ...string) []redisstore.SecretKey {
	var all []redisstore.SecretKey
	for _, id := range ids {
		all = append(all, redisstore.SecretKey{ID: id, Key: bytes.Repeat([]byte(id[:1]), 32), AES: bytes.Repeat([]byte(id[1:]), 32)})
	}
	return all
}

func openSecretStore(t *testing.T, url string, ids ...string) *redisstore.SecretStore {
	t.Helper()
	s, err := redisstore.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	ring, err := redisstore.NewSecretKeyring(secretKeys(ids...))
	if err != nil {
		t.Fatal(err)
	}
	return s.SecretStore(ring)
}

const valuable = "an-access-token-of-some-length"

// TestSecretStore_Sealed: a browser can neither read nor change what it keeps, nor use it
// under another name.
func TestSecretStore_Sealed(t *testing.T) {
	redis := hubtest.StartRedis(t)
	old, both, alien := openSecretStore(t, redis.URL, "a1"), openSecretStore(t, redis.URL, "b2", "a1"), openSecretStore(t, redis.URL, "c3")
	sealed := old.Seal("consent:x", []byte(valuable))
	if got := both.Open("consent:x", sealed); string(got) != valuable || bytes.Contains(sealed, []byte(valuable)) {
		t.Errorf("a rotated node opens %q as %q", sealed, got)
	}
	changed := append(bytes.Clone(sealed[:len(sealed)-1]), sealed[len(sealed)-1]^1)
	if old.Open("consent:y", sealed) != nil || alien.Open("consent:x", sealed) != nil || old.Open("consent:x", changed) != nil || old.Open("consent:x", nil) != nil {
		t.Error("another name, key or text opens it")
	}
}

func TestSecretStore_KeyRequired(t *testing.T) {
	redis := hubtest.StartRedis(t)
	ctx := t.Context()
	old, both, alien := openSecretStore(t, redis.URL, "a1"), openSecretStore(t, redis.URL, "b2", "a1"), openSecretStore(t, redis.URL, "c3")
	if err := old.Save(ctx, "x", []byte(valuable), time.Minute); err != nil {
		t.Fatal(err)
	}
	for who, v := range map[string]*redisstore.SecretStore{"the writer": old, "a rotated node": both} {
		if got, err := v.Load(ctx, "x"); err != nil || string(got) != valuable {
			t.Errorf("%s reads %q %v", who, got, err)
		}
	}
	if got, err := alien.Load(ctx, "x"); err != nil || got != nil {
		t.Errorf("a stranger reads %q %v", got, err)
	}
	if got, err := alien.Take(ctx, "x"); !errors.Is(err, ticket.ErrUnknownKey) || got != nil {
		t.Errorf("a stranger takes %q %v", got, err)
	}
	ring, err := redisstore.NewSecretKeyring(secretKeys("c3", "a1"))
	if err != nil {
		t.Fatal(err)
	}
	alien.Reload(ring)
	if got, err := alien.Take(ctx, "x"); err != nil || string(got) != valuable {
		t.Errorf("after a reload the former stranger takes %q %v", got, err)
	}
	if err = both.Save(ctx, "x", []byte(valuable), time.Minute); err != nil {
		t.Fatal(err)
	}
	if got, err := old.Load(ctx, "x"); err != nil || got != nil {
		t.Errorf("the newest key did not seal: %q %v", got, err)
	}
}

// TestSecretStore_UnknownVersion checks that a value of a later version is refused and
// kept.
func TestSecretStore_UnknownVersion(t *testing.T) {
	redis := hubtest.StartRedis(t)
	v, ctx := openSecretStore(t, redis.URL, "a1"), t.Context()
	for _, later := range []string{"3.a1:" + strings.Repeat("x", 40), "3.", "10.\x00"} {
		redis.Client.Set(ctx, "loginhub:vault:{x}", later, time.Minute)
		if got, err := v.Take(ctx, "x"); !errors.Is(err, ticket.ErrUnknownKey) || got != nil {
			t.Errorf("of %q: %q %v", later, got, err)
		}
		if stays := redis.Client.Get(ctx, "loginhub:vault:{x}").Val(); stays != later {
			t.Errorf("%q became %q", later, stays)
		}
	}
}

// TestSecretStore_Versions: every node reads both versions, and writes the configured one.
// The value of version 1 is as nodes of earlier releases write it.
func TestSecretStore_Versions(t *testing.T) {
	redis := hubtest.StartRedis(t)
	v, ctx := openSecretStore(t, redis.URL, "a1"), t.Context()
	ring, err := redisstore.NewSecretKeyring(secretKeys("a1"))
	if err != nil {
		t.Fatal(err)
	}
	for version, head := range map[int]string{1: "a1:", 2: "2.a1:"} {
		v.Reload(ring.WithVersion(version))
		if err := v.Save(ctx, "x", []byte(valuable), time.Minute); err != nil {
			t.Fatal(err)
		}
		raw, err := redis.Client.Get(ctx, "loginhub:vault:{x}").Result()
		if err != nil || !strings.HasPrefix(raw, head) {
			t.Errorf("version %d begins with %.6q (%v)", version, raw, err)
		}
		v.Reload(ring.WithVersion(3 - version))
		if got, err := v.Take(ctx, "x"); err != nil || string(got) != valuable {
			t.Errorf("version %d is read as %q %v", version, got, err)
		}
	}
	block, _ := aes.NewCipher(secretKeys("a1")[0].AES)
	gcm, _ := cipher.NewGCM(block)
	nonce := []byte("twelve bytes")
	redis.Client.Set(ctx, "loginhub:vault:{x}", append([]byte("a1:"), gcm.Seal(nonce, nonce, []byte(valuable), []byte("x"))...), time.Minute)
	if got, err := v.Load(ctx, "x"); err != nil || string(got) != valuable {
		t.Errorf("an earlier release's value is read as %q %v", got, err)
	}
}

func TestSecretStore_Confidentiality(t *testing.T) {
	redis := hubtest.StartRedis(t)
	ctx := t.Context()
	v := openSecretStore(t, redis.URL, "a1")
	if err := v.Save(ctx, "x", []byte(valuable), time.Minute); err != nil {
		t.Fatal(err)
	}
	raw, err := redis.Client.Get(ctx, "loginhub:vault:{x}").Result()
	if err != nil || strings.Contains(raw, valuable) {
		t.Fatalf("in clear: %q %v", raw, err)
	}
	if left := redis.Client.PTTL(ctx, "loginhub:vault:{x}").Val(); left <= 0 || left > time.Minute {
		t.Errorf("lives for %v", left)
	}
	forged := map[string]string{"another name's value": raw, "a turned bit": raw[:len(raw)-1] + string(raw[len(raw)-1]^1),
		"cut": raw[:len(raw)-1], "no nonce": raw[:5], "in clear": valuable, "empty": ""}
	for what, text := range forged {
		redis.Client.Set(ctx, "loginhub:vault:{y}", text, 0)
		if got, err := v.Load(ctx, "y"); err != nil || got != nil {
			t.Errorf("%s is taken: %q %v", what, got, err)
		}
	}
}

func TestSecretStore_TakeOnce(t *testing.T) {
	for _, url := range []string{redisstore.Embedded, hubtest.StartRedis(t).URL} {
		ctx := t.Context()
		v := openSecretStore(t, url, "a1")
		if err := v.Save(ctx, "x", []byte(valuable), time.Minute); err != nil {
			t.Fatal(err)
		}
		var takers, claimants atomic.Int32
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if got, err := v.Take(ctx, "x"); err != nil {
					t.Error(err)
				} else if got != nil {
					takers.Add(1)
				}
				if first, err := v.SetNX(ctx, "c", time.Minute); err != nil {
					t.Error(err)
				} else if first {
					claimants.Add(1)
				}
			})
		}
		all.Wait()
		if takers.Load() != 1 || claimants.Load() != 1 {
			t.Errorf("%s: %d took, %d claimed", url, takers.Load(), claimants.Load())
		}
	}
}

func TestSecretStore_Unavailable(t *testing.T) {
	v := openSecretStore(t, "redis://127.0.0.1:"+hubtest.FreePort(t)+"/0", "a1")
	ctx := t.Context()
	_, load := v.Load(ctx, "x")
	_, take := v.Take(ctx, "x")
	first, claim := v.SetNX(ctx, "x", time.Minute)
	if load == nil || take == nil || claim == nil || first || v.Save(ctx, "x", nil, time.Minute) == nil {
		t.Errorf("load %v, take %v, claim %v %v", load, take, first, claim)
	}
}
