package assertion

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// newSlowBackend serves one key under "known": at once the first time, later only
// after release is called.
func newSlowBackend(t *testing.T) (k *keys, fetches *atomic.Int32, release func()) {
	t.Helper()
	public, _, _ := ed25519.GenerateKey(nil)
	fetches, gate := &atomic.Int32{}, make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if fetches.Add(1) > 1 {
			<-gate
		}
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "known", Use: "sig"}}})
	}))
	t.Cleanup(s.Close)
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release) // before Close, which waits for the answers
	k = newKeys(s.URL)
	t.Cleanup(k.transport.CloseIdleConnections)
	return k, fetches, release
}

func withTimeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// requireKnownKey checks that find returns the known key and no other.
func requireKnownKey(t *testing.T, k *keys, kid string) {
	t.Helper()
	if found, err := k.find(withTimeout(t), kid); err != nil || len(found) != 1 || found[0].KeyID != "known" {
		t.Errorf("kid %q: %v %v", kid, found, err)
	}
}

// An error does not quote the URL, whose query may be a secret.
func TestKeys_Cause(t *testing.T) {
	k := newKeys("http://127.0.0.1:1/keys?token=s3cret")
	if _, err := k.find(withTimeout(t), "kid"); !errors.Is(err, ErrKeys) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
}

func TestKeys_KnownKeyNotDelayed(t *testing.T) {
	k, fetches, release := newSlowBackend(t)
	requireKnownKey(t, k, "known")
	k.lastFetch = k.lastFetch.Add(-minRefetch) // from now on an unknown kid causes a fetch
	stranger := make(chan int, 1)
	go func() {
		found, err := k.find(context.Background(), "unknown")
		if err != nil {
			t.Error(err)
		}
		stranger <- len(found)
	}()
	for deadline := time.Now().Add(time.Minute); fetches.Load() < 2; {
		if time.Now().After(deadline) {
			t.Fatal("the unknown kid causes no fetch")
		}
		<-time.After(time.Millisecond)
	}
	for _, kid := range []string{"known", ""} {
		ctx, cancel := context.WithTimeout(t.Context(), fetchTimeout/5) // the fetch is blocked meanwhile
		found, err := k.find(ctx, kid)
		cancel()
		if err != nil || len(found) != 1 {
			t.Errorf("kid %q waits for the fetch of an unknown kid: %v", kid, err)
		}
	}
	if len(stranger) != 0 {
		t.Fatal("the fetch ended too early: the test is void")
	}
	release()
	if n := <-stranger; n != 0 {
		t.Errorf("%d keys for the unknown kid", n)
	}
	if n := fetches.Load(); n != 2 {
		t.Errorf("%d fetches", n)
	}
	requireKnownKey(t, k, "known")
}

// Stale keys are fetched by one of all callers that need them, so that a key that the
// company has removed is refused.
func TestKeys_StaleFetchedOnce(t *testing.T) {
	k, fetches, release := newSlowBackend(t)
	requireKnownKey(t, k, "known")
	old := *k.current.Load()
	old.fetched = old.fetched.Add(-freshFor)
	k.current.Store(&old)
	k.lastFetch = k.lastFetch.Add(-minRefetch)
	release()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { requireKnownKey(t, k, "known") })
	}
	all.Wait()
	if n := fetches.Load(); n != 2 {
		t.Errorf("%d fetches", n)
	}
}
