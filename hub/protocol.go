package hub

import (
	"encoding/json"

	"github.com/coder/websocket"
)

// The WebSocket protocol loginhub.v1 (RFC 6455, text frames with JSON). The full text is
// in api/PROTOCOL.md.
//
// The browser opens GET /api/login/tickets/{ticket}/ws and offers two subprotocols,
// "loginhub.v1" and "loginhub.secret.SECRET". The hub selects the first. All refusals
// are HTTP answers before the upgrade; api/openapi.yaml has them and the view's schema.
//
// The hub sends views (ticket.View): on attach, at every change, and the current one
// every 20 s as a heartbeat. A browser treats 45 s of silence as a dead connection. The
// hub never sends a lower seq than before. It may repeat a view, also the confirmed one
// with its token, until that is acknowledged. If a failover of Redis lost a scan, the
// confirm has the seq of the scan.
//
//	{"ticket":"…","state":"pending","seq":1,"expires_in":118}
//	{"ticket":"…","state":"confirmed","seq":3,"expires_in":60,"token":"eyJ…",…}
//
// The browser sends an ack for each confirmed view, once its handler has the token:
//
//	{"ack":3}
//
// The hub answers with the consumed view and the close. It ignores an ack with another
// seq and every other text. Poll and ack over HTTP have the same effect as a socket, so
// a browser may change the transport at any time.
//
// The hub's close codes follow. Besides, it closes with 1009 for a message over
// maxMessage and with 1002 for an error of the protocol. It cuts the connection without
// a close frame if the browser reads no view for ten seconds, takes longer than ten
// seconds to send a message, or sends more than 64 KiB in a minute.
const (
	closeDone     = websocket.StatusNormalClosure           // 1000 after a final view
	closeInvalid  = websocket.StatusInvalidFramePayloadData // 1007 text that is not UTF-8
	closePolicy   = websocket.StatusPolicyViolation         // 1008 binary message, or too many messages or pings
	closeBroken   = websocket.StatusInternalError           // 1011 a bug in the hub, logged
	closeRestart  = websocket.StatusServiceRestart          // 1012 the node drains: reconnect after 0 to 2 s
	closeTryAgain = websocket.StatusTryAgainLater           // 1013 the node is stalled or lacks the ticket's key or client, or the login was switched off: reconnect after 0 to 2 s
	closeReplaced = websocket.StatusCode(4001)              // a newer waiter replaced this one: do not reconnect
)

// parseAck parses {"ack":SEQ}; ok is false for every other text.
func parseAck(text []byte) (seq int64, ok bool) {
	if n := len(text); n == len(`{"ack":3}`) && string(text[:n-2]) == `{"ack":` && text[n-2]-'0' <= 9 && text[n-1] == '}' {
		return int64(text[n-2] - '0'), true // nearly all
	}
	var m struct {
		Ack *int64 `json:"ack"`
	}
	if err := json.Unmarshal(text, &m); err != nil || m.Ack == nil {
		return 0, false
	}
	return *m.Ack, true
}
