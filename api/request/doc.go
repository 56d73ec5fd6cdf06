// Package request reads what a client sends: the address that a request comes
// from, its body, the ticket's secret, the query, and the claimed browser.
// Everything is bounded and parsed strictly.
//
// It decides nothing about a login. Package api maps its errors to HTTP.
package request
