// Package verify is for sites: it verifies the tokens that a hub gives to the
// pages of their users. Copy it or import it; it takes the standard library only.
//
//	v := verify.New("https://login.example.com", "demo", verify.Options{}) // once
//	var seen verify.MemoryStore                                                // once; Redis where several processes share the work
//	claims, err := v.Verify(ctx, token, nonce, &seen)
//
// A good signature makes a token, not a login. It is a login of this browser
// session only with the nonce that this session was given before the QR code was
// shown, and only once. Neither can be left out here.
//
// It owns no session: with the claims, the site makes its own.
package verify
