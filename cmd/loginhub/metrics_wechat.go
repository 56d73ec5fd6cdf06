package main

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"loginhub/wechat"
)

// wechatBuckets end at the time-out of a call.
var wechatBuckets = []float64{.01, .025, .05, .1, .25, .5, 1, 2, 4, 8}

// wechatMetrics observes the requests to WeChat.
type wechatMetrics struct {
	calls    *counterVec
	duration *histogramVec
	tokens   *tokenAges
}

func newWechatMetrics(m *metrics) wechatMetrics {
	w := wechatMetrics{
		tokens:   newTokenAges(),
		calls:    m.counter("loginhub_wechat_calls_total", "Calls of WeChat, by its errcode and by what is to be done about it.", "endpoint", "code", "kind"),
		duration: m.histogram("loginhub_wechat_call_duration_seconds", "How long a call of WeChat took.", wechatBuckets, "endpoint"),
	}
	m.registry.MustRegister(w.tokens)
	return w
}

// commonErrcodes are the errcodes that wechat/README.md names.
var commonErrcodes = []int{-1, 40029, 40163, 42003, 40226, 45011, 45009, 44993, 40001, 40013, 40125, 40164, 40243,
	40014, 42001, 41030}

// start creates the series of these requests. An uncommon errcode gets its series
// with its first event, which a rate misses.
func (w wechatMetrics) start(ops ...string) {
	for _, op := range ops {
		w.duration.init(labelValues{op})
		w.calls.init(callLabels(op, nil), callLabels(op, &wechat.Error{}), labelValues{op, "other", wechat.KindBusy.String()})
		for _, code := range commonErrcodes {
			w.calls.init(callLabels(op, &wechat.Error{Code: code, Kind: wechat.KindOf(op, code)}))
		}
	}
}

// observe is the function for wechat.Config.Observe.
func (w wechatMetrics) observe(op string, took time.Duration, err error) {
	w.duration.get(labelValues{op}).Observe(took.Seconds())
	w.calls.get(callLabels(op, err)).Inc()
}

// callLabels returns the labels of a request: "ok", a known errcode, "other", or
// "none" without a valid response of WeChat.
func callLabels(op string, err error) labelValues {
	var e *wechat.Error
	switch {
	case err == nil:
		return labelValues{op, "ok", "ok"}
	case !errors.As(err, &e) || e.Code == 0:
		return labelValues{op, "none", wechat.KindBusy.String()}
	case wechat.Known(e.Code):
		return labelValues{op, strconv.Itoa(e.Code), e.Kind.String()}
	}
	return labelValues{op, "other", e.Kind.String()}
}

// tokenAges is a collector, because without a token there is no age.
type tokenAges struct {
	age, left *prometheus.Desc

	mu sync.Mutex
	of map[string][]*wechat.Tokens // by AppID: one for each mini-program page
}

func newTokenAges() *tokenAges {
	labels := []string{"app_id"}
	return &tokenAges{
		age:  prometheus.NewDesc("loginhub_wechat_token_age_seconds", "Time since the access token in use was asked for.", labels, nil),
		left: prometheus.NewDesc("loginhub_wechat_token_remaining_seconds", "Time until the access token in use ends.", labels, nil)}
}

// set replaces the observed applications.
func (t *tokenAges) set(of map[string][]*wechat.Tokens) {
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
