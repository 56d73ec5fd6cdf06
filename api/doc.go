// Package api is the HTTP interface of the hub. It parses and bounds what
// clients send, checks secrets, origins and limits, and turns every error into
// problem+json or a page.
//
// server.go mounts all routes. Package gate checks what every endpoint has to
// pass. The endpoints of a ticket are in package login, those of a browser at a
// provider's page in weblogin, consent and visit, those of OpenID Connect in oidc,
// the events of official accounts in events. What a site and a user are sent is in
// notify. Reading requests is in package request, limits in ratelimit, drawing codes
// in qr, places of addresses in geoip, the page of the API description in apidocs.
//
// Other packages hold the rules of a login (hub/ticket), the waiting browsers
// (hub) and the storage (hub/redisstore). Providers are passed in. The status
// and text of every error are in errors.go.
//
// Every request is checked in this order: route, method, media type, size,
// syntax, secret, ticket, origin, limits, state.
package api
