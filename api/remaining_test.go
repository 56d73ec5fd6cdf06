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
	wet  atomic.Bool
	said atomic.Int64 // answers passed on
	late time.Duration
	to   string
	jobs sync.WaitGroup
	addr string
}

func startMire(t *testing.T, to string, late time.Duration) *delayProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	m := &delayProxy{late: late, to: to, addr: listener.Addr().String()}
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
			m.jobs.Go(func() { m.answers(near, far) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		m.jobs.Wait()
	})
	return m
}

func (m *delayProxy) answers(near, far net.Conn) {
	defer near.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := far.Read(buffer)
		if err != nil {
			return
		}
		if m.wet.Load() {
			<-time.After(m.late)
		}
		if _, err := near.Write(buffer[:n]); err != nil {
			return
		}
		m.said.Add(1)
	}
}

// However a node reckons Redis's clock, it does not reckon it behind what Redis
// has said: a page would be told of more time than there ever was.
func TestRemaining_AtMostLifetime(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	m := startMire(t, redis.Addr, 200*time.Millisecond)
	m.wet.Store(true)
	s := start(t, options{redis: redis.URLVia(m.addr)})
	// The next proof, with its message, is one round trip of a late answer. Until
	// the one after it, that is the node's clock.
	before := m.said.Load()
	hubtest.Eventually(t, patience, "another proof", func() bool { return m.said.Load() >= before+3 })
	m.wet.Store(false)
	p := s.make(t, nil)
	most := map[string]float64{"pending": 120, "scanned": 120, "confirmed": 60}
	for _, step := range []string{"", "scan", "confirm"} {
		if step != "" {
			s.phone("ann").may(t, p, step)
		}
		v := p.view(t)
		within(t, "expires_in", v["expires_in"], 1, most[v["state"].(string)])
		if v["token_expires_in"] != nil {
			within(t, "token_expires_in", v["token_expires_in"], 1, 300)
		}
	}
}
