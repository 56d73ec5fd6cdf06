// Package consent holds the pages behind the QR code's link, for a phone that opens it in a
// browser: the landing page, which sends the browser to a provider, and the consent page,
// on which the user sees who asks and decides. It names no provider. Package visit
// has the way to the provider and back, package gate the checks of every call.
//
// A link can be sent to a victim, so opening it and logging in at the provider confirms
// nothing: that is a scan. What confirms is a form of the consent page, with a token of
// that page and a cookie of the browser that has logged in.
package consent
