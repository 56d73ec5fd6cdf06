package assertion

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	// MaxLifetime is the longest that an assertion may be good for.
	MaxLifetime = 2 * time.Minute
	// leeway is by how much the company's clock may be off.
	leeway = 30 * time.Second

	maxSubject = 200 // bytes
	maxID      = 128 // bytes
	minRSABits = 2048
)

// algorithms are asymmetric: with a symmetric one everybody who checks could
// sign, and a public key could be taken for the secret (RFC 8725, section 2.1).
var algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.RS256}

// ErrInvalid is an assertion that is not good, or not for this; the error says
// why, and quotes nothing of it.
var ErrInvalid = errors.New("assertion refused")

// ReplayStore remembers for all nodes what was used.
type ReplayStore interface {
	Now() time.Time // the nodes' common clock
	// SetNX is true for the first who asks for a name, until life is over.
	SetNX(ctx context.Context, name string, life time.Duration) (bool, error)
}

// Config is what a Verifier is made of; all of it is needed.
type Config struct {
	JWKSURL  string // see CheckURL
	Issuer   string // iss
	Audience string // aud: the hub's public URL
	Replays  ReplayStore
}

// Verifier checks the assertions of one issuer. It is safe for concurrent use.
type Verifier struct {
	Config
	keys *keys
}

// New makes a Verifier. It fetches nothing yet.
func New(c Config) (*Verifier, error) {
	if err := CheckURL(c.JWKSURL); err != nil {
		return nil, err
	}
	if c.Issuer == "" || c.Audience == "" || c.Replays == nil {
		return nil, errors.New("assertion: issuer, audience and memory are needed")
	}
	return &Verifier{c, newKeys(c.JWKSURL)}, nil
}

// Claims are what an assertion says (RFC 7519, section 4). Name and picture are
// OpenID Connect's (Core 1.0, section 5.1) and may be absent.
type Claims struct {
	jwt.Claims
	Ticket  string `json:"ticket"` // the ticket that it confirms, and no other
	Name    string `json:"name"`
	Picture string `json:"picture"`
}

// Verify checks an assertion for a ticket, and spends it: a second time it is
// refused, on any node. Errors are ErrRefused, ErrKeys, ErrConfig, or Once's.
func (v *Verifier) Verify(ctx context.Context, text, ticket string) (Claims, error) {
	var c Claims
	parsed, err := jwt.ParseSigned(text, algorithms)
	if err != nil || len(parsed.Headers) != 1 {
		return c, invalid("no JWT signed with ES256, EdDSA or RS256")
	}
	candidates, err := v.keys.find(ctx, parsed.Headers[0].KeyID)
	if err != nil {
		return c, err
	}
	if !verifySignature(parsed, candidates, &c) {
		return c, invalid("signed with no key of the JWKS")
	}
	now := v.Replays.Now()
	if err := v.checkClaims(c, ticket, now); err != nil {
		return c, err
	}
	// Remembered a little longer than it can be good for.
	first, err := v.Replays.SetNX(ctx, v.replayKey(c.ID), c.Expiry.Time().Sub(now)+2*leeway)
	if err != nil {
		return c, fmt.Errorf("assertion: %w", err)
	}
	if !first {
		return c, invalid("jti was used before")
	}
	return c, nil
}

// verifySignature fills c where one of the keys has signed.
func verifySignature(parsed *jwt.JSONWebToken, candidates []jose.JSONWebKey, c *Claims) bool {
	for _, key := range candidates {
		if key.Algorithm != "" && key.Algorithm != parsed.Headers[0].Algorithm {
			continue
		}
		*c = Claims{}
		if parsed.Claims(key.Key, c) == nil {
			return true
		}
	}
	return false
}

// checkClaims is everything but the signature and the jti's first use.
func (v *Verifier) checkClaims(c Claims, ticket string, now time.Time) error {
	switch {
	case c.Issuer != v.Issuer:
		return invalid("another iss")
	case !c.Audience.Contains(v.Audience):
		return invalid("another aud")
	case c.Ticket != ticket:
		return invalid("for another ticket")
	case c.Subject == "" || len(c.Subject) > maxSubject || !isPrintable(c.Subject):
		return invalid("sub: 1 to 200 bytes of printable text")
	case c.ID == "" || len(c.ID) > maxID:
		return invalid("jti: 1 to 128 bytes")
	case c.Expiry == nil || c.IssuedAt == nil:
		return invalid("exp and iat are needed")
	}
	issued, ends := c.IssuedAt.Time(), c.Expiry.Time()
	switch {
	case !now.Before(ends.Add(leeway)):
		return invalid("expired")
	case issued.After(now.Add(leeway)), c.NotBefore != nil && c.NotBefore.Time().After(now.Add(leeway)):
		return invalid("not valid yet")
	case ends.Sub(issued) > MaxLifetime, !ends.After(issued):
		return invalid("good for more than two minutes")
	}
	return nil
}

// isPrintable text cannot disguise whose it is.
func isPrintable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}

// replayKey is the name of a spent jti.
func (v *Verifier) replayKey(jti string) string {
	sum := sha256.Sum256([]byte(v.Issuer + "\x00" + jti))
	return "jti:" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

func invalid(why string) error { return fmt.Errorf("%w: %s", ErrInvalid, why) }

// Close lets go of idle connections.
func (v *Verifier) Close() { v.keys.client.CloseIdleConnections() }
