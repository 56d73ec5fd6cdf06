package redisstore

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Embedded is the URL of the in-process Redis.
const Embedded = "embedded"

// embeddedTick is how often the clock of the embedded Redis advances. Each tick visits
// every key, and a tombstone that lives a second longer does no harm.
const embeddedTick = time.Second

// embedded starts an in-process Redis without a port. It runs the same scripts as a real
// one. Only its expiry needs a clock from outside.
func embedded() (redis.UniversalClient, func()) {
	m := miniredis.NewMiniRedis()
	o := &redis.Options{Dialer: func(context.Context, string, string) (net.Conn, error) { return m.Dial() }}
	setTimeouts(o)
	done := make(chan struct{})
	var clock sync.WaitGroup
	clock.Go(func() {
		tick := time.NewTicker(embeddedTick)
		defer tick.Stop()
		last := time.Now()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				m.FastForward(time.Since(last))
				last = time.Now()
			}
		}
	})
	return redis.NewClient(o), func() {
		close(done)
		clock.Wait()
		m.Close()
	}
}
