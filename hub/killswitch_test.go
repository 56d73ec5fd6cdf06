package hub_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/hubtest"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

// switchCluster is some nodes with the kill switch on one embedded Redis.
type switchCluster struct {
	*redisstore.Store
	keys *ticket.Keyring
}

// node starts a node for client demo; the first one starts the Redis.
func (b *switchCluster) node(t *testing.T) *testNode {
	t.Helper()
	return start(t, options{tweak: func(c *hub.Config) {
		if b.Store == nil {
			b.Store, b.keys = c.Store.(*redisstore.Store), c.Reloadable.Keys
		}
		c.KillSwitches, c.Reloadable.Clients = b.Store, []string{"demo"}
	}})
}

// sealed returns a value as a node writes it.
func (b *switchCluster) sealed(t *testing.T, client string, on bool, at time.Time) string {
	t.Helper()
	value, err := b.keys.SealSwitch(ticket.SwitchWord{Client: client, On: on, At: at.UnixMilli()})
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

// value returns the value of client demo in Redis.
func (b *switchCluster) value(t *testing.T) string {
	t.Helper()
	values, err := b.ReadSwitches(t.Context(), []string{"demo"})
	if err != nil {
		t.Fatal(err)
	}
	return values[0]
}

// write writes any value and waits until the nodes have read it.
func (b *switchCluster) write(t *testing.T, value string) {
	t.Helper()
	if err := b.WriteSwitch(t.Context(), "demo", value); err != nil {
		t.Fatal(err)
	}
	waitRead(t)
}

// waitRead waits until the nodes have read the switches twice.
func waitRead(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	<-ctx.Done()
	synctest.Wait()
}

func (s *testNode) setEnabled(t *testing.T, on bool) {
	t.Helper()
	if err := s.SetEnabled(t.Context(), "demo", on, netip.Addr{}); err != nil {
		t.Fatal(err)
	}
}

// TestSwitch_ForgedValues writes what an attacker without a key can write. A node that
// has read the client's value keeps it and writes it again.
func TestSwitch_ForgedValues(t *testing.T) {
	for name, forge := range map[string]func(b *switchCluster, old, latest string) string{
		"nothing":       func(*switchCluster, string, string) string { return "" },
		"unsealed off":  func(*switchCluster, string, string) string { return "off" },
		"unsealed on":   func(*switchCluster, string, string) string { return "on ABCDEF" },
		"garbage":       func(*switchCluster, string, string) string { return "\x00\xff" },
		"changed value": func(_ *switchCluster, _, latest string) string { return strings.Replace(latest, `"on":`, `"on": `, 1) },
		"of another client": func(b *switchCluster, _, _ string) string {
			return b.sealed(t, "other", false, time.Now().Add(time.Hour))
		},
		"older value": func(_ *switchCluster, old, _ string) string { return old },
		"ticket record": func(b *switchCluster, _, _ string) string {
			sealed, err := b.keys.Seal(ticket.New(ticket.NewSecret().ID(), ticket.Request{Client: &client.Client{ID: "demo"}}, b.keys.Current(), time.Now(), time.Minute))
			if err != nil {
				panic(err)
			}
			return string(sealed)
		},
	} {
		for _, on := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := &switchCluster{}
					s := b.node(t)
					s.setEnabled(t, !on)
					old := b.value(t)
					s.setEnabled(t, on)
					latest, was := b.value(t), s.CheckEnabled("demo")
					if (was == nil) != on {
						t.Fatalf("switched to %v: %v", on, was)
					}
					b.write(t, forge(b, old, latest))
					if got := b.value(t); got != latest {
						t.Errorf("Redis holds %q, not %q", got, latest)
					}
					late := b.node(t) // reads the value that the first node wrote again
					waitRead(t)
					for _, n := range []*testNode{s, late} {
						if got := n.CheckEnabled("demo"); !errors.Is(got, was) {
							t.Errorf("switched to %v, and after it: %v", on, got)
						}
					}
					late.setEnabled(t, !on) // the operator's change counts on every node
					waitRead(t)
					if got := s.CheckEnabled("demo"); (got == nil) == on {
						t.Errorf("switched to %v on another node: %v", !on, got)
					}
				})
			})
		}
	}
}

