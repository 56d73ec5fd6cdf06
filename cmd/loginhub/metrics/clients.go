package metrics

import (
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"loginhub/hub/ticket"
)

// WatchClients observes the clients in use: the ids of all, and of those that use OpenID
// Connect.
func (m *Metrics) WatchClients(all, openID []string) {
	m.switches.set(m.Hub.setClients(all))
	m.API.setSites(openID[:min(len(openID), maxClients)])
}

// Why the login of a client is off.
const (
	switchedOff = "switched_off"
	unreadable  = "unreadable" // its switch could not be read: logins get 503
)

// switches is a collector, because the clients change at a reload.
type switches struct {
	off *prometheus.Desc

	mu      sync.Mutex
	clients []string
	check   func(client string) error // of hub.Hub.CheckEnabled; nil: not known yet
}

func newSwitches() *switches {
	return &switches{off: prometheus.NewDesc("loginhub_client_login_off",
		"1 if this node refuses the logins of a client: an operator has switched it off, or its switch is unreadable.", []string{"client", "reason"}, nil)}
}

// set replaces the observed clients.
func (s *switches) set(clients []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients = clients
}

// watch sets the function that returns a client's switch.
func (s *switches) watch(check func(client string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.check = check
}

// Describe implements prometheus.Collector.
func (s *switches) Describe(to chan<- *prometheus.Desc) { to <- s.off }

// Collect implements prometheus.Collector.
func (s *switches) Collect(to chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.check == nil {
		return
	}
	for _, id := range s.clients {
		err := s.check(id)
		for reason, off := range map[string]bool{switchedOff: errors.Is(err, ticket.ErrLoginDisabled), unreadable: errors.Is(err, ticket.ErrStoreUnavailable)} {
			to <- prometheus.MustNewConstMetric(s.off, prometheus.GaugeValue, number(off), id, reason)
		}
	}
}

// number returns 1 for true.
func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
