package metrics

import (
	"cmp"
	"net/http"
	"regexp"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"loginhub/cmd/loginhub/logqueue"
	"loginhub/hub"
	"loginhub/hub/provider"
)

// Metrics are the process's metrics, as in deploy/METRICS.md. Other packages report
// events through small interfaces of their own and do not depend on Prometheus.
type Metrics struct {
	Hub    hubMetrics    // implements hub.Metrics
	API    apiMetrics    // implements api.Metrics
	Redis  redisMetrics  // implements redisstore.Metrics
	Outbox outboxMetrics // implements outbox.Metrics

	registry *prometheus.Registry
	services map[string]*callMetrics // by Kind.Calls
	switches *switches
	reload   reloadMetrics
}

// New returns the metrics of one process. releaseVersion and commit are those of the
// release, or empty for those of the build. kinds are all kinds of providers.
func New(releaseVersion, commit string, kinds []provider.Kind) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	// How long runnable goroutines wait for a processor, which grows on a machine without
	// free CPU; and the memory that waiting pages and requests use, without garbage.
	further := collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/(sched/latencies:seconds|gc/heap/live:bytes|memory/classes/heap/stacks:bytes)$`)}
	m.registry.MustRegister(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(further)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.Hub = newHubMetrics(m)
	m.API = newAPIMetrics(m)
	m.Redis = newRedisMetrics(m, m.Hub.sealFailures)
	m.Outbox = newOutboxMetrics(m)
	m.services = newCallMetrics(m, kinds)
	m.switches = newSwitches()
	m.registry.MustRegister(m.switches)
	m.reload = newReloadMetrics(m)
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "loginhub_build_info",
		Help: "Version of the program; always 1."}, []string{"version", "revision", "go_version"})
	m.registry.MustRegister(build)
	version, revision, goVersion := buildInfo()
	// The release's values come first, as in `loginhub version`.
	build.WithLabelValues(cmp.Or(releaseVersion, version), cmp.Or(commit, revision), goVersion).Set(1)
	return m
}

// buildInfo returns the version data of the build.
func buildInfo() (version, revision, goVersion string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", "unknown", "unknown"
	}
	version, revision = info.Main.Version, "unknown"
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return version, revision, info.GoVersion
}

// Handler responds in text, or as Prometheus requests: in protobuf for native histograms,
// or in OpenMetrics. Both contain exemplars; text does not.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// WatchHub adds gauges that are read from the node at each scrape.
func (m *Metrics) WatchHub(node *hub.Hub) {
	gauge := func(name, help string, value func() float64, labels prometheus.Labels) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
	}
	const waiters, waitersHelp = "loginhub_waiters", "Pages that wait on this node."
	gauge(waiters, waitersHelp, func() float64 {
		sockets, _ := node.WaitingBy()
		return float64(sockets)
	}, prometheus.Labels{"transport": transports[hub.TransportSocket]})
	gauge(waiters, waitersHelp, func() float64 {
		_, polls := node.WaitingBy()
		return float64(polls)
	}, prometheus.Labels{"transport": transports[hub.TransportPoll]})
	gauge("loginhub_waiters_limit", "How many pages may wait on this node (LOGINHUB_MAX_SOCKETS).",
		func() float64 { return float64(node.MaxWaiters()) }, nil)
	gauge("loginhub_mailbox_probe_age_seconds", "Time since Redis last delivered this node's liveness probe to its mailbox.",
		func() float64 { return node.LastProbeAge().Seconds() }, nil)
	gauge("loginhub_ready", "1 if GET /readyz answers 200.", func() float64 { return number(node.Ready() == nil) }, nil)
	m.switches.watch(node.CheckEnabled)
}

// WatchLog adds what is read from a log's queue at each scrape. stream is "log" or
// "audit"; kind is the kind of its lines. Both streams may share one queue.
func (m *Metrics) WatchLog(stream string, queue *logqueue.Queue, kind int) {
	labels := prometheus.Labels{"stream": stream}
	m.registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "loginhub_log_lines_dropped_total",
			Help: "Lines that were dropped because the log was not read or could not be written.", ConstLabels: labels},
			func() float64 { return float64(queue.Dropped(kind)) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "loginhub_log_lines_queued",
			Help: "Lines that wait to be written.", ConstLabels: labels},
			func() float64 { return float64(queue.Queued()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "loginhub_log_stalled",
			Help: "1 if lines wait and none was written for a second.", ConstLabels: labels},
			func() float64 { return number(queue.Stalled()) }))
}

// WatchCertificate adds the expiry time of a certificate in use, which is read at each
// scrape.
func (m *Metrics) WatchCertificate(label string, expiry func() time.Time) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "loginhub_certificate_expiry_timestamp_seconds",
		Help: "When the certificate expires (Unix time).", ConstLabels: prometheus.Labels{"certificate": label}},
		func() float64 { return float64(expiry().Unix()) }))
}

// WatchPlaces adds the age of the GeoIP database in use, and whether its file was refused. Both are
// read at each scrape.
func (m *Metrics) WatchPlaces(built func() time.Time, refused func() bool) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "loginhub_geoip_build_timestamp_seconds",
			Help: "When the GeoIP database in use was made (Unix time)."}, func() float64 { return float64(built().Unix()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "loginhub_geoip_last_reload_successful",
			Help: "0 if the file of the GeoIP database cannot be read; the node uses the former one."}, func() float64 { return number(!refused()) }))
}

// WatchConns adds the metrics of the public listener's connections. It returns the
// function that counts a connection closed because of a limit; refusals are the pairs
// of limit and closed that it is called with.
func (m *Metrics) WatchConns(open, limit func() int, refusals [][2]string) (refused func(limit, closed string)) {
	gauge := func(name, help string, value func() int) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) }))
	}
	gauge("loginhub_connections", "Open connections of the public listener, waiting sockets among them.", open)
	gauge("loginhub_connections_limit", "How many connections may be open, by the file limit.", limit)
	closed := m.counter("loginhub_connections_refused_total", "Connections closed because of a limit of connections.", "limit", "closed")
	for _, r := range refusals {
		closed.init(labelValues{r[0], r[1]})
	}
	return func(limit, how string) { closed.get(labelValues{limit, how}).Inc() }
}

// labelValues are up to three label values; unused ones are empty.
type labelValues [3]string

// series caches the handles of one metric, so that an event costs a map lookup and an
// atomic addition, without an allocation. The callers keep the number of label values
// small.
type series[T any] struct {
	labels  int
	resolve func(labels ...string) T

	mu    sync.RWMutex
	known map[labelValues]T
}

func (s *series[T]) get(w labelValues) T {
	s.mu.RLock()
	one, ok := s.known[w]
	s.mu.RUnlock()
	if ok {
		return one
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one = s.resolve(append([]string(nil), w[:s.labels]...)...)
	s.known[w] = one
	return one
}

// init creates series before their first event. A rate over a series that begins with
// its first event misses that event.
func (s *series[T]) init(all ...labelValues) {
	for _, w := range all {
		s.get(w)
	}
}

// counterVec are the counters of one metric.
type counterVec = series[prometheus.Counter]

func (m *Metrics) counter(name, help string, labels ...string) *counterVec {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(vec)
	return &counterVec{labels: len(labels), known: map[labelValues]prometheus.Counter{}, resolve: vec.WithLabelValues}
}

// histogramVec are the histograms of one metric, in seconds.
type histogramVec = series[prometheus.Observer]

// observe adds a duration to a histogram, with the trace as its exemplar unless traceID is
// "".
func observe(histogram prometheus.Observer, took time.Duration, traceID string) {
	if with, ok := histogram.(prometheus.ExemplarObserver); ok && traceID != "" {
		with.ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": traceID})
		return
	}
	histogram.Observe(took.Seconds())
}

// histogram has native buckets, each a tenth wide, and classic buckets for scrapes
// without protobuf.
func (m *Metrics) histogram(name, help string, classic []float64, labels ...string) *histogramVec {
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: classic,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour}, labels)
	m.registry.MustRegister(vec)
	return &histogramVec{labels: len(labels), known: map[labelValues]prometheus.Observer{}, resolve: vec.WithLabelValues}
}
