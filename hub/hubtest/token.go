package hubtest

import (
	"encoding/json"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// VerifyToken verifies a login token with the published keys, as a site's back end does.
// It returns the token's header and claims.
func VerifyToken(jwks []byte, token string) (header jose.Header, claims map[string]any, err error) {
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(jwks, &keys); err != nil {
		return header, nil, fmt.Errorf("published keys %s: %w", jwks, err)
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.EdDSA, jose.RS256})
	if err != nil {
		return header, nil, fmt.Errorf("token %q: %w", token, err)
	}
	header = parsed.Headers[0]
	if typ := header.ExtraHeaders[jose.HeaderType]; typ != "login+jwt" {
		return header, nil, fmt.Errorf("a token of type %v", typ)
	}
	return header, claims, parsed.Claims(keys, &claims)
}
