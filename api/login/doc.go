// Package login holds the endpoints of a ticket: its creation, code, socket and poll for
// the browser, scan, confirm and reject for the phone, the exchange for a site. The rules
// are in hub/ticket, the delivery is in hub.
package login
