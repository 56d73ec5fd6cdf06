// Package token holds the nodes' master keys, signs the tokens that a site's back end
// verifies, and publishes the public keys for that.
//
// The package imports no other package of this module. Package hub/ticket writes the
// claims when a login is confirmed; this package only signs the bytes.
package token
