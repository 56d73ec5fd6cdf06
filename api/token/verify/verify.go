package verify

import (
	"bytes"
	"context"
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

// Reasons why Verify refuses a token. For all but the last three, the token itself is
// invalid for good: answer 401 and show a new QR code.
var (
	ErrMalformed   = errors.New("not a JWT")
	ErrType        = errors.New("not a login token: typ has to be login+jwt and alg EdDSA or RS256")
	ErrUnknownKey  = errors.New("signed with a key that the hub does not publish")
	ErrSignature   = errors.New("the signature is invalid")
	ErrIssuer      = errors.New("made by another hub")
	ErrAudience    = errors.New("made for another site")
	ErrExpired     = errors.New("expired")
	ErrNotYetValid = errors.New("not valid yet: compare this machine's clock with the hub's")
	ErrNonce       = errors.New("made for another browser session: the nonce is not this session's")
	ErrReplayed    = errors.New("used before")

	// ErrKeys and ErrReplayStore do not depend on the token: answer 503.
	ErrKeys        = errors.New("the hub's keys cannot be fetched")
	ErrReplayStore = errors.New("the store of used tokens is unavailable")
	// ErrConfig means that an argument is missing: a mistake in the site's code.
	ErrConfig = errors.New("verify: hub, client id, nonce and store of used tokens are required")
)

// Options configures a Verifier. The zero value is right for production.
type Options struct {
	// KeysURL is the URL of the keys; "" is HUB/.well-known/jwks.json. Anyone who can
	// answer for it can log in as any user: use https or a trusted network.
	KeysURL string
	// HTTP fetches the keys; nil is a client that follows no redirects.
	HTTP *http.Client
	// Leeway is the allowed difference between this clock and the hub's; 0 is a minute,
	// a negative value is none.
	Leeway time.Duration
	// KeysMaxAge is how long keys are used after the last successful fetch if the hub
	// is unreachable. After that Verify returns ErrKeys. 0 is a day.
	KeysMaxAge time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

const (
	// maxTokenBytes is the largest accepted token. Those of the hub have at most 2 KiB.
	maxTokenBytes = 8 << 10
	maxIDBytes    = 128
	// defaultKeysMaxAge is the default of Options.KeysMaxAge.
	defaultKeysMaxAge = 24 * time.Hour
	// replayMargin is how much longer than the token its id is stored: the store may
	// use another clock.
	replayMargin = time.Minute
)

// Verifier verifies the tokens of one hub for one site. It is safe for concurrent use.
// Create one and keep it, because it caches the hub's keys.
type Verifier struct {
	hub, clientID string
	leeway        time.Duration
	now           func() time.Time
	keys          *keys
}

// New returns a verifier for the site with this client id. The hub is given by its
// public URL, the iss of its tokens. The keys are fetched with the first token.
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

// Verify verifies the token that the page has sent. The nonce must be read from the
// browser's session, in which the site stored it earlier, and never from the request.
// The token's id is recorded in seen as the last step: a token that is refused for
// another reason is not marked as used.
//
// Every error wraps one of this package and contains no part of the token.
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

// parseSigned verifies the signature (RFC 7515, RFC 7518, RFC 8037) and returns the claims, which
// are not checked yet.
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
	if head.Algorithm != algEdDSA && head.Algorithm != algRS256 || head.Type != "login+jwt" || head.Critical != nil {
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
	if !slices.ContainsFunc(candidates, func(k key) bool { return k.verify(head.Algorithm, text, signature) }) {
		return nil, ErrSignature
	}
	c := &Claims{}
	return c, decodeObject(parts[1], c)
}

// checkClaims checks the claims for this site, this session and the current time. It
// returns when the token expires, with the leeway.
func (v *Verifier) checkClaims(c *Claims, nonce string) (until time.Time, err error) {
	now := v.now()
	until = time.Unix(c.Expires, 0).Add(v.leeway)
	switch {
	case c.Issuer != v.hub:
		return until, ErrIssuer
	case c.Audience != v.clientID:
		return until, ErrAudience
	case c.Subject == "" || c.ID == "" || len(c.ID) > maxIDBytes || c.IssuedAt <= 0:
		return until, ErrMalformed
	case !now.Before(until): // also a token without exp
		return until, ErrExpired
	case time.Unix(max(c.IssuedAt, c.NotBefore), 0).After(now.Add(v.leeway)):
		return until, ErrNotYetValid
	case subtle.ConstantTimeCompare([]byte(c.Nonce), []byte(nonce)) != 1:
		return until, ErrNonce
	}
	return until, nil
}

// Claims are the claims of a login (RFC 7519; OpenID Connect Core 1.0, section 2).
type Claims struct {
	Subject   string   `json:"sub"` // the user: the key of the site's own account
	Issuer    string   `json:"iss"`
	Audience  string   `json:"aud"`
	ID        string   `json:"jti"`
	Nonce     string   `json:"nonce"`
	IssuedAt  int64    `json:"iat"` // Unix seconds, as all times below
	AuthTime  int64    `json:"auth_time"`
	NotBefore int64    `json:"nbf"` // 0: none
	Expires   int64    `json:"exp"`
	AMR       []string `json:"amr"` // the provider: wechat, wechat_web, app or sandbox
	AppID     string   `json:"appid"`
	OpenID    string   `json:"openid"`
	UnionID   string   `json:"unionid"`
	// Nickname and Picture come from the provider; "" if it returns none.
	Nickname string `json:"nickname"`
	Picture  string `json:"picture"`
	// Claimed is what the phone has sent about its user: display it, never trust it.
	Claimed struct {
		Nickname  string `json:"nickname"`
		AvatarURL string `json:"avatar_url"`
	} `json:"claimed"`
}

// decodeBase64url decodes base64url strictly: each value has exactly one encoding.
func decodeBase64url(part string) ([]byte, error) {
	if strings.ContainsAny(part, "\r\n") { // Go's decoder skips them
		return nil, ErrMalformed
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64url", ErrMalformed)
	}
	return b, nil
}

// decodeObject decodes a part of the token, which must be a JSON object, into v.
func decodeObject(part string, v any) error {
	text, err := decodeBase64url(part)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(text, []byte("{")) || json.Unmarshal(text, v) != nil {
		return fmt.Errorf("%w: a part is not the expected JSON object", ErrMalformed)
	}
	return nil
}
