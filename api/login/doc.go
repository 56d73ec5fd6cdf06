// Package login holds the endpoints of a ticket: its creation, code, socket and poll for
// the browser, and scan, confirm and reject for the phone. The rules are in hub/ticket,
// the delivery is in hub.
package login
