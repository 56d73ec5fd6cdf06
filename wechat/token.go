package wechat

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// TokenStore stores small secret values for all nodes. It must encrypt them: they
// are access tokens.
type TokenStore interface {
	// Now returns the time of a clock that all nodes share.
	Now() time.Time
	// Load returns the value of a name, or nil if there is none.
	Load(ctx context.Context, name string) ([]byte, error)
	// Save stores a value that expires after life.
	Save(ctx context.Context, name string, value []byte, life time.Duration) error
	// SetNX returns true for the first of all nodes that sets the name, until
	// life is over.
	SetNX(ctx context.Context, name string, life time.Duration) (bool, error)
}

const (
	// handover is the time before a token's end at which WeChat issues the next
	// one. Both are valid meanwhile.
	handover = 5 * time.Minute
	// longest bounds the life of a token.
	longest = 2 * time.Hour
	// claimLife is how long one node alone renews; it exceeds a call's time limit.
	claimLife = 10 * time.Second
	// claimWait is how long a node without a token waits for the renewing node
	// before it calls WeChat itself. It gets the same token.
	claimWait = 3 * time.Second
	claimTick = 50 * time.Millisecond
	// maxToken bounds a token. WeChat says to reserve at least 512 characters.
	maxToken = 4096
)

// Tokens holds the access_token of one application, which all nodes share. It is
// safe for concurrent use.
//
// It calls stable_token, which returns the same token until five minutes before its
// end. So nodes do not invalidate each other's token, and no forced renewal is
// needed, which WeChat allows twenty times a day.
type Tokens struct {
	// Warn is called if a token that is still valid could not be renewed; may be
	// nil.
	Warn func(error)

	// Fixed after NewTokens.
	client *apiClient
	appID  string
	secret *string
	store  TokenStore
	turn   chan struct{} // held by the goroutine that renews on this node

	mu      sync.Mutex
	current grant
}

// grant is a token in the form of the store.
type grant struct {
	Token   string    `json:"token"`
	Renew   time.Time `json:"renew"`   // time from which the next one is requested
	Expires time.Time `json:"expires"` // by the store's clock
	Asked   time.Time `json:"asked,omitzero"`
}

// NewTokens returns the token holder of an application. It makes no call.
func NewTokens(c Config, store TokenStore) (*Tokens, error) {
	h, err := c.apiClient()
	if err != nil {
		return nil, err
	}
	return &Tokens{client: h, appID: c.AppID, secret: &c.Secret, store: store, turn: make(chan struct{}, 1)}, nil
}

// use calls do with the token and, if WeChat refuses it as stale, once more with a
// new one. The call must be repeatable.
func (t *Tokens) use(ctx context.Context, do func(token string) error) error {
	token, err := t.get(ctx, "")
	if err != nil {
		return err
	}
	err = do(token)
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindStale {
		return err
	}
	if token, err = t.get(ctx, token); err != nil {
		return err
	}
	if err = do(token); errors.As(err, &e) && e.Kind == KindStale {
		// Another program forces renewals, or the token is another application's.
		e.Kind = KindConfig
	}
	return err
}

// get returns the token. stale is a token that WeChat has refused, or empty.
func (t *Tokens) get(ctx context.Context, stale string) (string, error) {
	held := t.held()
	if held.fresh(t.store.Now(), stale) {
		return held.Token, nil
	}
	select {
	case t.turn <- struct{}{}:
	default:
		if held.usable(t.store.Now(), stale) {
			return held.Token, nil // another goroutine renews
		}
		select {
		case t.turn <- struct{}{}:
		case <-ctx.Done():
			return "", t.call().unavailable("no access_token yet", ctx.Err())
		}
	}
	defer func() { <-t.turn }()
	if held = t.held(); held.fresh(t.store.Now(), stale) {
		return held.Token, nil
	}
	g, err := t.renew(ctx, held, stale)
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	t.current = g
	t.mu.Unlock()
	return g.Token, nil
}

// Age returns the time since the held token was requested, by any node, and the
// time that it is still valid, which is negative afterwards. ok is false if this
// node holds none.
func (t *Tokens) Age() (age, left time.Duration, ok bool) {
	g := t.held()
	if g.Token == "" || g.Asked.IsZero() {
		return 0, 0, false
	}
	now := t.store.Now()
	return now.Sub(g.Asked), g.Expires.Sub(now), true
}

func (t *Tokens) held() grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current
}

func (g grant) usable(now time.Time, stale string) bool {
	return g.Token != "" && g.Token != stale && now.Before(g.Expires)
}

func (g grant) fresh(now time.Time, stale string) bool {
	return g.usable(now, stale) && now.Before(g.Renew)
}

