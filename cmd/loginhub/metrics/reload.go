package metrics

import "github.com/prometheus/client_golang/prometheus"

// Results of a reload.
const (
	reloadApplied = "applied"
	reloadRefused = "refused"
)

// reloadMetrics are of the settings' files.
type reloadMetrics struct {
	reloads          *counterVec
	successful, when prometheus.Gauge
}

func newReloadMetrics(m *Metrics) reloadMetrics {
	r := reloadMetrics{
		reloads: m.counter("loginhub_config_reloads_total", "Reloads of the settings' files after a change or a SIGHUP.", "result"),
		successful: prometheus.NewGauge(prometheus.GaugeOpts{Name: "loginhub_config_last_reload_successful",
			Help: "0 if the files hold settings that the node has refused; it uses the former ones."}),
		when: prometheus.NewGauge(prometheus.GaugeOpts{Name: "loginhub_config_last_reload_success_timestamp_seconds",
			Help: "When the settings in use were read (Unix time)."}),
	}
	m.registry.MustRegister(r.successful, r.when)
	r.reloads.init(labelValues{reloadApplied}, labelValues{reloadRefused})
	r.successful.Set(1)
	r.when.SetToCurrentTime()
	return r
}

// Reloaded counts a reload of the settings' files: applied, or refused as a whole.
func (m *Metrics) Reloaded(applied bool) {
	m.reload.successful.Set(number(applied))
	if !applied {
		m.reload.reloads.get(labelValues{reloadRefused}).Inc()
		return
	}
	m.reload.reloads.get(labelValues{reloadApplied}).Inc()
	m.reload.when.SetToCurrentTime()
}
