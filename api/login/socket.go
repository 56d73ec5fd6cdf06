package login

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"loginhub/api/request"
	"loginhub/hub"
	"loginhub/hub/ticket"
)

// ErrUpgrade means that the request is not a WebSocket handshake.
var ErrUpgrade = errors.New("not a WebSocket handshake")

// SecretProtocol is the prefix of the subprotocol that carries the secret. A
// browser cannot set a header on a WebSocket, and a URL ends up in logs.
const SecretProtocol = "loginhub.secret."

// Socket is GET …/ws.
func (l *Handlers) Socket(c echo.Context) error {
	id, err := request.TicketID(c)
	if err != nil {
		return err
	}
	offered, err := Handshake(c.Request())
	if err != nil {
		return err
	}
	if err := CheckOfferedSecret(offered, id); err != nil {
		return l.gate.AuditDenied("socket", id, c, err)
	}
	release := func() {}
	browser := l.gate.Browser(c, l.gate.AdmitWaiter(c, &release))
	browser.Closed = func() { release() } // the request ends at the upgrade, the waiter later
	// The hub gets the plain ResponseWriter. It hijacks the connection, and
	// echo's wrapper would stay in memory with it.
	err = l.gate.Hub.Socket(c.Response().Writer, c.Request(), id, browser)
	return l.gate.AuditDenied("socket", id, c, err)
}

// Handshake checks the opening handshake (RFC 6455, section 4.2.1) and returns
// the offered subprotocols. Checking here makes every refusal one of our
// errors.
func Handshake(r *http.Request) ([]string, error) {
	if !r.ProtoAtLeast(1, 1) || !hasToken(r.Header, "Connection", "upgrade") ||
		!hasToken(r.Header, "Upgrade", "websocket") ||
		r.Header.Get("Sec-WebSocket-Version") != "13" {
		return nil, ErrUpgrade
	}
	keys := r.Header.Values("Sec-WebSocket-Key")
	if len(keys) != 1 {
		return nil, request.Invalid("Sec-WebSocket-Key: exactly one is required")
	}
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0])); err != nil || len(raw) != 16 {
		return nil, request.Invalid("Sec-WebSocket-Key: not 16 bytes of base64")
	}
	offered := headerList(r.Header, "Sec-WebSocket-Protocol")
	if !slices.Contains(offered, hub.Protocol) {
		return nil, request.Invalid("Sec-WebSocket-Protocol: " + hub.Protocol + " is not offered")
	}
	return offered, nil
}

// CheckOfferedSecret checks the ticket's secret in the offered subprotocols.
func CheckOfferedSecret(offered []string, id ticket.ID) error {
	for _, p := range offered {
		if text, ok := strings.CutPrefix(p, SecretProtocol); ok {
			return request.CheckSecret(text, id)
		}
	}
	return ticket.ErrInvalidSecret
}

// headerList returns the comma-separated values of a header, over all of its
// lines.
func headerList(h http.Header, name string) []string {
	parts := strings.Split(strings.Join(h.Values(name), ","), ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// hasToken reports whether a header's comma-separated values contain word, in any case.
func hasToken(h http.Header, name, word string) bool {
	for _, line := range h.Values(name) {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), word) {
				return true
			}
		}
	}
	return false
}
