package hub_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/hub/ticket"
)

// createCode creates a ticket of an authorization request and confirms it.
func (s *testNode) createCode(t *testing.T) ticket.ID {
	t.Helper()
	m, err := s.Create(t.Context(), ticket.Request{Client: s.client, Grant: &ticket.Grant{Type: ticket.GrantCode, RedirectURI: "https://rp.example/cb"}})
	if err != nil {
		t.Fatal(err)
	}
	s.confirm(t, m.Ticket.ID)
	return m.Ticket.ID
}

// redeem redeems the ticket's grant.
func (s *testNode) redeem(id ticket.ID) error {
	_, _, err := s.Redeem(context.Background(), id, netip.Addr{}, func(ticket.Ticket) error { return nil })
	return err
}

// TestRedeem_Deadline: a site that is slower than the browser's deadline still gets its
// login, until the grace ends.
func TestRedeem_Deadline(t *testing.T) {
	for wait, want := range map[time.Duration]error{time.Minute + time.Second: nil, 2*time.Minute + time.Second: ticket.ErrExpired} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, options{probeDelay: time.Millisecond})
			id := s.createCode(t)
			<-time.After(wait)
			if v, _, err := s.Poll(t.Context(), id, 0, 0, anyBrowser); err != nil || v.State != ticket.Expired || v.RedirectTo != "" {
				t.Errorf("after %v the view is %+v, %v", wait, v, err)
			}
			if err := s.redeem(id); !errors.Is(err, want) {
				t.Errorf("after %v: %v, want %v", wait, err, want)
			}
		})
	}
}

// TestRedeem_Concurrent: of many redemptions on two nodes, and the browser's ack at the
// same time, one redemption succeeds. The record
// outlives the grace.
func TestRedeem_Concurrent(t *testing.T) {
	redis := hubtest.StartRedis(t)
	nodes := []*testNode{start(t, options{url: redis.URL}), start(t, options{url: redis.URL})}
	id := nodes[0].createCode(t)
	view, _, err := nodes[1].Poll(t.Context(), id, 0, 0, anyBrowser)
	if err != nil || view.Token != "" || view.RedirectTo == "" {
		t.Fatalf("view %+v, %v", view, err)
	}
	results := make(chan error, 40)
	var all sync.WaitGroup
	for i := range cap(results) {
		all.Go(func() { results <- nodes[i%2].redeem(id) })
	}
	all.Go(func() {
		if err := nodes[0].Ack(context.Background(), id, view.Seq, anyBrowser); err != nil {
			t.Errorf("ack: %v", err)
		}
	})
	all.Wait()
	close(results)
	won := 0
	for err := range results {
		if err == nil {
			won++
		} else if !errors.Is(err, ticket.ErrRedeemed) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d redemptions succeeded", won)
	}
	if life := redis.Client.PTTL(t.Context(), "loginhub:{"+string(id)+"}").Val(); life <= ticket.RedeemGrace+ticket.Tombstone {
		t.Errorf("the record lives %v", life)
	}
}
