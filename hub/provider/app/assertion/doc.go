// Package assertion verifies the assertions of a company's own app: short-lived
// JWTs in which the company's back end names the user of one ticket. They are
// signed with a key of the company's JWKS.
//
// The package imports no other package of this module. Package hub/ticket decides
// what an identity may do; package api/token holds this hub's own keys.
package assertion
