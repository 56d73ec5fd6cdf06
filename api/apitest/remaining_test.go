package apitest_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// delayProxy is a TCP proxy to Redis that can delay answers, but not requests. With it,
// Redis reads its clock long before the middle of a round trip.
type delayProxy struct {
	delaying atomic.Bool
	answered atomic.Int64 // number of forwarded answers
	delay    time.Duration
	to       string
	jobs     sync.WaitGroup
	addr     string
}

func startDelayProxy(t *testing.T, to string, late time.Duration) *delayProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	m := &delayProxy{delay: late, to: to, addr: listener.Addr().String()}
	m.jobs.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", m.to)
			if err != nil {
				near.Close()
				continue
			}
			m.jobs.Go(func() {
				io.Copy(far, near)
				far.Close()
			})
			m.jobs.Go(func() { m.forwardAnswers(near, far) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		m.jobs.Wait()
	})
	return m
}

func (m *delayProxy) forwardAnswers(near, far net.Conn) {
	defer near.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := far.Read(buffer)
		if err != nil {
			return
		}
		if m.delaying.Load() {
			<-time.After(m.delay)
		}
		if _, err := near.Write(buffer[:n]); err != nil {
			return
		}
		m.answered.Add(1)
	}
}

// A node's estimate of Redis's clock must not be behind a time that Redis has returned:
// a page would show more time than the ticket's lifetime.
func TestRemaining_AtMostLifetime(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	m := startDelayProxy(t, redis.Addr, 200*time.Millisecond)
	m.delaying.Store(true)
	s := start(t, options{redis: redis.URLVia(m.addr)})
	// The next probe measures the clock in one round trip with a delayed answer. Its
	// result is used until the probe after it.
	before := m.answered.Load()
	hubtest.Eventually(t, stepTimeout, "another probe", func() bool { return m.answered.Load() >= before+3 })
	m.delaying.Store(false)
	p := s.createTicket(t, nil)
	most := map[string]float64{"pending": 120, "scanned": 120, "confirmed": 60}
	for _, step := range []string{"", "scan", "confirm"} {
		if step != "" {
			s.phone("ann").mustDo(t, p, step)
		}
		v := p.view(t)
		requireRange(t, "expires_in", v["expires_in"], 1, most[v["state"].(string)])
		if v["token_expires_in"] != nil {
			requireRange(t, "token_expires_in", v["token_expires_in"], 1, 300)
		}
	}
}
