package api

import (
	"slices"
	"time"

	"loginhub/api/oidc"
)

// Metrics receives the events that the api counts. Its methods are called from
// many goroutines and must not block. All strings are from fixed sets, so the
// number of label values is bounded.
type Metrics interface {
	// ObserveRequest reports one request: the route's pattern ("other" for
	// none), the status class such as "4xx", and its duration. The duration of
	// a long poll includes its wait; that of a socket (1xx) ends at the
	// upgrade.
	ObserveRequest(route, class string, took time.Duration)
	// IncLimited reports one hit on a limit; limit is one of ratelimit.Names.
	IncLimited(limit string)
	// IncRefusal reports an error as it was answered; code is one of ErrorCodes.
	IncRefusal(code string)
	// ObserveExchange reports how long a caller waited for a provider to exchange a code,
	// with the wait for a free slot.
	ObserveExchange(provider string, took time.Duration)
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

func (noMetrics) ObserveRequest(string, string, time.Duration) {}
func (noMetrics) IncLimited(string)                            {}
func (noMetrics) IncRefusal(string)                            {}
func (noMetrics) ObserveExchange(string, time.Duration)        {}
func (noMetrics) IncGrant(string, string)                      {}
func (noMetrics) IncClientRefused(string, string)              {}
func (noMetrics) IncTokenRefused(string, string)               {}
func (noMetrics) IncLogoutToken(string)                        {}

// classes are the status classes by first digit.
var classes = [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}
