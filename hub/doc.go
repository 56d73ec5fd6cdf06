// Package hub knows who on this node waits for which ticket, and carries every
// change of a ticket from the phone to the waiting page.
//
// It owns the registry of waiters, the node's mailbox with its proof, the sweep
// (heartbeat, resync and expiry are one), the sockets and long polls, and
// draining. It does not know the rules (package hub/ticket), Redis (package
// hub/redisstore), HTTP's addresses and errors (package api) or keys (package
// api/token).
//
// The road of one login:
//
//	login.go     a ticket is made; scan, confirm, reject and ack: look, decide, seal, change
//	mailbox.go   the message of a change arrives, its seal is checked
//	registry.go  the waiter is found, its slot takes the higher seq
//	socket.go, poll.go   the view is written, the token signed
//	audit.go     what was changed or refused is noted, one line each
//	resync.go    what a message should have said and did not, Redis says
//
// Beside the road: killswitch.go turns a client's login off, readlimit.go bounds what a
// page sends that is no message.
//
// Redis holds the truth and a message is only the wake-up: whatever is lost
// between the two, the sweep finds.
package hub
