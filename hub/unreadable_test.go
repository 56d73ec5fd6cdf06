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
		"later version": "2.whatever a later version is",
		"missing key":   "1.bm9ib2R5aGFz.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.{}",
	} {
		for by, published := range map[string]bool{"by message": true, "by resync": false} {
			t.Run(name+" "+by, func(t *testing.T) {
				t.Parallel()
				redis := hubtest.StartRedis(t)
				s := start(t, options{url: redis.URL})
				s.serve(t)
				id := s.create(t)
				ctx, cancel := hubtest.WithTimeout(soon)
				defer cancel()
				socket, err := s.dial(ctx, id)
				if err != nil {
					t.Fatal(err)
				}
				if v, err := socket.Next(ctx); err != nil || v.State != "pending" {
					t.Fatalf("first view %+v %v", v, err)
				}
				polled := make(chan error, 1)
				go func() {
					_, news, err := s.Poll(ctx, id, 1, 50*time.Second, anyBrowser)
					if news {
						err = errors.New("the poll returned a view")
					}
					polled <- err
				}()
				hubtest.Eventually(t, soon, "both wait", func() bool { return s.Waiting() == 2 })
				redis.Client.HSet(ctx, "loginhub:{"+string(id)+"}", "rec", record)
				if published {
					redis.Client.Publish(ctx, "loginhub:mail:"+s.Node(), ticket.EncodeUpdate(id, []byte(record)))
				} else {
					redis.Client.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub")
				}
				if code := socket.Closed(ctx); code != 1013 {
					t.Errorf("closed with %d", code)
				}
				if err := <-polled; !errors.Is(err, ticket.ErrUnknownKey) {
					t.Errorf("the waiting poll ends with %v", err)
				}
				if _, _, err := s.Poll(ctx, id, 0, time.Second, anyBrowser); !errors.Is(err, ticket.ErrUnknownKey) {
					t.Errorf("the next poll ends with %v", err)
				}
			})
		}
	}
}
