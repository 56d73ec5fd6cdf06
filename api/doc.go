// Package api is the HTTP interface of the hub. It parses and bounds what
// clients send, checks secrets, origins and limits, and turns every error into
// problem+json or a page.
//
// server.go mounts all routes. A gate (gate.go, admission.go) checks what every
// endpoint has to pass; loginHandlers are the endpoints of a ticket, webLogin
// those of one redirect provider. Reading requests is in package request, limits
// in ratelimit, drawing codes in qr, the page of the API description in apidocs.
//
// Other packages hold the rules of a login (hub/ticket), the waiting browsers
// (hub) and the storage (hub/redisstore). Providers are passed in. The status
// and text of every error are in errors.go.
//
// Every request is checked in this order: route, method, media type, size,
// syntax, secret, ticket, origin, limits, state.
package api
