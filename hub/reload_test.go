package hub_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/hub"
	"loginhub/hub/hubtest"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

// TestReload_ReleasesUnservedWaiters: if a reload removes a ticket's key or client, the
// waiters are released at once, so that they connect to another node.
func TestReload_ReleasesUnservedWaiters(t *testing.T) {
	had, others := newNodeKeys(t), nodeKeysOf(t, hubtest.OtherKey)
	for name, reloaded := range map[string]hub.Reloadable{
		"key":    {Keys: others.ring, Signer: others.signer},
		"client": {Keys: had.ring, Signer: had.signer, Clients: []string{"another"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, options{tweak: func(c *hub.Config) {
					c.Reloadable = hub.Reloadable{Keys: had.ring, Signer: had.signer, Clients: []string{"demo"}}
				}})
				id := s.create(t)
				socket, waits := s.open(t, t.Context(), id), s.poll(id, time.Minute)
				synctest.Wait()
				began := time.Now()
				s.Reload(reloaded)
				if code := socket.Closed(t.Context()); code != 1013 || time.Since(began) > time.Second {
					t.Errorf("the socket is closed with %d after %v", code, time.Since(began))
				}
				if a := <-waits; !errors.Is(a.err, ticket.ErrUnknownKey) {
					t.Errorf("the poll ends with %+v", a)
				}
			})
		})
	}
}

// TestReload_ReadsNewClientSwitch: a client that a reload adds may be switched off. Its
// switch is read before Reload returns.
func TestReload_ReadsNewClientSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := newNodeKeys(t)
		var store *redisstore.Store
		s := start(t, options{tweak: func(c *hub.Config) {
			store = c.Store.(*redisstore.Store)
			c.KillSwitches, c.Reloadable = store, hub.Reloadable{Keys: keys.ring, Signer: keys.signer, Clients: []string{"demo"}}
		}})
		off, err := keys.ring.SealSwitch(ticket.SwitchWord{Client: "new", At: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := store.WriteSwitch(t.Context(), "new", string(off)); err != nil {
			t.Fatal(err)
		}
		s.Reload(hub.Reloadable{Keys: keys.ring, Signer: keys.signer, Clients: []string{"demo", "new"}})
		if err := s.CheckEnabled("new"); !errors.Is(err, ticket.ErrLoginDisabled) {
			t.Errorf("the new client: %v", err)
		}
		if err := s.CheckEnabled("demo"); err != nil {
			t.Errorf("the former one: %v", err)
		}
	})
}
