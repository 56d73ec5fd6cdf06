package ratelimit

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"loginhub/hub/provider"
)

// ErrRateLimited means that a limit is exceeded. It is inside a
// *provider.RetryError with the time of the next try.
var ErrRateLimited = errors.New("rate limited")

// Limits are the limits of one node. All derive from one number that an
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
//	device authorizations                 address      1/10         60
//	                                      IPv6 /48     8/10         480
//	                                      client       5            3,000
//	                                      node         10           6,000
//	user codes that are wrong             address      maxUserCodes, whatever the rate
//	                                      IPv6 /48     8 times that
//	authorize and pushed requests of      address      1
//	OpenID sites                          IPv6 /48     8
//	                                      client       100
//	codes that a provider draws; over     address      1
//	the limit the QR code is the link's
//	notifications of providers, in place  address      100, because  6,000
//	of the limit of any request                        WeChat has
//	                                                   few
//	                                                   addresses
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
// The limits of wrong numbers and user codes do not grow with the rate: an operator
// who raises the rate for a carrier's NAT must not give every guesser more tries.
// They are the only ones that a rate of 0 does not turn off.
//
// Three more bounds do not depend on the rate: waiting sockets and polls of an
// address (WaiterLimiter), maxProviderCalls concurrent calls to each provider,
// and concurrent QR renderings (renderLimiter).
//
// The limits are per node: n nodes allow n times as much. An attacker with many
// addresses gets the limit of each. The load balancer has to bound both.
type Limits struct {
	Requests, Phones *AddrLimiter
	WebLogins        *AddrLimiter // website logins that begin
	Wxacodes         *AddrLimiter // calls for codes that a provider draws
	Events           *AddrLimiter // notifications of providers
	AuditDenials     *AddrLimiter // audit records of refused browser requests
	Tickets          *TicketLimiter
	Devices          *DeviceLimiter
	UserCodes        *TicketLimiter // wrong user codes; without a limit of the node
	OpenID           *OpenIDLimiter
	Waiters          *WaiterLimiter
	Codes            *CodeGuard
	users            *Limiter[userKey]
	refusedCalls     *Limiter[userKey]
	wrongMatches     *Limiter[userKey]
	salt             [16]byte
	onReject         func(name string)
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

// New derives all limits from the rate: new tickets per minute and address; 0
// turns them off. See Limits. waiters is how many sockets and polls of one
// address may wait; 0: no limit. onReject is called with the name of a limit
// at every refusal and must not block; nil: not reported.
func New(rate, waiters int, onReject func(name string)) *Limits {
	share := func(n, minimum int) int {
		if rate <= 0 {
			return 0
		}
		return max(n, minimum)
	}
	if onReject == nil {
		onReject = func(string) {}
	}
	l := &Limits{
		Requests: newAddrLimiter(share(20*rate, 600)), Phones: newAddrLimiter(share(10*rate, 60)),
		WebLogins: newAddrLimiter(rate), Wxacodes: newAddrLimiter(rate), Events: newAddrLimiter(share(100*rate, 6000)), AuditDenials: newAddrLimiter(maxAuditDenials),
		Tickets: newTicketLimiter(rate), OpenID: newOpenIDLimiter(rate), Waiters: NewWaiterLimiter(waiters), Codes: newCodeGuard(rate),
		Devices:      newDeviceLimiter(share(rate/10, 60)),
		UserCodes:    &TicketLimiter{newAddrLimiter(maxUserCodes), newAddrLimiter(networkFactor * maxUserCodes), newLimiter[struct{}](0)},
		users:        newLimiter[userKey](share(2*rate, 20)),
		refusedCalls: newLimiter[userKey](share(rate/10, 10)), wrongMatches: newLimiter[userKey](maxWrongMatches),
		onReject: onReject,
	}
	rand.Read(l.salt[:])
	l.instrument()
	return l
}

// userKey returns the key of an identity. The salt makes the hash useless
// outside of this process.
func (l *Limits) userKey(user provider.Identity) userKey {
	h := sha256.New()
	h.Write(l.salt[:])
	for _, part := range []string{user.Provider, user.Realm, user.Subject} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	var sum [sha256.Size]byte
	return userKey(h.Sum(sum[:0])[:16])
}

// UserAttempt is one phone call whose user is known. Begin counts every outcome
// that the call can still have: refused, or a wrong number. End refunds the
// outcomes that did not happen.
type UserAttempt struct {
	limits       *Limits
	user         userKey
	hasMatchCode bool // the call carries a match code
	counted      bool
}

// Begin counts a call of the user; hasMatchCode means that it carries a match
// code. A call that a limit of refused calls or wrong numbers stops still
// counts as a call. The caller must call End, also after an error.
func (l *Limits) Begin(user provider.Identity, hasMatchCode bool) (*UserAttempt, error) {
	a := &UserAttempt{limits: l, user: l.userKey(user), hasMatchCode: hasMatchCode}
	now := time.Now()
	if err := l.users.Allow(a.user, now); err != nil {
		return a, err
	}
	if err := l.refusedCalls.Allow(a.user, now); err != nil {
		return a, err
	}
	if hasMatchCode {
		if err := l.wrongMatches.Allow(a.user, now); err != nil {
			l.refusedCalls.refund(a.user)
			return a, err
		}
	}
	a.counted = true
	return a, nil
}

// End refunds the outcomes that did not happen, by the status and error code of
// the answer.
func (a *UserAttempt) End(status int, code string) {
	if a == nil || !a.counted {
		return
	}
	if status != http.StatusForbidden && status != http.StatusConflict {
		a.limits.refusedCalls.refund(a.user)
	}
	if a.hasMatchCode && code != "match_failed" {
		a.limits.wrongMatches.refund(a.user)
	}
}
