package main

import (
	"time"

	"loginhub/api"
)

// httpBuckets end where no poll waits any longer.
var httpBuckets = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60}

// edgeMeter implements api.Meter.
type edgeMeter struct {
	requests *counterVec
	duration *histogramVec
	limited  *counterVec
}

func newEdgeMeter(m *metrics) edgeMeter {
	e := edgeMeter{
		requests: m.counter("loginhub_http_requests_total", "Requests answered, by the route's pattern and the status's class.", "route", "status"),
		duration: m.histogram("loginhub_http_request_duration_seconds",
			"Time to answer; a long poll's with its wait, a socket's up to its upgrade.", httpBuckets, "route"),
		limited: m.counter("loginhub_rate_limited_total", "Hits on a limit.", "limit"),
	}
	for _, limit := range api.Limits() {
		e.limited.start(labelValues{limit})
	}
	return e
}

// ObserveRequest implements api.Meter.
func (e edgeMeter) ObserveRequest(route, class string, took time.Duration) {
	e.requests.at(labelValues{route, class}).Inc()
	e.duration.at(labelValues{route}).Observe(took.Seconds())
}

// IncLimited implements api.Meter.
func (e edgeMeter) IncLimited(limit string) { e.limited.at(labelValues{limit}).Inc() }
