package ratelimit

import (
	"net/netip"
	"time"
)

// maxUserCodes is how many wrong user codes an address may type per minute, also if
// the other limits are turned off (RFC 8628, section 5.1). It does not grow with the
// rate, as maxWrongMatches does not.
const maxUserCodes = 5

// DeviceLimiter bounds device authorizations (RFC 8628) as TicketLimiter does, and also
// by client. A device's ticket lives longer than a browser's, so fewer are allowed.
type DeviceLimiter struct {
	from    *TicketLimiter
	clients *Limiter[string]
}

// newDeviceLimiter returns a limiter of perMinute device authorizations for each
// address; 0: no limit.
func newDeviceLimiter(perMinute int) *DeviceLimiter {
	return &DeviceLimiter{newTicketLimiter(perMinute), newLimiter[string](nodeFactor / 2 * perMinute)}
}

// Allow counts a device authorization at every limit, or at none. client is the id of
// a configured client.
func (l *DeviceLimiter) Allow(addr netip.Prefix, client string, now time.Time) error {
	var t taken
	_ = t.by(l.clients.take(client, now)) && t.by(l.from.Take(addr, now))
	return t.err
}
