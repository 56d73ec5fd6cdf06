package httpcall

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"loginhub/hub/provider"
)

const (
	// handover is the time before a token's end from which the next one is fetched.
	handover = 5 * time.Minute
	// claimLife is how long one node alone fetches; it exceeds a call's limit.
	claimLife = Limit + 2*time.Second
	// claimWait is how long a node without a token waits for the fetching node before it
	// fetches one itself.
	claimWait = 2 * time.Second
	claimTick = 50 * time.Millisecond
)

// Token is an access token that all nodes share: one node fetches it, and fetches the
// next one before it ends. It is safe for concurrent use.
type Token struct {
	TokenSource
	turn chan struct{} // held by the goroutine that fetches on this node

	mu   sync.Mutex
	held grant
	bad  string // token that the provider has refused
}

// TokenSource says where a Token comes from.
type TokenSource struct {
	Name  string               // of the application, in the store
	Store provider.SharedStore // nil: nothing is shared, for a check
	Log   *slog.Logger         // nil: no warnings
	// Fetch requests a token of the provider, and returns how long it is valid.
	Fetch func(ctx context.Context) (token string, life time.Duration, err error)
}

// NewToken returns a token. It fetches nothing.
func NewToken(from TokenSource) *Token {
	return &Token{TokenSource: from, turn: make(chan struct{}, 1)}
}

// grant is a token in the form of the store.
type grant struct {
	Token   string    `json:"token"`
	Asked   time.Time `json:"asked"`
	Renew   time.Time `json:"renew"` // time from which the next one is fetched
	Expires time.Time `json:"expires"`
}

// Get returns the token. Its errors are those of Fetch and of the store.
func (t *Token) Get(ctx context.Context) (string, error) {
	if t.Store == nil {
		token, _, err := t.Fetch(ctx)
		return token, err
	}
	held, bad := t.current()
	if held.fresh(t.Store.Now(), bad) {
		return held.Token, nil
	}
	select {
	case t.turn <- struct{}{}:
	default:
		if held.usable(t.Store.Now(), bad) {
			return held.Token, nil // another goroutine fetches the next one
		}
		select {
		case t.turn <- struct{}{}:
		case <-ctx.Done():
			return "", t.noToken(ctx)
		}
	}
	defer func() { <-t.turn }()
	if held, bad = t.current(); held.fresh(t.Store.Now(), bad) {
		return held.Token, nil
	}
	next, err := t.renew(ctx, held, bad)
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held, t.bad = next, ""
	return next.Token, nil
}

// Drop makes Get return another token than this one, which the provider has refused.
func (t *Token) Drop(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bad = token
}

// Age implements provider.AccessToken.
func (t *Token) Age() (age, left time.Duration, ok bool) {
	held, _ := t.current()
	if held.Token == "" {
		return 0, 0, false
	}
	now := t.Store.Now()
	return now.Sub(held.Asked), held.Expires.Sub(now), true
}

func (t *Token) current() (held grant, bad string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held, t.bad
}

func (g grant) usable(now time.Time, bad string) bool {
	return g.Token != "" && g.Token != bad && now.Before(g.Expires)
}

func (g grant) fresh(now time.Time, bad string) bool {
	return g.usable(now, bad) && now.Before(g.Renew)
}

// renew returns the next token, from the store if another node has saved it, or from the
// provider. It prefers a token that is still valid to an error.
func (t *Token) renew(ctx context.Context, held grant, bad string) (grant, error) {
	shared, err := t.load(ctx)
	if err != nil || shared.fresh(t.Store.Now(), bad) {
		return shared, err
	}
	if shared.usable(t.Store.Now(), bad) {
		held = shared
	}
	first, err := t.Store.SetNX(ctx, t.claim(bad), claimLife)
	if err != nil {
		return grant{}, fmt.Errorf("access token of %s: %w", t.Name, err)
	}
	if !first && held.usable(t.Store.Now(), bad) {
		return held, nil
	}
	if !first {
		if shared, err = t.await(ctx, bad); err != nil || shared.Token != "" {
			return shared, err
		}
	}
	next, err := t.fetch(ctx)
	if err != nil && held.usable(t.Store.Now(), bad) {
		t.warn("the access token is not renewed", err)
		return held, nil
	}
	return next, err
}

// await returns the token that another node is fetching, or none after claimWait.
func (t *Token) await(ctx context.Context, bad string) (grant, error) {
	limit := time.NewTimer(claimWait)
	defer limit.Stop()
	tick := time.NewTicker(claimTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return grant{}, t.noToken(ctx)
		case <-limit.C:
			return grant{}, nil
		case <-tick.C:
		}
		shared, err := t.load(ctx)
		if err != nil || shared.usable(t.Store.Now(), bad) {
			return shared, err
		}
	}
}

func (t *Token) load(ctx context.Context) (g grant, err error) {
	value, err := t.Store.Load(ctx, t.Name)
	if err != nil {
		return g, fmt.Errorf("access token of %s: %w", t.Name, err)
	}
	if value == nil || json.Unmarshal(value, &g) != nil {
		return grant{}, nil
	}
	return g, nil
}

// fetch requests a token and saves it for all nodes.
func (t *Token) fetch(ctx context.Context) (grant, error) {
	asked := t.Store.Now()
	token, life, err := t.Fetch(ctx)
	if err != nil {
		return grant{}, err
	}
	life = min(max(life, 2*time.Second), 24*time.Hour) // a wrong 0 must not make every call a renewal
	next := grant{Token: token, Asked: asked, Expires: asked.Add(life), Renew: asked.Add(life - min(handover, life/2))}
	value, err := json.Marshal(next)
	if err == nil {
		err = t.Store.Save(ctx, t.Name, value, life)
	}
	if err != nil {
		t.warn("the access token is not shared", err)
	}
	return next, nil
}

func (t *Token) noToken(ctx context.Context) error {
	return fmt.Errorf("%w: no access token of %s yet: %w", provider.ErrProviderUnavailable, t.Name, ctx.Err())
}

func (t *Token) warn(text string, err error) {
	if t.Log != nil {
		t.Log.Warn(text, "application", t.Name, "error", err)
	}
}

// claim returns the name that the fetching node sets. It differs for every refused
// token, so that the first node that meets one fetches at once.
func (t *Token) claim(bad string) string {
	name := t.Name + ":renew"
	if bad != "" {
		sum := sha256.Sum256([]byte(bad))
		name += ":" + hex.EncodeToString(sum[:8])
	}
	return name
}
