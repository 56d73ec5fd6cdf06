// Package ticket implements the rules of a login attempt: the states of a ticket
// and their transitions, the view that the browser gets, the seal of a record,
// and the errors.
//
// It imports the standard library and golang.org/x/crypto only. Redis is in package hub/redisstore,
// sockets in package hub, HTTP in package api, and signing in package api/token.
//
// A Ticket is a value. A step (Scan, Confirm, Reject, Ack, Expire) returns the
// next version. Keyring.Seal returns the bytes to store and to publish, and only
// Keyring.Open turns such bytes into a Ticket again.
package ticket
