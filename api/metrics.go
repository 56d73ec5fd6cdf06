package api

import (
	"context"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"loginhub/api/gate"
	"loginhub/api/oidc"
	"loginhub/api/request"
)

// Metrics receives the events that the api counts. Its methods are called from
// many goroutines and must not block. All strings are from fixed sets, so the
// number of label values is bounded. A context belongs to the request that is observed.
type Metrics interface {
	// ObserveRequest reports one request: the route's pattern ("other" for
	// none), the status class such as "4xx", and its duration. The duration of
	// a long poll includes its wait; that of a socket (1xx) ends at the
	// upgrade.
	ObserveRequest(ctx context.Context, route, class string, took time.Duration)
	// IncLimited reports one hit on a limit; limit is one of ratelimit.Names.
	IncLimited(limit string)
	// IncRefusal reports an error as it was answered; code is one of ErrorCodes.
	IncRefusal(code string)
	// ObserveExchange reports how long a caller waited for a provider to exchange a code,
	// with the wait for a free slot.
	ObserveExchange(ctx context.Context, provider string, took time.Duration)
	oidc.Metrics
}

// ErrorCodes returns the codes of all errors that are answered.
func ErrorCodes() []string {
	codes := append(oidc.ErrorCodes(), internalCode)
	for _, p := range problems {
		codes = append(codes, p.code)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// noMetrics counts nothing.
type noMetrics struct{}

func (noMetrics) ObserveRequest(context.Context, string, string, time.Duration) {}
func (noMetrics) IncLimited(string)                                             {}
func (noMetrics) IncRefusal(string)                                             {}
func (noMetrics) ObserveExchange(context.Context, string, time.Duration)        {}
func (noMetrics) IncGrant(string, string)                                       {}
func (noMetrics) IncClientRefused(string, string)                               {}
func (noMetrics) IncTokenRefused(string, string)                                {}
func (noMetrics) IncLogoutToken(string)                                         {}

// classes are the status classes by first digit.
var classes = [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}

// Refusal is a call that was answered with an error. It has no ticket, no secret and
// nothing that the phone says.
type Refusal struct {
	Method  string `json:"method"` // or "other", as the access log has it
	Route   string `json:"route"`  // the pattern
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Client  string `json:"client,omitempty"`     // the site, if it is known
	Address string `json:"address,omitempty"`    // the caller's, as the audit log has it
	ID      string `json:"request_id,omitempty"` // of the last one, as the log has it
}

// Like reports whether the calls differ only in their ids.
func (r Refusal) Like(other Refusal) bool {
	r.ID, other.ID = "", ""
	return r == other
}

// unremarkable are the codes that are not reported to Config.Refused: paths that do not
// exist, because scanners of the internet would push all others out of a list, and what a
// device gets that asks too early (RFC 8628, section 3.5).
var unremarkable = []string{"not_found", "method_not_allowed", "authorization_pending", "slow_down"}

// refusals reports errors to Config.Refused.
type refusals struct {
	gate   *gate.Gate
	report func(Refusal) // nil: none
}

func (f refusals) note(c echo.Context, status int, code string) {
	if f.report == nil || slices.Contains(unremarkable, code) {
		return
	}
	r := Refusal{Method: method(c.Request()), Route: c.Path(), Status: status, Code: code,
		Client: gate.RefusedClient(c), ID: request.ID(c)}
	if addr := f.gate.Addr(c).AuditAddr; addr.IsValid() {
		r.Address = addr.String()
	}
	f.report(r)
}
