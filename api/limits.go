package api

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/hub/ticket"
)

// limits are the rate limits of one node. All derive from one number that an
// operator sets: new tickets per minute and address (600 by default). No limit
// is counted by ticket alone: anyone who knows the public id could lock its
// user out. The minimum of each is more than one person with one phone and one
// page needs.
//
//	what                                  counted by   share        minimum
//	any request                           address      20           600
//	new tickets                           address      1
//	                                      IPv6 /48     8
//	                                      node         100
//	mini-program codes; over the limit    address      1
//	the QR code holds the link instead
//	WeChat website logins that begin      address      1
//	phone calls, before their code is     address      10, because  60
//	exchanged                                          many phones
//	                                                   share the NAT
//	                                                   of a carrier
//	phone calls, whose code the provider  address and  1/10         60
//	refused                               provider
//	                                      the same of  8/10         480
//	                                      an IPv6 /48
//	                                      address and  refusedPerTicket, whatever the rate
//	                                      ticket
//	phone calls, after the exchange       user         2            20
//	of these, refused with 403 or 409     user         1/10         10
//	of these, with a wrong number         user         maxWrongMatches, whatever the rate
//
// The limit of wrong numbers does not grow with the rate: an operator who
// raises the rate for a carrier's NAT must not give every guesser more tries.
// It is the only one that a rate of 0 does not turn off.
//
// Three more bounds do not depend on the rate: waiting sockets and polls of an
// address (waiterLimiter), maxProviderCalls concurrent calls to each provider,
// and concurrent QR renderings (renderLimiter).
//
// The limits are per node: n nodes allow n times as much. An attacker with many
// addresses gets the limit of each. The load balancer has to bound both.
type limits struct {
	requests, phones *addrLimiter
	users            *rateLimiter[userKey]
	refusedCalls     *rateLimiter[userKey]
	wrongMatches     *rateLimiter[userKey]
	auditDenials     *addrLimiter // audit records of refused browser requests
	salt             [16]byte
}

// maxWrongMatches is how many wrong numbers a user may choose per minute, also
// if the other limits are turned off. One guess in three is right.
const maxWrongMatches = 6

// maxAuditDenials is how many refused browser requests of one address the audit
// log records per minute, so that a flood does not fill the log.
const maxAuditDenials = 60

// userKey identifies a user of a provider. It is a hash, so that the size of
// the table is bounded.
type userKey [16]byte

// newLimits derives all limits from the rate. See limits.
func newLimits(rate int) *limits {
	share := func(n, minimum int) int {
		if rate <= 0 {
			return 0
		}
		return max(n, minimum)
	}
	l := &limits{
		requests: newAddrLimiter(share(20*rate, 600)), phones: newAddrLimiter(share(10*rate, 60)),
		users:        newRateLimiter[userKey](share(2*rate, 20)),
		refusedCalls: newRateLimiter[userKey](share(rate/10, 10)), wrongMatches: newRateLimiter[userKey](maxWrongMatches),
		auditDenials: newAddrLimiter(maxAuditDenials),
	}
	rand.Read(l.salt[:])
	return l
}

// userKey returns the key of an identity. The salt makes the hash useless
// outside of this process.
func (l *limits) userKey(user ticket.Identity) userKey {
	h := sha256.New()
	h.Write(l.salt[:])
	for _, part := range []string{user.Provider, user.Realm, user.Subject} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return userKey(h.Sum(nil)[:16])
}

// userAttempt is one phone call whose user is known. begin counts every outcome
// that the call can still have: refused, or a wrong number. end refunds the
// outcomes that did not happen.
type userAttempt struct {
	limits       *limits
	user         userKey
	hasMatchCode bool // the call carries a match code
	counted      bool
}

// begin counts a call of the user. A call that a limit of refused calls or
// wrong numbers stops still counts as a call.
func (a *userAttempt) begin(user ticket.Identity, hasMatchCode bool) error {
	a.user, a.hasMatchCode = a.limits.userKey(user), hasMatchCode
	now := time.Now()
	if err := a.limits.users.allow(a.user, now); err != nil {
		return err
	}
	if err := a.limits.refusedCalls.allow(a.user, now); err != nil {
		return err
	}
	if hasMatchCode {
		if err := a.limits.wrongMatches.allow(a.user, now); err != nil {
			a.limits.refusedCalls.refund(a.user)
			return err
		}
	}
	a.counted = true
	return nil
}

// end refunds the outcomes that did not happen, by the status and error code of
// the answer.
func (a *userAttempt) end(status int, code string) {
	if !a.counted {
		return
	}
	if status != http.StatusForbidden && status != http.StatusConflict {
		a.limits.refusedCalls.refund(a.user)
	}
	if a.hasMatchCode && code != "match_failed" {
		a.limits.wrongMatches.refund(a.user)
	}
}

// rateLimitMiddleware applies the limit of all requests, before every other
// check. Health checks are exempt: if they were refused, the load balancer
// would take the node out of service.
func (s *Server) rateLimitMiddleware(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		path := c.Request().URL.Path
		if path == "/healthz" || path == "/readyz" {
			return next(c)
		}
		if err := s.limits.requests.allow(s.proxies.clientAddr(c.Request()).rateKey, time.Now()); err != nil {
			if strings.HasPrefix(path, "/api/login/tickets") {
				crossOrigin(c) // lets the page read Retry-After
			}
			return err
		}
		return next(c)
	}
}
