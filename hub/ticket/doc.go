// Package ticket holds the rules of a login attempt and nothing else: what a
// ticket is, which state follows which, what the browser is told of it, how a
// record is sealed, and the errors that all of this can end in.
//
// It imports the standard library only. It does not know Redis (package
// hub/redisstore), sockets (package hub), HTTP (package api) or how a token is
// signed (package api/token).
//
// The data goes one way: a Ticket is a value, a step (Scan, Confirm, Reject,
// Ack, Expire) returns the next value, Keyring.Seal turns it into the bytes
// that are stored and published, and Keyring.Open is the only way back.
package ticket