// lossySwitches is a Redis that confirms a write and loses it at once, as a failover may.
type lossySwitches struct{ *redisstore.Store }

func (lossySwitches) WriteSwitch(context.Context, string, string) error { return nil }

func TestSwitch_WriteLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &switchCluster{}
		s := start(t, options{tweak: func(c *hub.Config) {
			b.Store = c.Store.(*redisstore.Store)
			c.KillSwitches, c.Reloadable.Clients = lossySwitches{b.Store}, []string{"demo"}
		}})
		s.setEnabled(t, false)
		if err := s.CheckEnabled("demo"); !errors.Is(err, ticket.ErrLoginDisabled) || b.value(t) == "" {
			t.Errorf("%v, and Redis holds %q", err, b.value(t))
		}
	})
}

// TestSwitch_UnreadableValues: a value under a missing key or in a later version gives
// 503 until the operator switches again. So does a forged one on a node that has read no
// other.
func TestSwitch_UnreadableValues(t *testing.T) {
	for name, c := range map[string]struct {
		value string
		known error // on a node that has read another value before
	}{
		"later version":    {"3.whatever", ticket.ErrStoreUnavailable},
		"missing key":      {"1.k." + strings.Repeat("A", 43) + ".{}", ticket.ErrStoreUnavailable},
		"unsealed off":     {"off", nil},
		"broken seal":      {"garbage", nil},
		"on before sealed": {"on ABCDEF", nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &switchCluster{}
				s := b.node(t)
				b.write(t, c.value)
				if err := s.CheckEnabled("demo"); !errors.Is(err, c.known) {
					t.Errorf("a node that has read the value: %v", err)
				}
				fresh := b.node(t)
				waitRead(t)
				if err := fresh.CheckEnabled("demo"); name == "on before sealed" && err != nil || name != "on before sealed" && !errors.Is(err, ticket.ErrStoreUnavailable) {
					t.Errorf("a node that has not read it: %v", err)
				}
				if b.value(t) != c.value {
					t.Error("it is overwritten")
				}
				fresh.setEnabled(t, false)
				waitRead(t)
				for _, n := range []*testNode{s, fresh} {
					if err := n.CheckEnabled("demo"); !errors.Is(err, ticket.ErrLoginDisabled) {
						t.Errorf("after the operator: %v", err)
					}
				}
			})
		})
	}
}

// TestSwitch_KeyRotation: a value is sealed again under the current key, so that the
// former key can be removed.
func TestSwitch_KeyRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &switchCluster{}
		s := b.node(t)
		s.setEnabled(t, false)
		before, both, after := nodeKeysOf(t, hubtest.Key), nodeKeysOf(t, hubtest.OtherKey+","+hubtest.Key), nodeKeysOf(t, hubtest.OtherKey)
		if !strings.HasPrefix(b.value(t), "1."+before.ring.Current()+".") {
			t.Fatalf("not under the current key: %s", b.value(t))
		}
		s.Reload(hub.Reloadable{Keys: both.ring, Signer: both.signer, Clients: []string{"demo"}})
		waitRead(t)
		if !strings.HasPrefix(b.value(t), "1."+after.ring.Current()+".") {
			t.Errorf("still under the former key: %s", b.value(t))
		}
		s.Reload(hub.Reloadable{Keys: after.ring, Signer: after.signer, Clients: []string{"demo"}})
		waitRead(t)
		if err := s.CheckEnabled("demo"); !errors.Is(err, ticket.ErrLoginDisabled) {
			t.Errorf("without the former key: %v", err)
		}
	})
}
