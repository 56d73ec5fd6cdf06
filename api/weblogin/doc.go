// Package weblogin holds the logins at a provider's own page: the form that redirects the
// browser there, and the callback with its single-use state. It knows no provider by name.
package weblogin
