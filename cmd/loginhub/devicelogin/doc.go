// Package devicelogin logs a person in to a command line with their phone, by the device
// grant (RFC 8628). It is the command `loginhub login`, and an example for other command
// lines: it uses the standard alone and works with any OpenID provider.
//
//	login.go    the flow: ask for a code, show it, wait, check the answer
//	oauth.go    requests of OAuth 2.0, discovery
//	idtoken.go  the ID token's signature and claims
//	screen.go   the QR code and the text in the terminal
package devicelogin
