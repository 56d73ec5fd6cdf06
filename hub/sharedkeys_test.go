package hub_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/hub"
	"loginhub/hub/keys"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

// keyCluster is some nodes with one master key on one embedded Redis.
type keyCluster struct {
	*redisstore.Store
	master, other keys.MasterKey
}

// keyNode is a node and the keys that it was last given.
type keyNode struct {
	*testNode
	shared *atomic.Pointer[hub.SharedKeys]
}

func (b *keyCluster) node(t *testing.T, needsRSA bool) keyNode {
	t.Helper()
	n := keyNode{shared: &atomic.Pointer[hub.SharedKeys]{}}
	n.shared.Store(&hub.SharedKeys{})
	n.testNode = start(t, options{tweak: func(c *hub.Config) {
		if b.Store == nil {
			b.Store = c.Store.(*redisstore.Store)
		}
		c.KillSwitches, c.KeysChanged = b.Store, func(s hub.SharedKeys) { n.shared.Store(&s) }
		c.Reloadable.Masters, c.Reloadable.NeedsRSA = []keys.MasterKey{b.master}, needsRSA
		if b.other != (keys.MasterKey{}) {
			c.Reloadable.Masters = append(c.Reloadable.Masters, b.other)
		}
		c.Reloadable.Keys = b.ring(t, c.Reloadable.Masters...)
	}})
	return n
}

func (n keyNode) rsa(b *keyCluster) hub.RSAKeys { return n.shared.Load().RSA[b.master.ID()] }

func (b *keyCluster) stored(t *testing.T) string {
	t.Helper()
	values, err := b.ReadSwitches(t.Context(), []string{"rsa:" + b.master.ID()})
	if err != nil {
		t.Fatal(err)
	}
	return values[0]
}

// TestSharedKeys_OneRSAKey: all nodes publish the key that one has made, before any
// signs with it, also a node without a client for it. What Redis loses is written again,
// also if another node starts at that moment.
func TestSharedKeys_OneRSAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &keyCluster{master: keys.NewMasterKey()}
		idle := b.node(t, false)
		if synctest.Wait(); b.stored(t) != "" {
			t.Fatal("a node without a client for RS256 has made a key")
		}
		began := time.Now()
		nodes := []keyNode{b.node(t, true), b.node(t, true), idle} // ready
		if time.Since(began) < 2*time.Second || len(idle.rsa(b).Published) != 1 {
			t.Error("a node is ready, and signs, before all others have read the key")
		}
		waitRead(t)
		first, value := nodes[0].rsa(b).Signing, b.stored(t)
		if first == nil || strings.Contains(value, string(first.D.Bytes())) {
			t.Fatalf("no key signs, or it is in clear: %v", nodes[0].rsa(b))
		}
		for i, n := range nodes {
			if k := n.rsa(b); !first.Equal(k.Signing) || len(k.Published) != 1 || n.Ready() != nil {
				t.Errorf("node %d: %v, ready %v", i, k, n.Ready())
			}
		}
		for _, lost := range []string{"", "1.garbage"} {
			if err := b.WriteSwitch(t.Context(), "rsa:"+b.master.ID(), lost); err != nil {
				t.Fatal(err)
			}
			late := b.node(t, true)
			waitRead(t)
			if all, err := b.master.OpenRSA(b.stored(t)); err != nil || len(all) != 1 || !first.Equal(all[0].PrivateKey) || !first.Equal(late.rsa(b).Signing) {
				t.Errorf("after %q Redis holds %d keys, %v; a node that has just started has %v", lost, len(all), err, late.rsa(b))
			}
		}
	})
}

// TestSharedKeys_Replaced: if another node made a new key because Redis had lost the
// first, all nodes publish both, and the new one signs once every node publishes it.
func TestSharedKeys_Replaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &keyCluster{master: keys.NewMasterKey()}
		n := b.node(t, true)
		waitRead(t)
		first := n.rsa(b).Signing
		other, err := keys.NewRSAKey(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := b.master.SealRSA(other)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.WriteSwitch(t.Context(), "rsa:"+b.master.ID(), sealed); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Second) // the next read, in synctest's time
		synctest.Wait()
		if k := n.rsa(b); !first.Equal(k.Signing) || len(k.Published) != 2 {
			t.Errorf("just read: %v", k)
		}
		waitRead(t)
		if k := n.rsa(b); !other.Equal(k.Signing) || len(k.Published) != 2 {
			t.Errorf("later: %v", k)
		}
		late := b.node(t, false) // as the other node, it has never read the first
		if k := late.rsa(b); !other.Equal(k.Signing) || len(k.Published) != 2 || !first.Equal(k.Published[1]) {
			t.Errorf("another node: %v", k)
		}
	})
}

// TestSharedKeys_Revoked: which values in a key's field revoke it, for a node that has
// read the field before and for one that starts. A stolen key cannot speak for itself.
func TestSharedKeys_Revoked(t *testing.T) {
	for name, c := range map[string]struct {
		sealedBy    func(b *keyCluster) keys.MasterKey // zero: garbage
		on          bool
		known, late bool // revoked
	}{
		"by another key":  {func(b *keyCluster) keys.MasterKey { return b.other }, false, true, true},
		"on, another key": {func(b *keyCluster) keys.MasterKey { return b.other }, true, false, true},
		"on, by itself":   {func(b *keyCluster) keys.MasterKey { return b.master }, true, false, true},
		"garbage":         {func(*keyCluster) keys.MasterKey { return keys.MasterKey{} }, false, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &keyCluster{master: keys.NewMasterKey(), other: keys.NewMasterKey()}
				known := b.node(t, false)
				waitRead(t)
				value := "garbage"
				if by := c.sealedBy(b); by != (keys.MasterKey{}) {
					sealed, err := b.ring(t, by).SealSwitch(ticket.SwitchWord{Client: "key:" + b.master.ID(), On: c.on, At: time.Now().Add(time.Hour).UnixMilli()})
					if err != nil {
						t.Fatal(err)
					}
					value = string(sealed)
				}
				if err := b.WriteSwitch(t.Context(), "key:"+b.master.ID(), value); err != nil {
					t.Fatal(err)
				}
				waitRead(t)
				late := b.node(t, false)
				for n, want := range map[keyNode]bool{known: c.known, late: c.late} {
					if got := n.shared.Load().Revoked; (len(got) == 1) != want || n.MasterKeys.Check() != nil {
						t.Errorf("known %v: revoked %v, %v", n == known, got, n.MasterKeys.Check())
					}
				}
			})
		})
	}
}

// ring returns the keyring of these keys.
func (b *keyCluster) ring(t *testing.T, masters ...keys.MasterKey) *ticket.Keyring {
	t.Helper()
	var all []ticket.Key
	for _, m := range masters {
		all = append(all, ticket.Key{ID: m.ID(), Encrypt: m.Encrypt(), Seal: m.Seal(), Match: m.Match()})
	}
	ring, err := ticket.NewKeyring(all)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}
