package verify

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Why a token is no login. All but the last three are the token's fault and
// final: answer 401 and let the user scan again.
var (
	ErrMalformed   = errors.New("not a JWT")
	ErrType        = errors.New("not a login token: typ has to be login+jwt and alg EdDSA")
	ErrUnknownKey  = errors.New("signed with a key that the hub does not publish")
	ErrSignature   = errors.New("the signature does not fit")
	ErrIssuer      = errors.New("made by another hub")
	ErrAudience    = errors.New("made for another site")
	ErrExpired     = errors.New("expired")
	ErrNotYetValid = errors.New("not valid yet: compare this machine's clock with the hub's")
	ErrNonce       = errors.New("made for another browser session: the nonce is not this session's")
	ErrReplayed    = errors.New("used before")

	// ErrKeys and ErrSeen say nothing of the token: answer 503.
	ErrKeys        = errors.New("the hub's keys cannot be had")
	ErrReplayStore = errors.New("the store of used tokens does not answer")
	// ErrConfig is a call without what it needs: a mistake in the site's code.
	ErrConfig = errors.New("verify: needs a hub, a client id, a nonce and a store of used tokens")
)

// Options of a Verifier. The zero value is right for production.
type Options struct {
	// KeysURL is where the keys are; "" is HUB/.well-known/jwks.json. Who can
	// answer there can log in as anybody: https, or a network of your own.
	KeysURL string
	// HTTP fetches the keys; nil is a client of its own that follows no redirect.
	HTTP *http.Client
	// Leeway is by how much this clock and the hub's may differ; 0 is a minute,
	// below 0 is none.
	Leeway time.Duration
	// KeysMaxAge is how long the keys are used after their last successful fetch
	// if the hub cannot be reached; after that every token is ErrKeys. 0 is a day.
	KeysMaxAge time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

const (
	// maxTokenBytes bounds a token in bytes. The hub's have 2 KiB at the most.
	maxTokenBytes = 8 << 10
	maxIDBytes    = 128
	// defaultKeysMaxAge is Options.KeysMaxAge's default.
	defaultKeysMaxAge = 24 * time.Hour
	// replayMargin is how much longer than the token lives its id is remembered: the
	// store may go by another clock.
	replayMargin = time.Minute
)

// Verifier verifies the tokens of one hub for one site. It is safe for concurrent
// use; make one and keep it, for it keeps the hub's keys.
type Verifier struct {
	hub, clientID string
	leeway        time.Duration
	now           func() time.Time
	keys          *keys
}

// New makes the verifier of the site clientID. The hub is its public URL, as its
// tokens name it in iss; nothing is fetched before the first token.
func New(hub, clientID string, o Options) *Verifier {
	hub = strings.TrimRight(hub, "/")
	if o.KeysURL == "" {
		o.KeysURL = hub + "/.well-known/jwks.json"
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if o.Leeway == 0 {
		o.Leeway = time.Minute
	}
	if o.KeysMaxAge <= 0 {
		o.KeysMaxAge = defaultKeysMaxAge
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Verifier{hub: hub, clientID: clientID, leeway: max(0, o.Leeway), now: o.Now,
		keys: &keys{url: o.KeysURL, client: o.HTTP, now: o.Now, maxAge: o.KeysMaxAge}}
}

// Verify takes the token that the page has sent, and the nonce that the site gave
// to this browser session before: from the session, never from the request. The
// token's id is noted in seen, last of all, so that a token that is refused for
// anything else is not used up.
//
// Every error is or wraps one of this package's and holds nothing of the token.
func (v *Verifier) Verify(ctx context.Context, token, nonce string, seen ReplayStore) (*Claims, error) {
	if v.hub == "" || v.clientID == "" || nonce == "" || seen == nil {
		return nil, ErrConfig
	}
	c, err := v.parseSigned(ctx, token)
	if err != nil {
		return nil, err
	}
	until, err := v.checkClaims(c, nonce)
	if err != nil {
		return nil, err
	}
	first, err := seen.MarkUsed(ctx, c.ID, until.Add(replayMargin))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReplayStore, err)
	}
	if !first {
		return nil, ErrReplayed
	}
	return c, nil
}

// parseSigned reads what the hub has signed (RFC 7515, 8037); nothing of it is
// checked yet.
func (v *Verifier) parseSigned(ctx context.Context, token string) (*Claims, error) {
	parts := strings.Split(token, ".")
	if len(token) > maxTokenBytes || len(parts) != 3 {
		return nil, ErrMalformed
	}
	var head struct {
		Algorithm string          `json:"alg"`
		Type      string          `json:"typ"`
		Key       string          `json:"kid"`
		Critical  json.RawMessage `json:"crit"`
	}
	if err := decodeObject(parts[0], &head); err != nil {
		return nil, err
	}
	if head.Algorithm != "EdDSA" || head.Type != "login+jwt" || head.Critical != nil {
		return nil, ErrType
	}
	signature, err := decodeBase64url(parts[2])
	if err != nil {
		return nil, err
	}
	candidates, err := v.keys.find(ctx, head.Key)
	if err != nil {
		return nil, err
	}
	text := []byte(parts[0] + "." + parts[1])
	if !slices.ContainsFunc(candidates, func(key ed25519.PublicKey) bool { return ed25519.Verify(key, text, signature) }) {
		return nil, ErrSignature
	}
	c := &Claims{}
	return c, decodeObject(parts[1], c)
}

// checkClaims holds the claims to this site, this session and this time, and says until
// when they would.
func (v *Verifier) checkClaims(c *Claims, nonce string) (until time.Time, err error) {
	now := v.now()
	until = time.Unix(c.Expires, 0).Add(v.leeway)
	switch {
	case c.Issuer != v.hub:
		return until, ErrIssuer
	case c.Audience != v.clientID:
		return until, ErrAudience
	case c.Subject == "" || c.ID == "" || len(c.ID) > maxIDBytes:
		return until, ErrMalformed
	case !now.Before(until): // a token without exp too
		return until, ErrExpired
	case time.Unix(max(c.IssuedAt, c.NotBefore), 0).After(now.Add(v.leeway)):
		return until, ErrNotYetValid
	case subtle.ConstantTimeCompare([]byte(c.Nonce), []byte(nonce)) != 1:
		return until, ErrNonce
	}
	return until, nil
}

// Claims are what the hub says of a login (RFC 7519; OpenID Connect Core, 2).
type Claims struct {
	Subject   string   `json:"sub"` // the user: the key of the site's own account
	Issuer    string   `json:"iss"`
	Audience  string   `json:"aud"`
	ID        string   `json:"jti"`
	Nonce     string   `json:"nonce"`
	IssuedAt  int64    `json:"iat"` // Unix seconds, as all times here
	AuthTime  int64    `json:"auth_time"`
	NotBefore int64    `json:"nbf"` // 0: none
	Expires   int64    `json:"exp"`
	AMR       []string `json:"amr"` // the provider: wechat, wechat_web, app or sandbox
	AppID     string   `json:"appid"`
	OpenID    string   `json:"openid"`
	UnionID   string   `json:"unionid"`
	// Nickname and Picture are vouched for by the provider; "" where it says none.
	Nickname string `json:"nickname"`
	Picture  string `json:"picture"`
	// Claimed is what the phone says of its user: to be shown, never to be trusted.
	Claimed struct {
		Nickname  string `json:"nickname"`
		AvatarURL string `json:"avatar_url"`
	} `json:"claimed"`
}

// decodeBase64url decodes base64url; each text has one form only.
func decodeBase64url(part string) ([]byte, error) {
	if strings.ContainsAny(part, "\r\n") { // which Go's decoder skips
		return nil, ErrMalformed
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64url", ErrMalformed)
	}
	return b, nil
}

// decodeObject reads a part that has to be a JSON object.
func decodeObject(part string, v any) error {
	text, err := decodeBase64url(part)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(text, []byte("{")) || json.Unmarshal(text, v) != nil {
		return fmt.Errorf("%w: not the JSON that belongs there", ErrMalformed)
	}
	return nil
}
