package metrics

import (
	"time"

	"loginhub/api/oidc"
	"loginhub/api/ratelimit"
)

// httpBuckets end above the longest poll.
var httpBuckets = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60}

// apiMetrics implements api.Metrics.
type apiMetrics struct {
	requests *counterVec
	duration *histogramVec
	limited  *counterVec
	logouts  *counterVec
}

func newAPIMetrics(m *Metrics) apiMetrics {
	e := apiMetrics{
		requests: m.counter("loginhub_http_requests_total", "Requests answered, by the route's pattern and the status's class.", "route", "status"),
		duration: m.histogram("loginhub_http_request_duration_seconds",
			"Time to answer; a long poll's with its wait, a socket's up to its upgrade.", httpBuckets, "route"),
		limited: m.counter("loginhub_rate_limited_total", "Hits on a limit.", "limit"),
		logouts: m.counter("loginhub_logout_tokens_total", "Back-channel logout tokens by the end of their delivery.", "result"),
	}
	for _, limit := range ratelimit.Names() {
		e.limited.init(labelValues{limit})
	}
	for _, result := range oidc.LogoutResults() {
		e.logouts.init(labelValues{result})
	}
	return e
}

// IncLogoutToken implements api.Metrics.
func (e apiMetrics) IncLogoutToken(result string) { e.logouts.get(labelValues{result}).Inc() }

// ObserveRequest implements api.Metrics.
func (e apiMetrics) ObserveRequest(route, class string, took time.Duration) {
	e.requests.get(labelValues{route, class}).Inc()
	e.duration.get(labelValues{route}).Observe(took.Seconds())
}

// IncLimited implements api.Metrics.
func (e apiMetrics) IncLimited(limit string) { e.limited.get(labelValues{limit}).Inc() }
