package hub_test

import (
	"errors"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

// TestUnreadable_ReleasesWaiters: another node writes a record that this one cannot read.
// The waiters are released, so that they connect to a node that can read it. They never
// get "not found".
func TestUnreadable_ReleasesWaiters(t *testing.T) {
	t.Parallel()
	for name, record := range map[string]string{
		"later version": "9.whatever a later version is",
		"missing key":   "1.bm9ib2R5aGFz.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.{}",
	} {
		for by, published := range map[string]bool{"by message": true, "by resync": false} {
			t.Run(name+" "+by, func(t *testing.T) {
				t.Parallel()
				s, ctx := startWaiting(t)
				waits := s.poll(s.id, 50*time.Second)
				hubtest.Eventually(t, soon, "both wait", func() bool { return s.Waiting() == 2 })
				s.redis.Client.HSet(ctx, "loginhub:{"+string(s.id)+"}", "rec", record)
				if published {
					s.redis.Client.Publish(ctx, "loginhub:mail:"+s.Node(), ticket.EncodeUpdate(s.id, []byte(record)))
				} else {
					s.redis.Client.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub")
				}
				if code := s.socket.Closed(ctx); code != 1013 {
					t.Errorf("closed with %d", code)
				}
				for what, a := range map[string]polled{"waiting": <-waits, "next": <-s.poll(s.id, time.Second)} {
					if !errors.Is(a.err, ticket.ErrUnknownKey) || a.news {
						t.Errorf("the %s poll ends with %+v", what, a)
					}
				}
			})
		}
	}
}
