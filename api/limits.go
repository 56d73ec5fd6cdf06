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

// Every limit follows from the one number that an operator sets: new tickets per
// minute and address (600 by default). Nothing is counted by the ticket: who
// knows the public id must not lock its owner out. The least of each is what one
// person with one phone and one page never reaches.
//
//	what                                  counted by   by the number   at least
//	any request                           address      20              600
//	new tickets                           address      1
//	                                      IPv6 /48     8
//	                                      node         100
//	mini-program codes; over it the       address      1
//	link is drawn instead
//	WeChat's website login, begun         address      1
//	phone calls, before their code is     address      10, for many    60
//	exchanged                                          phones share a
//	                                                   carrier's NAT
//	phone calls, whose code the provider  address and  1/10            60
//	refused                               provider
//	                                      the same of  8/10            480
//	                                      an IPv6 /48
//	                                      address and  refusedPerTicket, whatever the number
//	                                      ticket
//	phone calls, after it                 user         2               20
//	of these, refused with 403 or 409     user         1/10            10
//	of these, with a wrong number         user         wrongNumbers, whatever the number
//
// The last is no share of the number: raising that, for a carrier's NAT, must not
// give every guesser more tries. It is the only one that 0 does not turn off.
//
// Beside these, whatever the number: the waiting sockets and polls of an address
// (seats), maxCalls calls under way to each provider, and the drawings (easel).
//
// They are per node: n nodes allow n times as much, and an attacker with many
// addresses as much as he has addresses. Both are for the load balancer.
type limits struct {
	requests, phones *addrLimiter
	users            *rateLimiter[userKey]
	refusedCalls     *rateLimiter[userKey]
	wrongMatches     *rateLimiter[userKey]
	auditDenials     *addrLimiter // of audit lines about refused browser requests
	salt             [16]byte
}

// maxWrongMatches is how many wrong numbers a user may choose per minute, also with
// the other limits turned off: one guess in three is right.
const maxWrongMatches = 6

// maxAuditDenials is how many refused requests of browsers from one address the audit
// notes per minute: a flood must not fill the log.
const maxAuditDenials = 60

// userKey is a provider's user: a hash, so that the table's size is known.
type userKey [16]byte

func newLimits(rate int) *limits {
	of := func(n, least int) int {
		if rate <= 0 {
			return 0
		}
		return max(n, least)
	}
	t := &limits{
		requests: newAddrLimiter(of(20*rate, 600)), phones: newAddrLimiter(of(10*rate, 60)),
		users:        newRateLimiter[userKey](of(2*rate, 20)),
		refusedCalls: newRateLimiter[userKey](of(rate/10, 10)), wrongMatches: newRateLimiter[userKey](maxWrongMatches),
		auditDenials: newAddrLimiter(maxAuditDenials),
	}
	rand.Read(t.salt[:])
	return t
}

// userKey names the user of an identity. The salt makes it useless outside.
func (t *limits) userKey(by ticket.Identity) userKey {
	h := sha256.New()
	h.Write(t.salt[:])
	for _, part := range []string{by.Provider, by.AppID, by.Subject} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return userKey(h.Sum(nil)[:16])
}

// userAttempt is one phone call whose user is known. What it can still turn out to be,
// refused or a wrong number, is counted now and forgiven by end.
type userAttempt struct {
	limits       *limits
	user         userKey
	hasMatchCode bool // it has named a number
	counted      bool
}

// begin counts a call by that user.
func (v *userAttempt) begin(by ticket.Identity, guessing bool) error {
	v.user, v.hasMatchCode = v.limits.userKey(by), guessing
	now := time.Now()
	if err := v.limits.users.allow(v.user, now); err != nil {
		return err
	}
	if err := v.limits.refusedCalls.allow(v.user, now); err != nil {
		return err
	}
	if guessing {
		if err := v.limits.wrongMatches.allow(v.user, now); err != nil {
			v.limits.refusedCalls.refund(v.user)
			return err
		}
	}
	v.counted = true
	return nil
}

// end forgives what the call was not, by the status and code that it is answered.
func (v *userAttempt) end(status int, code string) {
	if !v.counted {
		return
	}
	if status != http.StatusForbidden && status != http.StatusConflict {
		v.limits.refusedCalls.refund(v.user)
	}
	if v.hasMatchCode && code != "match_failed" {
		v.limits.wrongMatches.refund(v.user)
	}
}

// rateLimitMiddleware is the limit that stands before everything else. The probes of a load
// balancer are exempt: refusing those would take the node away from everybody.
func (s *Server) rateLimitMiddleware(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		path := c.Request().URL.Path
		if path == "/healthz" || path == "/readyz" {
			return next(c)
		}
		if err := s.limits.requests.allow(s.proxies.clientAddr(c.Request()).rateKey, time.Now()); err != nil {
			if strings.HasPrefix(path, "/api/login/tickets") {
				s.crossOrigin(c) // the page has to read when to come back
			}
			return err
		}
		return next(c)
	}
}
