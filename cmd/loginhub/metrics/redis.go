package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"loginhub/hub"
	"loginhub/hub/redisstore"
	"loginhub/hub/trace"
)

// redisBuckets end at the time-out of a call.
var redisBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 3}

// redisMetrics implements redisstore.Metrics.
type redisMetrics struct {
	duration     *histogramVec
	failed       *counterVec
	missing      *counterVec
	sealFailures *counterVec
}

func newRedisMetrics(m *Metrics, refused *counterVec) redisMetrics {
	r := redisMetrics{
		duration: m.histogram("loginhub_redis_call_duration_seconds",
			"How long a caller waited for Redis, with the client library's repeats.", redisBuckets, "call"),
		failed:       m.counter("loginhub_redis_errors_total", "Calls of Redis that have failed.", "call"),
		missing:      m.counter("loginhub_redis_replicas_missing_total", "Confirms and switches refused because too few replicas had them in time."),
		sealFailures: refused,
	}
	r.missing.init(labelValues{})
	for _, call := range redisstore.Calls() {
		r.duration.init(labelValues{call})
		r.failed.init(labelValues{call})
	}
	refused.init(secretBroken)
	return r
}

// WatchStore adds what is read from the connections to Redis at each scrape.
func (m *Metrics) WatchStore(store *redisstore.Store) {
	for state, count := range map[string]func(redisstore.PoolStats) int{
		"used":       func(p redisstore.PoolStats) int { return p.Used },
		"idle":       func(p redisstore.PoolStats) int { return p.Idle },
		"subscribed": func(p redisstore.PoolStats) int { return p.Subscribed },
	} {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "loginhub_redis_connections",
			Help: "Connections to Redis.", ConstLabels: prometheus.Labels{"state": state}}, func() float64 { return float64(count(store.PoolStats())) }))
	}
	counter := func(name, help string, count func(redisstore.PoolStats) uint32) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(count(store.PoolStats())) }))
	}
	counter("loginhub_redis_connections_opened_total", "Connections opened for calls of Redis.", func(p redisstore.PoolStats) uint32 { return p.Opened })
	counter("loginhub_redis_pool_waits_total", "Calls that waited for a free connection.", func(p redisstore.PoolStats) uint32 { return p.Waits })
	counter("loginhub_redis_pool_timeouts_total", "Calls that failed because no connection was free in time.", func(p redisstore.PoolStats) uint32 { return p.Timeouts })
}

// ObserveCall implements redisstore.Metrics.
func (r redisMetrics) ObserveCall(ctx context.Context, name string, took time.Duration, failed bool) {
	observe(r.duration.get(labelValues{name}), took, trace.ID(ctx))
	if failed {
		r.failed.get(labelValues{name}).Inc()
	}
}

var secretBroken = labelValues{"secret", hub.SealBroken}

// DecryptFailed implements redisstore.Metrics.
func (r redisMetrics) DecryptFailed() { r.sealFailures.get(secretBroken).Inc() }

// ReplicasMissing implements redisstore.Metrics.
func (r redisMetrics) ReplicasMissing() { r.missing.get(labelValues{}).Inc() }
