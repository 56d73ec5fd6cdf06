package devicelogin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// algorithms are the accepted signature algorithms. Neither none nor one with a shared
// secret is among them.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}

// clockError is the accepted difference between the clocks of provider and machine.
const clockError = time.Minute

// verify checks the ID token (OpenID Connect Core 1.0, section 3.1.3.7).
func (l *Login) verify(ctx context.Context, at *endpoints, text string) error {
	token, err := jwt.ParseSigned(text, algorithms)
	if err != nil {
		return err
	}
	var keys jose.JSONWebKeySet
	if err := l.get(ctx, at.JWKS, &keys); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	found := keys.Key(token.Headers[0].KeyID)
	if len(found) == 0 {
		return errors.New("the provider has no key of its kid")
	}
	var claims jwt.Claims
	if err := token.Claims(found[0].Key, &claims); err != nil {
		return err
	}
	now := time.Now()
	switch {
	case claims.Issuer != l.Issuer:
		return fmt.Errorf("iss is %.200q", claims.Issuer)
	case !slices.Equal(claims.Audience, jwt.Audience{l.ClientID}):
		return fmt.Errorf("aud is %.200q", claims.Audience)
	case claims.Subject == "":
		return errors.New("no sub")
	case claims.Expiry == nil || now.After(claims.Expiry.Time().Add(clockError)):
		return errors.New("expired, or this machine's clock is wrong")
	case claims.IssuedAt == nil || claims.IssuedAt.Time().After(now.Add(clockError)):
		return errors.New("from the future, or this machine's clock is wrong")
	}
	return nil
}
