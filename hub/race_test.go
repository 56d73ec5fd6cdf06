package hub_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"loginhub/hub"
	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

// soon is far below the first sweep of a slot after 18 seconds: what arrives before did
// not need the sweep.
const soon = 10 * time.Second

func TestRace_AttachAndConfirm(t *testing.T) {
	redis := hubtest.StartRedis(t)
	waiting, phone := start(t, options{url: redis.URL}), start(t, options{url: redis.URL})
	const total, workers = 10_000, 32
	race := func(i int) {
		id := waiting.create(t)
		ctx, cancel := hubtest.WithTimeout(soon)
		defer cancel()
		var both sync.WaitGroup
		both.Go(func() {
			if _, err := phone.Confirm(ctx, phone.phoneCall(id, "a")); err != nil {
				t.Errorf("%d: confirm: %v", i, err)
			}
		})
		v, news, err := waiting.Poll(ctx, id, 1, soon, anyBrowser)
		if err := checkToken(v, err); err != nil || !news {
			t.Errorf("%d: the token did not arrive: %v", i, err)
		}
		both.Wait()
	}
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := w; i < total && !t.Failed(); i += workers {
				race(i)
			}
		})
	}
	all.Wait()
}

// slowAttachStore returns from an attach only after the message of the confirm has
// arrived in the node's mailbox.
type slowAttachStore struct {
	hub.Store
	attached func(ticket.ID) // called after the attach, before it returns
	release  func(ticket.ID) // returns when the attach may return
}

func (s *slowAttachStore) Attach(ctx context.Context, node string, ids ...ticket.ID) ([]ticket.Stored, error) {
	found, err := s.Store.Attach(ctx, node, ids...)
	if node != "" && err == nil && found[0].Sealed != nil {
		s.attached(ids[0])
		s.release(ids[0])
	}
	return found, err
}

// delayAttach starts two nodes. Each attach of the first returns only after the message
// of a confirm on the second.
func delayAttach(t *testing.T, url string) (waiting, phone *testNode) {
	phone = start(t, options{url: url})
	var mu sync.Mutex
	arrived := map[ticket.ID]chan struct{}{}
	of := func(id ticket.ID) chan struct{} {
		mu.Lock()
		defer mu.Unlock()
		if arrived[id] == nil {
			arrived[id] = make(chan struct{})
		}
		return arrived[id]
	}
	waiting = start(t, options{url: url, wrap: func(s hub.Store) hub.Store {
		return &slowAttachStore{Store: s,
			attached: func(id ticket.ID) {
				if _, err := phone.Confirm(context.Background(), phone.phoneCall(id, "a")); err != nil {
					t.Errorf("confirm: %v", err)
				}
			},
			release: func(id ticket.ID) {
				select {
				case <-of(id):
				case <-time.After(soon):
					t.Errorf("no message for %s", id)
				}
			}}
	}})
	waiting.mailbox.set(func(next func([]byte), m []byte) {
		next(m)
		if id, _, ok := ticket.DecodeUpdate(m); ok {
			close(of(id))
		}
	})
	return waiting, phone
}

func TestRace_AttachAfterMessage(t *testing.T) {
	waiting, _ := delayAttach(t, hubtest.StartRedis(t).URL)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 125 {
				ctx, cancel := hubtest.WithTimeout(soon)
				v, news, err := waiting.Poll(ctx, waiting.create(t), 1, soon, anyBrowser)
				cancel()
				if err := checkToken(v, err); err != nil || !news {
					t.Errorf("the token did not arrive: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestSocket_UpdateBeforeUpgrade(t *testing.T) {
	waiting, _ := delayAttach(t, hubtest.StartRedis(t).URL)
	waiting.serve(t)
	for range 200 {
		ctx, cancel := hubtest.WithTimeout(soon)
		socket, err := waiting.dial(ctx, waiting.create(t))
		if err != nil {
			t.Fatal(err)
		}
		// The first view is the confirmed one: the slot does not go back to the older
		// version of the late attach.
		v, err := socket.Next(ctx)
		if err != nil || v.State != "confirmed" || v.Token == "" || v.Seq != 2 {
			t.Fatalf("first view %+v %v", v, err)
		}
		socket.Conn.CloseNow()
		cancel()
	}
}
