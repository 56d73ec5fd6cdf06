// Package token signs the tokens that a site's back end verifies, and publishes the
// public keys for that.
//
// The keys derive from the master keys of package hub/keys. Package hub/ticket writes
// the claims when a login is confirmed; this package only signs the bytes.
package token
