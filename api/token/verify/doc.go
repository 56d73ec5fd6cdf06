// Package verify is for sites: it verifies the tokens that a hub returns to a site's
// login page. Copy or import it; it needs only the standard library.
//
//	v := verify.New("https://login.example.com", "demo", verify.Options{}) // once
//	var seen verify.MemoryStore                                            // once; use Redis if several processes verify
//	claims, err := v.Verify(ctx, token, nonce, &seen)
//
// The token's algorithm is EdDSA, or RS256 for a client with that token_alg.
//
// A valid signature alone is not a login. The token must also hold the nonce that the
// site gave to this browser session before it showed the QR code, and must not have been
// used before. Verify always checks both.
//
// The package manages no sessions: the site creates one from the claims.
package verify
