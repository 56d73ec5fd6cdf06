// Package token owns the nodes' keys and what is made with them: the token that
// a site's back end verifies, and the public keys that it verifies with.
//
// It is a leaf and imports nothing of ours. What a token says is fixed by
// package hub/ticket when a login is confirmed; here the bytes are only signed.
package token
