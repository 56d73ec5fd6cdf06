package redisstore

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Embedded is the URL of the Redis within the process.
const Embedded = "embedded"

// embeddedTick is how often the embedded Redis lets time pass. A tombstone that
// stands a second longer hurts nobody, and each tick touches every key.
const embeddedTick = time.Second

// embedded starts an in-process Redis that no port leads to. The very same
// scripts run in it; only its expiry has to be driven.
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
