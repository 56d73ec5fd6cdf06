package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// freshFor is how long the hub allows its keys to be cached. A key rotation waits
	// at least that long.
	freshFor = 5 * time.Minute
	// minRefetch is the least time between two fetches. Anyone can send tokens with
	// invented kids; they cause at most six requests a minute.
	minRefetch = 10 * time.Second
	// minRetry is the least time between two fetches before the first has succeeded.
	minRetry     = time.Second
	fetchTimeout = 5 * time.Second
	maxJWKSBytes = 512 << 10 // bytes of the JWKS
)

// keys caches the hub's public keys (RFC 7517). If the hub is down, the last ones are
// used until they are maxAge old, because the hub may have withdrawn a key meanwhile.
type keys struct {
	url    string
	client *http.Client
	now    func() time.Time
	maxAge time.Duration

	mu          sync.Mutex
	byKID       map[string][]key
	lastSuccess time.Time // the last answer that was one
	lastFetch   time.Time // the last fetch that is over
	lastErr     error     // of that fetch
	inFlight    chan struct{}
}

// find returns the keys of the kid. It fetches the keys first if the kid is unknown or
// the keys are stale, but not sooner than minRefetch after the last fetch.
func (k *keys) find(ctx context.Context, kid string) ([]key, error) {
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
		cause := k.lastErr
		if cause == nil {
			cause = errTooSoon
		}
		return nil, fmt.Errorf("%w: the cached ones are %v old, Options.KeysMaxAge is %v: %w", ErrKeys, age.Round(time.Second), k.maxAge, cause)
	}
	if key, ok := k.byKID[kid]; ok {
		return key, nil
	}
	if k.lastErr != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, k.lastErr) // a new key may be among them
	}
	return nil, ErrUnknownKey
}

// errTooSoon means that the last fetch is too recent for another one.
var errTooSoon = errors.New("fetch keys: the last fetch is too recent")

// startFetch starts a fetch, or joins the one under way. The channel is closed when the
// fetch ends; nil means that no fetch is allowed yet. The fetch outlives the request
// that started it, because others wait for it too. Called with mu held.
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

// fetch gets the usable keys from the hub.
func (k *keys) fetch(ctx context.Context) (map[string][]key, error) {
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
		return nil, fmt.Errorf("fetch keys: HTTP status %d", answer.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxJWKSBytes+1))
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	if len(text) > maxJWKSBytes {
		return nil, fmt.Errorf("fetch keys: the answer is larger than %d KiB", maxJWKSBytes>>10)
	}
	return parseKeys(text)
}
