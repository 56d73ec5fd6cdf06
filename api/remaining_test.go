package api_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// delayProxy is a network to Redis whose answers are late while it is wet; what is
// asked arrives at once. So the middle of a round trip is not when Redis looked
// at its clock.
type delayProxy struct {
	delaying atomic.Bool
	answered atomic.Int64 // answers passed on
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

// However a node reckons Redis's clock, it does not reckon it behind what Redis
// has said: a page would be told of more time than there ever was.
func TestRemaining_AtMostLifetime(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	m := startDelayProxy(t, redis.Addr, 200*time.Millisecond)
	m.delaying.Store(true)
	s := start(t, options{redis: redis.URLVia(m.addr)})
	// The next proof, with its message, is one round trip of a late answer. Until
	// the one after it, that is the node's clock.
	before := m.answered.Load()
	hubtest.Eventually(t, stepTimeout, "another proof", func() bool { return m.answered.Load() >= before+3 })
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
