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
	// freshFor is how long keys are used before they are fetched anew: a key
	// that the company has taken out is refused after that.
	freshFor = 5 * time.Minute
	// staleFor is how long keys are used while they cannot be fetched.
	staleFor = time.Hour
	// minRefetch is the least time between two fetches: unknown kids are for
	// everybody to send.
	minRefetch = 10 * time.Second
)

// ErrKeys is a JWKS that cannot be had; ErrConfig one that is not there or no
// JWKS, which the operator has to mend.
var (
	ErrKeys   = errors.New("the app's keys cannot be had")
	ErrConfig = errors.New("the app's JWKS URL gives no keys")
)

// keys is the company's JWKS, cached.
type keys struct {
	url       string
	client    *http.Client
	current   atomic.Pointer[keySet] // what was fetched last; nil before
	fetchLock chan struct{}          // held by the one who fetches

	// Owned by the holder of turn. Monotonic, as keySet's: a jump of the clock is
	// no reason to fetch.
	lastFetch time.Time
	lastErr   error // of the last try
}

// keySet is the usable keys of one JWKS. It does not change.
type keySet struct {
	keys    []jose.JSONWebKey
	fetched time.Time
}

// CheckURL refuses a JWKS URL over which anybody could send keys.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return errors.New("must be a URL like https://sso.example.com/jwks.json")
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback) {
		return errors.New("must be https (http only on this machine): who can change the keys can log in as anybody")
	}
	return nil
}

func newKeys(url string) *keys {
	return &keys{url: url, fetchLock: make(chan struct{}, 1), client: &http.Client{
		Timeout:       fetchTimeout,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// find gives the keys that may have signed under the kid ("" for none). Where
// fresh ones are at hand it waits for nobody: unknown kids, which everybody can
// send, and a slow company must not hold up those who are known.
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
	// Not again within the pause: who had the turn before has fetched them.
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

// fresh are usable keys that need not be fetched anew yet.
func (s *keySet) fresh(kid string) []jose.JSONWebKey {
	if s == nil || time.Since(s.fetched) >= freshFor {
		return nil
	}
	return s.usable(kid)
}

// usable are the keys of that kid, which need not be unique (RFC 7517, section
// 4.5). An assertion without a kid needs a set with one usable key.
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

// fetch is for the holder of turn. A set without a usable key takes effect, since
// the company may have withdrawn its keys, and is the operator's to mend.
func (k *keys) fetch(ctx context.Context) {
	k.lastFetch = time.Now()
	found, err := k.download(ctx)
	if err == nil {
		k.current.Store(&keySet{found, k.lastFetch})
		if len(found) == 0 {
			err = fmt.Errorf("%w: no usable key in the set; it needs a public key for signatures: EC P-256, Ed25519, or RSA of %d bits or more", ErrConfig, minRSABits)
		}
	}
	k.lastErr = err
}

func (k *keys) download(ctx context.Context) ([]jose.JSONWebKey, error) {
	// A phone that hangs up does not spoil the others' keys.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := k.client.Do(r)
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
	return found, nil
}
