package verify

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// freshFor is how long the hub lets its keys be cached. A rotation waits as
	// long.
	freshFor = 5 * time.Minute
	// minRefetch is between two fetches, whatever unknown kids are asked for: who
	// sends tokens with invented ones makes six requests a minute at the most.
	minRefetch = 10 * time.Second
	// minRetry is the same while there is not one key.
	minRetry   = time.Second
	fetchLimit = 5 * time.Second
	maxKeys    = 512 << 10 // bytes of the JWKS
)

// keys are the hub's (RFC 7517). If the hub is down, the last ones are used for
// maxAge: no longer, because a key that the hub has withdrawn meanwhile must not be
// accepted for ever.
type keys struct {
	url    string
	client *http.Client
	now    func() time.Time
	maxAge time.Duration

	mu     sync.Mutex
	known  map[string][]ed25519.PublicKey
	got    time.Time // the last answer that was one
	tried  time.Time // the last fetch that is over
	err    error     // of that fetch
	flight chan struct{}
}

// find gives the keys of that kid, and fetches the keys for it where that can
// help and is allowed.
func (k *keys) find(ctx context.Context, kid string) ([]ed25519.PublicKey, error) {
	k.mu.Lock()
	key, ok := k.known[kid]
	if ok && k.now().Sub(k.got) < freshFor {
		k.mu.Unlock()
		return key, nil
	}
	flight := k.startFetch(ctx)
	k.mu.Unlock()
	if flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrKeys, ctx.Err())
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if age := k.now().Sub(k.got); k.known != nil && age >= k.maxAge {
		return nil, fmt.Errorf("%w: the last ones are %v old, and Options.KeysMaxAge is %v: %w", ErrKeys, age.Round(time.Second), k.maxAge,
			cmp.Or(k.err, errNotYet))
	}
	if key, ok := k.known[kid]; ok {
		return key, nil
	}
	if k.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, k.err) // it may well be among them
	}
	return nil, ErrUnknownKey
}

// errNotYet is why no fetch was tried: the last one is too recent.
var errNotYet = errors.New("fetch keys: fetched a moment ago")

// startFetch joins the fetch under way, or begins one; nil where none is allowed yet.
// The caller holds mu. The fetch does not end with the request that began it,
// for others wait for it too.
func (k *keys) startFetch(ctx context.Context) <-chan struct{} {
	if k.flight != nil {
		return k.flight
	}
	rest := minRefetch
	if k.known == nil {
		rest = minRetry
	}
	if !k.tried.IsZero() && k.now().Sub(k.tried) < rest {
		return nil
	}
	done := make(chan struct{})
	k.flight = done
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchLimit)
		defer cancel()
		known, err := k.fetch(ctx)
		k.mu.Lock()
		defer k.mu.Unlock()
		k.flight, k.tried, k.err = nil, k.now(), err
		if err == nil {
			k.known, k.got = known, k.tried
		}
	}()
	return done
}

// fetch asks the hub for its usable keys.
func (k *keys) fetch(ctx context.Context) (map[string][]ed25519.PublicKey, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	answer, err := k.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch keys: the hub answers %d", answer.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxKeys+1))
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	if len(text) > maxKeys {
		return nil, fmt.Errorf("fetch keys: the answer is over %d KiB", maxKeys>>10)
	}
	return parseKeys(text)
}
