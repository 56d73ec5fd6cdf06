package assertion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	fetchTimeout = 5 * time.Second
	// freshFor is how long keys are used before they are fetched again. A key that
	// the company has removed is refused after that.
	freshFor = 5 * time.Minute
	// staleFor is how long keys are used if they cannot be fetched.
	staleFor = time.Hour
	// minRefetch is the least time between two fetches. Anyone can send unknown
	// kids, and each asks for a fetch.
	minRefetch = 10 * time.Second
)

var (
	// ErrKeys means that the JWKS cannot be fetched now.
	ErrKeys = errors.New("the app's keys cannot be fetched now")
	// ErrConfig means that the URL returns no usable JWKS. The operator must correct
	// the URL or the keys.
	ErrConfig = errors.New("the app's JWKS URL returns no usable keys")
)

// keys is the company's JWKS, cached.
type keys struct {
	url       string
	transport *http.Transport
	current   atomic.Pointer[keySet] // the last fetched set; nil before the first
	fetchLock chan struct{}          // holds one element during a fetch

	// Guarded by fetchLock. Times are monotonic, also in keySet: a jump of the
	// clock causes no fetch.
	lastFetch time.Time
	lastErr   error // of the last fetch
}

// keySet holds the usable keys of one JWKS. It is immutable.
type keySet struct {
	keys    []jose.JSONWebKey
	fetched time.Time
}

// CheckURL returns an error for a JWKS URL whose answer others on the network could
// replace: anything but https, except on this machine.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return errors.New("must be a URL like https://sso.example.com/jwks.json")
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback) {
		return errors.New("must be https (http only on this machine): anyone who can replace the keys can log in as any user")
	}
	return nil
}

func newKeys(url string) *keys {
	return &keys{url: url, fetchLock: make(chan struct{}, 1),
		transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: time.Second}}
}

// find returns the keys that may have signed under the kid ("" for none). It does
// not block if a fresh set has the kid: unknown kids and a slow JWKS server must not
// delay users with a known key.
func (k *keys) find(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	if found := k.current.Load().fresh(kid); len(found) > 0 {
		return found, nil
	}
	select {
	case k.fetchLock <- struct{}{}:
		defer func() { <-k.fetchLock }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrKeys, ctx.Err())
	}
	// The previous holder of the lock may have fetched the keys already.
	if k.lastFetch.IsZero() || time.Since(k.lastFetch) >= minRefetch {
		k.fetch(ctx)
	}
	held := k.current.Load()
	found := held.usable(kid)
	if k.lastErr != nil && (held == nil || time.Since(held.fetched) > staleFor || len(found) == 0) {
		return nil, k.lastErr
	}
	return found, nil
}

// fresh returns the usable keys of the kid if the set is younger than freshFor.
func (s *keySet) fresh(kid string) []jose.JSONWebKey {
	if s == nil || time.Since(s.fetched) >= freshFor {
		return nil
	}
	return s.usable(kid)
}

// usable returns the keys of that kid, which need not be unique (RFC 7517, section
// 4.5). Without a kid it returns a key only if the set has exactly one.
func (s *keySet) usable(kid string) []jose.JSONWebKey {
	if s == nil {
		return nil
	}
	var found []jose.JSONWebKey
	for _, key := range s.keys {
		if kid == "" || key.KeyID == kid {
			found = append(found, key)
		}
	}
	if kid == "" && len(found) != 1 {
		return nil
	}
	return found
}

// fetch replaces the current set. A set without a usable key replaces it too, because
// the company may have withdrawn its keys; it is reported as ErrConfig. Called with
// fetchLock held.
func (k *keys) fetch(ctx context.Context) {
	k.lastFetch = time.Now()
	found, err := k.download(ctx)
	if err == nil || errors.Is(err, errNoKey) {
		k.current.Store(&keySet{found, k.lastFetch})
	}
	k.lastErr = err
}

// errNoKey is an ErrConfig.
var errNoKey = fmt.Errorf("%w: no usable key in the set; it needs a public key for signatures: EC P-256, Ed25519, or RSA of %d bits or more", ErrConfig, minRSABits)

// download uses the RoundTripper directly: an http.Client follows redirects, and its errors
// quote the URL, whose query may be a secret.
func (k *keys) download(ctx context.Context) ([]jose.JSONWebKey, error) {
	// A phone that disconnects must not cancel the fetch that others wait for.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := k.transport.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return nil, fmt.Errorf("%w: HTTP status %d", ErrKeys, resp.StatusCode)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: HTTP status %d", ErrConfig, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxJWKSBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	if len(body) > MaxJWKSBytes {
		return nil, fmt.Errorf("%w: over %d KiB", ErrConfig, MaxJWKSBytes>>10)
	}
	found, err := ParseJWKS(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if len(found) == 0 {
		return nil, errNoKey
	}
	return found, nil
}

// KeySource is the JWKS at a URL, cached as the app's. It is safe for concurrent use.
type KeySource struct{ keys *keys }

// NewKeySource returns the keys at a URL, which the caller has checked (CheckURL).
func NewKeySource(url string) *KeySource { return &KeySource{newKeys(url)} }

// Find returns the keys that may have signed under the kid ("" for none). Errors are
// ErrKeys and ErrConfig.
func (s *KeySource) Find(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	return s.keys.find(ctx, kid)
}

// Count fetches the keys, without a cache, and returns how many are usable. Without a
// usable key it returns ErrConfig.
func (s *KeySource) Count(ctx context.Context) (int, error) {
	found, err := s.keys.download(ctx)
	return len(found), err
}
