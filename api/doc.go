// Package api is the HTTP interface of the hub. It parses and bounds what
// clients send, checks secrets, origins and limits, and turns every error into
// problem+json or a page.
//
// Other packages hold the rules of a login (hub/ticket), the waiting browsers
// (hub) and the storage (hub/redisstore). Providers are passed in. All routes are
// in server.go; the status and text of every error are in errors.go.
//
// Every request is checked in this order: route, method, media type, size,
// syntax, secret, ticket, origin, limits, state.
package api
