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
	// MaxLifetime is the longest allowed time from iat to exp.
	MaxLifetime = 2 * time.Minute
	// leeway is the allowed difference between the company's clock and the hub's.
	leeway = 30 * time.Second

	maxSubject = 200 // bytes
	maxID      = 128 // bytes
	minRSABits = 2048
)

// algorithms are all asymmetric. With a symmetric one each verifier could also sign,
// and a public key could be used as the secret (RFC 8725, section 2.1).
var algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.RS256}

// ErrInvalid means that the assertion is not valid for this ticket. The error states
// the reason and quotes nothing from the assertion.
var ErrInvalid = errors.New("assertion refused")

// ReplayStore records used assertions for all nodes.
type ReplayStore interface {
	Now() time.Time // the clock that all nodes share
	// SetNX stores the name for the time life and reports whether it was absent. Of
	// concurrent calls on all nodes one returns true.
	SetNX(ctx context.Context, name string, life time.Duration) (bool, error)
}

// Config configures a Verifier. All fields are required.
type Config struct {
	JWKSURL  string // see CheckURL
	Issuer   string // iss
	Audience string // aud: the hub's public URL
	Replays  ReplayStore
}

// Verifier verifies the assertions of one issuer. It is safe for concurrent use.
type Verifier struct {
	Config
	keys *keys
}

// New returns a Verifier. The keys are fetched with the first assertion.
func New(c Config) (*Verifier, error) {
	if err := CheckURL(c.JWKSURL); err != nil {
		return nil, err
	}
	if c.Issuer == "" || c.Audience == "" || c.Replays == nil {
		return nil, errors.New("assertion: issuer, audience and replay store are required")
	}
	return &Verifier{c, newKeys(c.JWKSURL)}, nil
}

// Claims are the claims of an assertion (RFC 7519, section 4). Name and picture are
// those of OpenID Connect (Core 1.0, section 5.1) and may be absent.
type Claims struct {
	jwt.Claims
	Ticket  string `json:"ticket"` // the only ticket that it is valid for
	Name    string `json:"name"`
	Picture string `json:"picture"`
}

// Verify verifies an assertion for a ticket and records its jti: a second call with
// the same jti returns ErrInvalid on any node. Other errors are ErrKeys, ErrConfig, and
// those of Config.Replays.
func (v *Verifier) Verify(ctx context.Context, text, ticket string) (Claims, error) {
	var c Claims
	parsed, err := jwt.ParseSigned(text, algorithms)
	if err != nil || len(parsed.Headers) != 1 {
		return c, invalid("not a JWT signed with ES256, EdDSA or RS256")
	}
	candidates, err := v.keys.find(ctx, parsed.Headers[0].KeyID)
	if err != nil {
		return c, err
	}
	if !verifySignature(parsed, candidates, &c) {
		return c, invalid("not signed with a key of the JWKS")
	}
	now := v.Replays.Now()
	if err := v.checkClaims(c, ticket, now); err != nil {
		return c, err
	}
	// The jti is kept longer than the assertion is valid, for clock differences.
	first, err := v.Replays.SetNX(ctx, v.replayKey(c.ID), c.Expiry.Time().Sub(now)+2*leeway)
	if err != nil {
		return c, fmt.Errorf("assertion: %w", err)
	}
	if !first {
		return c, invalid("jti was used before")
	}
	return c, nil
}

// verifySignature reports whether one of the keys has signed, and decodes the claims
// into c.
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

// checkClaims checks everything except the signature and the first use of the jti.
func (v *Verifier) checkClaims(c Claims, ticket string, now time.Time) error {
	switch {
	case c.Issuer != v.Issuer:
		return invalid("iss is another issuer")
	case !c.Audience.Contains(v.Audience):
		return invalid("aud does not contain this hub")
	case c.Ticket != ticket:
		return invalid("ticket is another ticket")
	case c.Subject == "" || len(c.Subject) > maxSubject || !isPrintable(c.Subject):
		return invalid("sub must be 1 to 200 bytes of printable text")
	case c.ID == "" || len(c.ID) > maxID:
		return invalid("jti must be 1 to 128 bytes")
	case c.Expiry == nil || c.IssuedAt == nil:
		return invalid("exp and iat are required")
	}
	issued, ends := c.IssuedAt.Time(), c.Expiry.Time()
	switch {
	case !now.Before(ends.Add(leeway)):
		return invalid("expired")
	case issued.After(now.Add(leeway)), c.NotBefore != nil && c.NotBefore.Time().After(now.Add(leeway)):
		return invalid("not valid yet")
	case ends.Sub(issued) > MaxLifetime, !ends.After(issued):
		return invalid("exp must be after iat, by at most two minutes")
	}
	return nil
}

// isPrintable reports whether the text has no invisible or control characters, which
// could make one user's id look like another's.
func isPrintable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}

// replayKey returns the name under which a used jti is stored.
func (v *Verifier) replayKey(jti string) string {
	sum := sha256.Sum256([]byte(v.Issuer + "\x00" + jti))
	return "jti:" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

func invalid(why string) error { return fmt.Errorf("%w: %s", ErrInvalid, why) }

// Close closes idle connections.
func (v *Verifier) Close() { v.keys.transport.CloseIdleConnections() }
