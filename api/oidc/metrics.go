package oidc

import (
	"errors"
	"maps"
	"slices"

	"loginhub/api/token"
	"loginhub/hub/client"
	"loginhub/hub/ticket"
)

// Metrics receives the events of the endpoints. Its methods are called from many
// goroutines and must not block. All strings are from the sets below or ids of configured
// clients.
type Metrics interface {
	// IncGrant reports the end of a request to the token endpoint: its grant_type and
	// "ok" or the error code.
	IncGrant(grant, outcome string)
	// IncClientRefused reports a failed client authentication: the configured client that
	// was named, or UnknownClient, and one of Credentials.
	IncClientRefused(client, credential string)
	// IncTokenRefused reports a token that was not accepted, as in RefusedTokens.
	IncTokenRefused(token, reason string)
	// IncLogoutToken reports the end of a logout token's delivery; result is one of
	// LogoutResults.
	IncLogoutToken(result string)
}

// UnknownClient is the client of credentials that name no configured one.
const UnknownClient = "unknown"

// otherGrant is the grant of a request whose grant_type is unknown or missing.
const otherGrant = "other"

// Grants returns the grants of IncGrant.
func Grants() []string {
	return []string{client.GrantCode, client.GrantRefresh, client.GrantDevice, otherGrant}
}

// ErrorCodes returns the error codes of the endpoints that answer in JSON.
func ErrorCodes() []string {
	codes := map[string]bool{"invalid_client": true, "invalid_dpop_proof": true, "invalid_grant": true, "invalid_scope": true, "unauthorized_client": true,
		"unsupported_grant_type": true, "authorization_pending": true, "slow_down": true, "expired_token": true, "server_error": true}
	for _, row := range causes {
		codes[row.code] = true
	}
	return slices.Sorted(maps.Keys(codes))
}

// credentialNames are the values of IncClientRefused by the method of authentication.
var credentialNames = map[string]string{"none": "none", "client_secret_basic": "secret", "client_secret_post": "secret", "private_key_jwt": "assertion"}

// Credentials returns the credentials of IncClientRefused: none, a secret, an assertion.
func Credentials() []string { return []string{"none", "secret", "assertion"} }

// Tokens that were not accepted, and why.
const (
	refusedAccess  = "access_token"
	refusedRefresh = "refresh_token"
	refusedHint    = "id_token_hint"

	reasonUnknownKey = "unknown_key" // signed or made under a key that this node does not have
	reasonInvalid    = "invalid"     // malformed, a wrong signature, or of another kind or hub
	reasonEnded      = "ended"       // expired, or its login was ended
	reasonReused     = "reused"      // a refresh token that was used before
	reasonNoProof    = "no_proof"    // bound to a key that the request did not prove
)

// RefusedTokens returns each token and reason of IncTokenRefused.
func RefusedTokens() (all [][2]string) {
	for _, token := range []string{refusedAccess, refusedRefresh, refusedHint} {
		for _, reason := range []string{reasonUnknownKey, reasonInvalid, reasonEnded, reasonNoProof} {
			if token != refusedHint || reason == reasonUnknownKey || reason == reasonInvalid { // an expired hint is accepted
				all = append(all, [2]string{token, reason})
			}
		}
	}
	return append(all, [2]string{refusedRefresh, reasonReused})
}

// refusalReason returns the reason of IncTokenRefused for an error.
func refusalReason(err error) string {
	switch {
	case errors.Is(err, token.ErrUnknownKey), errors.Is(err, ticket.ErrUnknownKey):
		return reasonUnknownKey
	case errors.Is(err, errEnded):
		return reasonEnded
	}
	return reasonInvalid
}
