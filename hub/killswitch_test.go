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
	"loginhub/hub/hubtest"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

// switchboard is nodes with the kill switch on one embedded Redis.
type switchboard struct {
	*redisstore.Store
	keys *ticket.Keyring
}

// node starts a node for client demo on the switchboard, or on a new one.
func (b *switchboard) node(t *testing.T) *testNode {
	t.Helper()
	return start(t, options{tweak: func(c *hub.Config) {
		if b.Store == nil {
			b.Store, b.keys = c.Store.(*redisstore.Store), c.Reloadable.Keys
		}
		c.KillSwitches, c.Reloadable.Clients = b.Store, []string{"demo"}
	}})
}

// sealed is a word as a node writes it.
func (b *switchboard) sealed(t *testing.T, client string, on bool, at time.Time) string {
	t.Helper()
	word, err := b.keys.SealSwitch(ticket.SwitchWord{Client: client, On: on, At: at.UnixMilli()})
	if err != nil {
		t.Fatal(err)
	}
	return string(word)
}

// word is what Redis holds of client demo.
func (b *switchboard) word(t *testing.T) string {
	t.Helper()
	words, err := b.ReadSwitches(t.Context(), []string{"demo"})
	if err != nil {
		t.Fatal(err)
	}
	return words[0]
}

// write puts any word there, and waits until the nodes have read it.
func (b *switchboard) write(t *testing.T, word string) {
	t.Helper()
	if err := b.WriteSwitch(t.Context(), "demo", word); err != nil {
		t.Fatal(err)
	}
	settle(t)
}

// settle lets the nodes read the switchboard twice.
func settle(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	<-ctx.Done()
	synctest.Wait()
}

func (s *testNode) turn(t *testing.T, on bool) {
	t.Helper()
	if err := s.SetEnabled(t.Context(), "demo", on, netip.Addr{}); err != nil {
		t.Fatal(err)
	}
}

// TestSwitch_ForgedWords writes what somebody can write who has no key: a node that
// knows the client keeps its answer and writes its word again, and one that does not
// know it refuses logins until the operator has switched.
func TestSwitch_ForgedWords(t *testing.T) {
	for name, forge := range map[string]func(b *switchboard, old, latest string) string{
		"nothing":        func(*switchboard, string, string) string { return "" },
		"unsealed off":   func(*switchboard, string, string) string { return "off" },
		"unsealed on":    func(*switchboard, string, string) string { return "on ABCDEF" },
		"garbage":        func(*switchboard, string, string) string { return "\x00\xff" },
		"a changed word": func(_ *switchboard, _, latest string) string { return strings.Replace(latest, `"on":`, `"on": `, 1) },
		"another client's": func(b *switchboard, _, _ string) string {
			return b.sealed(t, "other", false, time.Now().Add(time.Hour))
		},
		"an older word": func(_ *switchboard, old, _ string) string { return old },
		"a ticket's record": func(b *switchboard, _, _ string) string {
			sealed, err := b.keys.Seal(ticket.New(ticket.NewSecret().ID(), ticket.Request{Client: &ticket.Client{ID: "demo"}}, b.keys.Current(), time.Now(), time.Minute))
			if err != nil {
				panic(err)
			}
			return string(sealed)
		},
	} {
		for _, on := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := &switchboard{}
					s := b.node(t)
					s.turn(t, !on)
					old := b.word(t)
					s.turn(t, on)
					latest, was := b.word(t), s.CheckEnabled("demo")
					if (was == nil) != on {
						t.Fatalf("switched to %v: %v", on, was)
					}
					b.write(t, forge(b, old, latest))
					if got := s.CheckEnabled("demo"); !errors.Is(got, was) {
						t.Errorf("switched to %v, and after it: %v", on, got)
					}
					if got := b.word(t); got != latest {
						t.Errorf("Redis says %q, not %q", got, latest)
					}
				})
			})
		}
	}
}

// TestSwitch_UnreadableWords: a word under a missing key, in a later version, or, for
// a node that has read no other, a forged one, is no answer: 503 until the operator
// switches again.
func TestSwitch_UnreadableWords(t *testing.T) {
	for name, c := range map[string]struct {
		word  string
		known error // of a node that has read another word before
	}{
		"later version":    {"2.whatever", ticket.ErrStoreUnavailable},
		"missing key":      {"1.k." + strings.Repeat("A", 43) + ".{}", ticket.ErrStoreUnavailable},
		"unsealed off":     {"off", nil},
		"a broken seal":    {"garbage", nil},
		"on before sealed": {"on ABCDEF", nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &switchboard{}
				s := b.node(t)
				b.write(t, c.word)
				if err := s.CheckEnabled("demo"); !errors.Is(err, c.known) {
					t.Errorf("a node that knows: %v", err)
				}
				fresh := b.node(t)
				settle(t)
				if err := fresh.CheckEnabled("demo"); name == "on before sealed" && err != nil || name != "on before sealed" && !errors.Is(err, ticket.ErrStoreUnavailable) {
					t.Errorf("a node that does not know: %v", err)
				}
				if b.word(t) != c.word {
					t.Error("it is overwritten")
				}
				fresh.turn(t, false)
				settle(t)
				for _, n := range []*testNode{s, fresh} {
					if err := n.CheckEnabled("demo"); !errors.Is(err, ticket.ErrLoginDisabled) {
						t.Errorf("after the operator: %v", err)
					}
				}
			})
		})
	}
}

// TestSwitch_KeyRotation: a word goes over to the current key, so that the former
// one can be removed.
func TestSwitch_KeyRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &switchboard{}
		s := b.node(t)
		s.turn(t, false)
		before, both, after := nodeKeysOf(t, hubtest.Key), nodeKeysOf(t, hubtest.OtherKey+","+hubtest.Key), nodeKeysOf(t, hubtest.OtherKey)
		if !strings.HasPrefix(b.word(t), "1."+before.ring.Current()+".") {
			t.Fatalf("not under the current key: %s", b.word(t))
		}
		s.Reload(hub.Reloadable{Keys: both.ring, Signer: both.signer, Clients: []string{"demo"}})
		settle(t)
		if !strings.HasPrefix(b.word(t), "1."+after.ring.Current()+".") {
			t.Errorf("still under the former key: %s", b.word(t))
		}
		s.Reload(hub.Reloadable{Keys: after.ring, Signer: after.signer, Clients: []string{"demo"}})
		settle(t)
		if err := s.CheckEnabled("demo"); !errors.Is(err, ticket.ErrLoginDisabled) {
			t.Errorf("without the former key: %v", err)
		}
	})
}
