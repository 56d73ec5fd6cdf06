package ratelimit

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"loginhub/hub/provider"
)

func TestDeadCodes_KeyAndLife(t *testing.T) {
	d := &newCodeGuard(1).refused
	first, bound := Attempt{Provider: "a", Code: "c", Ticket: "t1"}, Attempt{Provider: "c", Code: "c", Ticket: "t1", TicketBound: true}
	d.add(d.hash(first), noon)
	d.add(d.hash(bound), noon)
	for name, c := range map[string]struct {
		a    Attempt
		want bool
	}{
		"the same":              {first, true},
		"on another ticket":     {Attempt{Provider: "a", Code: "c", Ticket: "t2"}, true},
		"another code":          {Attempt{Provider: "a", Code: "d", Ticket: "t1"}, false},
		"another provider":      {Attempt{Provider: "b", Code: "c", Ticket: "t1"}, false},
		"bound, the same":       {bound, true},
		"bound, another ticket": {Attempt{Provider: "c", Code: "c", Ticket: "t2", TicketBound: true}, false},
	} {
		if got := d.has(d.hash(c.a), noon); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if !d.has(d.hash(first), noon.Add(refusedFor)) || d.has(d.hash(first), noon.Add(2*refusedFor+time.Second)) {
		t.Error("stored for less than a minute or more than two")
	}
}

func TestDeadCodes_Bounded(t *testing.T) {
	d := &newCodeGuard(1).refused
	for i := range 3*maxRefused + 1 {
		d.add(d.hash(Attempt{Code: fmt.Sprint(i)}), noon)
	}
	if n := len(d.current) + len(d.previous); n > 2*maxRefused {
		t.Errorf("%d codes are stored", n)
	}
	if !d.has(d.hash(Attempt{Code: fmt.Sprint(3 * maxRefused)}), noon) {
		t.Error("the newest is not stored")
	}
}

func TestCodeGuard_HangingUpRefundsNothing(t *testing.T) {
	g := newCodeGuard(600)
	ctx, hangUp := context.WithCancel(t.Context())
	busy := func(context.Context) (provider.Identity, error) {
		hangUp()
		return provider.Identity{}, provider.ErrProviderUnavailable
	}
	for i := range refusedPerTicket {
		if _, err := g.Exchange(ctx, Attempt{From: here, Code: fmt.Sprint(i)}, busy); err != provider.ErrProviderUnavailable {
			t.Fatal(err)
		}
	}
	_, err := g.Exchange(ctx, Attempt{From: here, Code: "one more"}, busy)
	if retryIn(t, err) == 0 {
		t.Error("a call of a phone that disconnects is not counted")
	}
}

func TestTicketLimiter_NetworkAndNode(t *testing.T) {
	const rate = 2
	l := newTicketLimiter(rate)
	through := func(many int, address func(i int) string) (n int) {
		for i := range many {
			if l.Allow(Key(netip.MustParseAddr(address(i))), noon) == nil {
				n++
			}
		}
		return n
	}
	if n := through(10, func(int) string { return "2001:db8:1::1" }); n != rate {
		t.Errorf("%d from one address", n)
	}
	if n := through(1500, func(i int) string { return fmt.Sprintf("2001:db8:1:%x::1", i) }); n != networkFactor*rate-rate {
		t.Errorf("%d more from its /48", n)
	}
	if n := through(10, func(int) string { return "2001:db8:2::1" }); n != rate { // another network
		t.Errorf("%d from another /48", n)
	}
	left := nodeFactor*rate - networkFactor*rate - rate
	if n := through(1000, func(i int) string { return fmt.Sprintf("203.0.%d.%d", i/250, i%250) }); n != left {
		t.Errorf("%d from as many addresses, want %d", n, left)
	}
	if len(l.addresses.tat) > nodeFactor*rate+1 {
		t.Errorf("%d addresses are stored for %d tickets", len(l.addresses.tat), nodeFactor*rate)
	}
	off := newTicketLimiter(0)
	for range 1000 {
		if off.Allow(here, noon) != nil {
			t.Fatal("0 must be no limit")
		}
	}
}
