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
	minRetry     = time.Second
	fetchTimeout = 5 * time.Second
	maxJWKSBytes = 512 << 10 // bytes of the JWKS
)

// keys are the hub's (RFC 7517). If the hub is down, the last ones are used for
// maxAge: no longer, because a key that the hub has withdrawn meanwhile must not be
// accepted for ever.
type keys struct {
	url    string
	client *http.Client
	now    func() time.Time
	maxAge time.Duration

	mu          sync.Mutex
	byKID       map[string][]ed25519.PublicKey
	lastSuccess time.Time // the last answer that was one
	lastFetch   time.Time // the last fetch that is over
	lastErr     error     // of that fetch
	inFlight    chan struct{}
}

// find gives the keys of that kid, and fetches the keys for it where that can
// help and is allowed.
func (k *keys) find(ctx context.Context, kid string) ([]ed25519.PublicKey, error) {
	k.mu.Lock()
	key, ok := k.byKID[kid]
	if ok && k.now().Sub(k.lastSuccess) < freshFor {
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
	if age := k.now().Sub(k.lastSuccess); k.byKID != nil && age >= k.maxAge {
		return nil, fmt.Errorf("%w: the last ones are %v old, and Options.KeysMaxAge is %v: %w", ErrKeys, age.Round(time.Second), k.maxAge,
			cmp.Or(k.lastErr, errTooSoon))
	}
	if key, ok := k.byKID[kid]; ok {
		return key, nil
	}
	if k.lastErr != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, k.lastErr) // it may well be among them
	}
	return nil, ErrUnknownKey
}

// errTooSoon is why no fetch was tried: the last one is too recent.
var errTooSoon = errors.New("fetch keys: fetched a moment ago")

// startFetch joins the fetch under way, or begins one; nil where none is allowed yet.
// The caller holds mu. The fetch does not end with the request that began it,
// for others wait for it too.
func (k *keys) startFetch(ctx context.Context) <-chan struct{} {
	if k.inFlight != nil {
		return k.inFlight
	}
	rest := minRefetch
	if k.byKID == nil {
		rest = minRetry
	}
	if !k.lastFetch.IsZero() && k.now().Sub(k.lastFetch) < rest {
		return nil
	}
	done := make(chan struct{})
	k.inFlight = done
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		known, err := k.fetch(ctx)
		k.mu.Lock()
		defer k.mu.Unlock()
		k.inFlight, k.lastFetch, k.lastErr = nil, k.now(), err
		if err == nil {
			k.byKID, k.lastSuccess = known, k.lastFetch
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
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxJWKSBytes+1))
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	if len(text) > maxJWKSBytes {
		return nil, fmt.Errorf("fetch keys: the answer is over %d KiB", maxJWKSBytes>>10)
	}
	return parseKeys(text)
}