// renew returns the next token, from the store if another node has saved it, or
// from WeChat. It prefers a token that is still valid to an error.
func (t *Tokens) renew(ctx context.Context, held grant, stale string) (grant, error) {
	shared, err := t.load(ctx)
	if err != nil {
		return grant{}, err
	}
	if shared.fresh(t.store.Now(), stale) {
		return shared, nil
	}
	if shared.usable(t.store.Now(), stale) {
		held = shared
	}
	first, err := t.store.SetNX(ctx, t.claim(stale), claimLife)
	if err != nil {
		return grant{}, t.call().unavailable("no access_token: store", err)
	}
	if !first {
		if held.usable(t.store.Now(), stale) {
			return held, nil
		}
		if shared, err := t.await(ctx, stale); err != nil || shared.Token != "" {
			return shared, err
		}
	}
	next, err := t.fetch(ctx)
	if err != nil {
		if held.usable(t.store.Now(), stale) {
			if t.Warn != nil {
				t.Warn(err)
			}
			return held, nil
		}
		return grant{}, err
	}
	value, err := json.Marshal(next)
	if err == nil {
		err = t.store.Save(ctx, t.name(), value, next.Expires.Sub(t.store.Now()))
	}
	if err != nil && t.Warn != nil {
		t.Warn(t.call().unavailable("access_token not shared", err)) // the other nodes get the same one
	}
	return next, nil
}

// await returns the token that another node is fetching, or none after claimWait.
func (t *Tokens) await(ctx context.Context, stale string) (grant, error) {
	limit := time.NewTimer(claimWait)
	defer limit.Stop()
	tick := time.NewTicker(claimTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return grant{}, t.call().unavailable("no access_token yet", ctx.Err())
		case <-limit.C:
			return grant{}, nil
		case <-tick.C:
		}
		shared, err := t.load(ctx)
		if err != nil || shared.usable(t.store.Now(), stale) {
			return shared, err
		}
	}
}

func (t *Tokens) load(ctx context.Context) (grant, error) {
	value, err := t.store.Load(ctx, t.name())
	if err != nil {
		return grant{}, t.call().unavailable("no access_token: store", err)
	}
	var g grant
	if value == nil || json.Unmarshal(value, &g) != nil {
		return grant{}, nil
	}
	return g, nil
}

// fetch requests a token from WeChat.
//
// https://developers.weixin.qq.com/doc/service/api/base/api_getstableaccesstoken
func (t *Tokens) fetch(ctx context.Context) (grant, error) {
	c := t.call()
	var err error
	c.body, err = json.Marshal(map[string]any{"grant_type": "client_credential",
		"appid": t.appID, "secret": *t.secret, "force_refresh": false})
	if err != nil {
		return grant{}, c.unavailable("request not made", err)
	}
	asked := t.store.Now()
	var answer struct {
		Token     string `json:"access_token"`
		ExpiresIn int64  `json:"expires_in"`
	}
	if err := t.client.get(ctx, c, &answer); err != nil {
		return grant{}, err
	}
	if answer.Token == "" || len(answer.Token) > maxToken {
		return grant{}, c.unavailable("answer without a usable access_token", nil)
	}
	life := lifeOf(answer.ExpiresIn)
	return grant{Token: answer.Token, Asked: asked, Expires: asked.Add(life), Renew: asked.Add(life - min(handover, life/2))}, nil
}

// lifeOf clamps expires_in. WeChat sends values down to 300; 0 must neither mean an
// endless life nor make every call a renewal.
func lifeOf(expiresIn int64) time.Duration {
	return time.Duration(min(max(expiresIn, 2), int64(longest/time.Second))) * time.Second
}

func (t *Tokens) call() call {
	return call{op: OpToken, path: "/cgi-bin/stable_token", hidden: []string{*t.secret}}
}

func (t *Tokens) name() string { return "wechat:token:" + t.appID }

// claim returns the name that the renewing node sets. It differs for every refused
// token, so that the first node that meets one renews at once.
func (t *Tokens) claim(stale string) string {
	name := "wechat:renew:" + t.appID
	if stale != "" {
		sum := sha256.Sum256([]byte(stale))
		name += ":" + hex.EncodeToString(sum[:8])
	}
	return name
}

// Close closes the idle connections of the package's own transport.
func (t *Tokens) Close() { t.client.close() }

// AccessToken requests an application's stable token once and returns how long it is
// valid. It forces no renewal, so that running nodes are not affected. An error is
// always an [*Error].
func AccessToken(ctx context.Context, c Config) (life time.Duration, err error) {
	t, err := NewTokens(c, wallClock{})
	if err != nil {
		return 0, err
	}
	defer t.Close()
	g, err := t.fetch(ctx)
	if err != nil {
		return 0, err
	}
	return time.Until(g.Expires).Round(time.Second), nil
}

// wallClock is a store of which fetch uses only the time.
type wallClock struct{ TokenStore }

func (wallClock) Now() time.Time { return time.Now() }
