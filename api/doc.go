// Package api is the HTTP edge: it parses and bounds what strangers send, checks
// secrets, origins and limits, and turns every error into problem+json or a page.
//
// It does not know the rules of a login (package hub/ticket), who waits (package
// hub), Redis, or how a provider is called: providers are handed in. All routes
// stand in server.go; every error's status and text in errors.go.
//
// Order of checks, everywhere: route, method, media type, size, syntax, secret,
// ticket, origin, limits, state.
package api
