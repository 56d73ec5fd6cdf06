// Package assertion checks what a company's own back end says of its user: a
// short-lived JWT for one ticket, signed with a key of the company's JWKS.
//
// It is a leaf and imports nothing of ours. What an identity is good for is
// package hub/ticket's; the keys of this hub are package api/token's.
package assertion
