// Package hub is one node: it holds the waiting browsers and delivers every change
// of a ticket from the phone to the browser.
//
// It owns the registry of waiters, the node's mailbox and its liveness probe, the
// sweep (heartbeat, resync and expiry in one), the sockets and long polls, and
// draining. It does not own the rules of a ticket (package hub/ticket), Redis
// (package hub/redisstore), HTTP routes and errors (package api) or keys (package
// hub/keys).
//
// The steps of one login, and their files:
//
//	login.go             create, scan, confirm, reject, ack: the steps
//	records.go           read a record, check its seal, seal and store the next version
//	mailbox.go           receive the message of a change and check its seal
//	registry.go          find the waiters; their slot keeps the highest seq
//	socket.go, poll.go   sign the token and write the view
//	conn.go              frame, read and limit what the browser sends
//	audit.go             write one line for each change and each refusal
//	resync.go            read from Redis what a lost message did not deliver
//
// Besides: admission.go admits waiters, killswitch.go switches a client's login off,
// protocol.go describes the WebSocket protocol.
//
// Redis is the source of truth and a message is only a wake-up: the sweep finds every
// change whose message was lost. DESIGN.md has the reasons.
package hub
