package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"loginhub/hub/outbox"
)

// outboxMetrics implements outbox.Metrics. The queues are those of configured clients and
// providers.
type outboxMetrics struct {
	messages *prometheus.CounterVec
	waiting  *prometheus.GaugeVec
	oldest   *prometheus.GaugeVec
}

func newOutboxMetrics(m *Metrics) outboxMetrics {
	o := outboxMetrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "loginhub_outbox_messages_total",
			Help: "Events and notices of logins, by what became of them on this node."}, []string{"queue", "result"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "loginhub_outbox_waiting",
			Help: "Messages that wait in a queue, as every node of the deployment sees it."}, []string{"queue"}),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "loginhub_outbox_oldest_seconds",
			Help: "How long the oldest message of a queue has been waiting."}, []string{"queue"}),
	}
	m.registry.MustRegister(o.messages, o.waiting, o.oldest)
	return o
}

// IncMessages implements outbox.Metrics.
func (o outboxMetrics) IncMessages(queue, result string, n int) {
	o.messages.WithLabelValues(queue, result).Add(float64(n))
}

// SetQueue implements outbox.Metrics.
func (o outboxMetrics) SetQueue(queue string, depth int, oldest time.Duration) {
	for _, result := range outbox.Results() {
		o.messages.WithLabelValues(queue, result) // a rate misses the first event of a new series
	}
	o.waiting.WithLabelValues(queue).Set(float64(depth))
	o.oldest.WithLabelValues(queue).Set(oldest.Seconds())
}

// ForgetQueue implements outbox.Metrics.
func (o outboxMetrics) ForgetQueue(queue string) {
	is := prometheus.Labels{"queue": queue}
	o.messages.DeletePartialMatch(is)
	o.waiting.DeletePartialMatch(is)
	o.oldest.DeletePartialMatch(is)
}
