// Package weblogin holds the logins at a provider's own page: the form that redirects the
// browser there, and the callback, which confirms for the browser that waits. It names no
// provider. Package visit has the state and its cookie.
package weblogin
