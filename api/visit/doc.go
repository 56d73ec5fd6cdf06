// Package visit keeps the visits of browsers to the pages of providers: the state that the
// provider sends back, which is valid once, and the cookie that binds it to the browser. It
// decides nothing about a login; packages weblogin and consent do.
package visit
