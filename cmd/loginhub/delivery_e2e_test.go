package main_test

import (
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// TestDelivery_AnyNode: a browser that has lost its socket gets one token, the same on every node by
// socket and by poll, until the acknowledgement on any node. Package hub/chaos loses sockets, nodes
// and messages under load.
func TestDelivery_AnyNode(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 3)
	ctx := hubtest.Context(t, 20*time.Second)
	p := mustOpenWaiter(t, ctx, nodes[1].URL, nodes[0].URL)
	phone := hubtest.NewPhone("小明")
	polled := make(chan *hubtest.View, 1)
	p.socket.Conn.CloseNow()
	go func() { // a browser without WebSocket
		v, err := p.Poll(ctx, nodes[2].URL, 1, 20)
		if err != nil {
			t.Errorf("poll: %v", err)
		}
		polled <- v
	}()
	if err := waitSubscribed(t, ctx, redis, nodes[2], p.ID); err != nil {
		t.Fatal(err)
	}
	mustCall(t, ctx, phone, nodes[0].URL, p.ID, "scan")
	if v := <-polled; v == nil || v.State != "scanned" || v.Seq != 2 {
		t.Fatalf("the poll returned %+v", v)
	}
	mustCall(t, ctx, phone, nodes[1].URL, p.ID, "confirm")
	back, first := mustAttach(t, ctx, p, nodes[1].URL, "confirmed")
	if err := checkToken(ctx, nodes[2].URL, first.Token, "sandbox:小明"); err != nil {
		t.Fatal(err)
	}
	everywhere := func(after int64, state, token string, seq int64) {
		t.Helper()
		for i, n := range nodes {
			for _, wait := range []int{0, 5} {
				if v, err := p.Poll(ctx, n.URL, after, wait); err != nil || v == nil || v.Token != token || v.State != state || v.Seq != seq {
					t.Errorf("%s: poll of %d s on node %d: %+v %v", state, wait, i, v, err)
				}
			}
			if _, v := mustAttach(t, ctx, p, n.URL, state); v.Token != token || v.Seq != seq {
				t.Errorf("%s: socket on node %d: %+v", state, i, v)
			}
		}
	}
	everywhere(2, "confirmed", first.Token, 3)
	mustCall(t, ctx, phone, nodes[0].URL, p.ID, "confirm") // repeated, it creates no second token
	everywhere(2, "confirmed", first.Token, 3)

	a, err := p.Ack(ctx, nodes[2].URL, 2)
	hubtest.AssertRefusal(t, "ack of another version", a, err, 409, "not_confirmed")
	for range 2 { // a repeated ack is accepted
		if a, err := p.Ack(ctx, nodes[2].URL, 3); err != nil || a.Status != 204 {
			t.Fatalf("ack on a third node: %+v %v", a, err)
		}
	}
	if code := back.socket.Closed(ctx); code != 1000 {
		t.Errorf("closed with %d", code)
	}
	everywhere(4, "consumed", "", 4)
}
