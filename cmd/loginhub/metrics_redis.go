package main

import (
	"time"

	"loginhub/hub"
	"loginhub/hub/redisstore"
)

// redisBuckets end where a call is given up.
var redisBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 3}

// redisMeter implements redisstore.Meter.
type redisMeter struct {
	duration *histogramVec
	failed   *counterVec
	missing  *counterVec
	refused  *counterVec
}

func newRedisMeter(m *metrics, refused *counterVec) redisMeter {
	r := redisMeter{
		duration: m.histogram("loginhub_redis_call_duration_seconds",
			"How long a caller waited for Redis, with the client library's repeats.", redisBuckets, "call"),
		failed:  m.counter("loginhub_redis_errors_total", "Calls of Redis that have failed.", "call"),
		missing: m.counter("loginhub_redis_replicas_missing_total", "Confirms and switches refused because too few replicas had them in time."),
		refused: refused,
	}
	r.missing.start(labelValues{})
	for _, call := range redisstore.Calls() {
		r.duration.start(labelValues{call})
		r.failed.start(labelValues{call})
	}
	refused.start(inSecret)
	return r
}

// ObserveCall implements redisstore.Meter.
func (r redisMeter) ObserveCall(name string, took time.Duration, failed bool) {
	r.duration.at(labelValues{name}).Observe(took.Seconds())
	if failed {
		r.failed.at(labelValues{name}).Inc()
	}
}

var inSecret = labelValues{"secret", hub.SealBroken}

// DecryptFailed implements redisstore.Meter.
func (r redisMeter) DecryptFailed() { r.refused.at(inSecret).Inc() }

// ReplicasMissing implements redisstore.Meter.
func (r redisMeter) ReplicasMissing() { r.missing.at(labelValues{}).Inc() }
