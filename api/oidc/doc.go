// Package oidc is the hub's OpenID provider and OAuth 2.0 authorization server. A login
// is a ticket, as everywhere in the hub; this package turns a confirmed ticket into
// tokens.
//
// It owns the endpoints under /oauth2, the ID, access, refresh and logout tokens, and
// their errors (RFC 6749, RFC 6750). It does not own the ticket's rules (hub/ticket), the
// signing keys (api/token) or the client's settings (hub/client).
package oidc
