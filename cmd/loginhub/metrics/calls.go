package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"loginhub/hub/provider"
	"loginhub/hub/trace"
)

// callBuckets end at the time-out of a call.
var callBuckets = []float64{.01, .025, .05, .1, .25, .5, 1, 2, 4, 8}

// callMetrics implements provider.CallMetrics for one service.
type callMetrics struct {
	calls    *counterVec
	duration *histogramVec
	tokens   *tokenAges
}

// newCallMetrics returns the metrics of each service that kinds call.
func newCallMetrics(m *Metrics, kinds []provider.Kind) map[string]*callMetrics {
	all := map[string]*callMetrics{}
	for _, kind := range kinds {
		name := kind.Calls
		if name == "" || all[name] != nil {
			continue
		}
		all[name] = &callMetrics{
			tokens:   newTokenAges(name),
			calls:    m.counter("loginhub_"+name+"_calls_total", "Calls of "+kind.Label.EN+", by its error code and by what is to be done about it.", "endpoint", "code", "kind"),
			duration: m.histogram("loginhub_"+name+"_call_duration_seconds", "How long a call of "+kind.Label.EN+" took.", callBuckets, "endpoint"),
		}
		m.registry.MustRegister(all[name].tokens)
	}
	return all
}

// Calls returns the metrics of a service, or nil for "".
func (m *Metrics) Calls(service string) provider.CallMetrics {
	if c := m.services[service]; c != nil {
		return c
	}
	return nil
}

// WatchProviders observes the providers in use. ids are those of the configuration.
func (m *Metrics) WatchProviders(ids []string, open []*provider.Provider) {
	m.Hub.setProviders(ids)
	for _, id := range ids {
		m.API.exchange.init(labelValues{id})
	}
	for service, c := range m.services {
		of := map[string][]provider.AccessToken{}
		for _, p := range open {
			if p.Calls == service && p.Calling.Age != nil {
				of[p.Calling.AppID] = append(of[p.Calling.AppID], p.Calling)
			}
		}
		c.tokens.set(of)
	}
}

// Start implements provider.CallMetrics.
func (c *callMetrics) Start(call string, results []provider.CallResult) {
	c.duration.init(labelValues{call})
	for _, r := range results {
		c.calls.init(labelValues{call, r.Code, r.Reaction})
	}
}

// Observe implements provider.CallMetrics.
func (c *callMetrics) Observe(ctx context.Context, call string, r provider.CallResult, took time.Duration) {
	observe(c.duration.get(labelValues{call}), took, trace.ID(ctx))
	c.calls.get(labelValues{call, r.Code, r.Reaction}).Inc()
}

// tokenAges is a collector, because without a token there is no age.
type tokenAges struct {
	age, left *prometheus.Desc

	mu sync.Mutex
	of map[string][]provider.AccessToken // by AppID: one for each mini-program page
}

func newTokenAges(service string) *tokenAges {
	labels := []string{"app_id"}
	return &tokenAges{
		age:  prometheus.NewDesc("loginhub_"+service+"_token_age_seconds", "Time since the access token in use was asked for.", labels, nil),
		left: prometheus.NewDesc("loginhub_"+service+"_token_remaining_seconds", "Time until the access token in use ends.", labels, nil)}
}

// set replaces the observed applications.
func (t *tokenAges) set(of map[string][]provider.AccessToken) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of = of
}

// Describe implements prometheus.Collector.
func (t *tokenAges) Describe(to chan<- *prometheus.Desc) { to <- t.age; to <- t.left }

// Collect implements prometheus.Collector. Of several tokens of an application it
// reports the newest.
func (t *tokenAges) Collect(to chan<- prometheus.Metric) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, all := range t.of {
		var age, left time.Duration
		known := false
		for _, tokens := range all {
			if a, l, ok := tokens.Age(); ok && (!known || a < age) {
				age, left, known = a, l, true
			}
		}
		if known {
			to <- prometheus.MustNewConstMetric(t.age, prometheus.GaugeValue, age.Seconds(), id)
			to <- prometheus.MustNewConstMetric(t.left, prometheus.GaugeValue, left.Seconds(), id)
		}
	}
}
