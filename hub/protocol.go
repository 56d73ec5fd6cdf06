package hub

import (
	"encoding/json"

	"github.com/coder/websocket"
)

// The socket's wire protocol, loginhub.v1 (RFC 6455; text frames of JSON).
//
// The browser opens GET /api/login/tickets/{ticket}/ws and offers two
// subprotocols, "loginhub.v1" and "loginhub.secret.SECRET"; the hub selects the
// first. All refusals come as HTTP before the upgrade; they and the view's schema
// are in api/openapi.yaml.
//
// Hub to browser, a view (ticket.View): at once on attach, at every change, and
// the current one again every 20 s as a heartbeat; 45 s of silence are a dead
// line. A view whose seq is lower than one seen before is not sent; the same one
// may come again, also the confirmed one with its token, until it is acknowledged.
// Where a failover of Redis lost a scan, the confirm comes with the scan's seq.
//
//	{"ticket":"…","state":"pending","seq":1,"expires_in":118}
//	{"ticket":"…","state":"confirmed","seq":3,"expires_in":60,"token":"eyJ…",…}
//
// Browser to hub, once its handler has the token, for each confirmed view:
//
//	{"ack":3}
//
// Then comes the consumed view, and the close. An ack with another seq, and every
// other text, is ignored: a poll and an ack over HTTP do the same as a socket, so
// a page may always change over.
//
// Closes by the hub. Besides these, 1009 answers a message over maxMessage; a
// page that takes no view for ten seconds, or sends over 64 KiB a minute of
// whatever kind, is cut without a close.
const (
	closeDone     = websocket.StatusNormalClosure   // 1000 after a final view
	closePolicy   = websocket.StatusPolicyViolation // 1008 binary, or too many messages or pings
	closeBroken   = websocket.StatusInternalError   // 1011 a bug of ours, logged
	closeRestart  = websocket.StatusServiceRestart  // 1012 the node drains: come back after 0 to 2 s
	closeTryAgain = websocket.StatusTryAgainLater   // 1013 the node hears nothing or lacks the ticket's key, or the login was switched off: come back after 0 to 2 s, and be told
	closeReplaced = websocket.StatusCode(4001)      // a newer waiter took the place: never come back
)

// Limits on what a browser may send.
const (
	maxMessage    = 1 << 10 // bytes; above: 1009
	maxMessages   = 20      // per messageWindow; above: 1008 (pings and the rest: readlimit.go)
	messageWindow = 60      // seconds
)

// parseAck reads {"ack":SEQ}; ok is false for every other text.
func parseAck(text []byte) (seq int64, ok bool) {
	var m struct {
		Ack *int64 `json:"ack"`
	}
	if err := json.Unmarshal(text, &m); err != nil || m.Ack == nil {
		return 0, false
	}
	return *m.Ack, true
}
