package main_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// checkTokenEverywhere demands the same token on every node, by socket and by both kinds of poll.
func checkTokenEverywhere(t *testing.T, ctx context.Context, p *waiter, nodes []*hubtest.Node, token string) {
	t.Helper()
	for i, n := range nodes {
		if n == nil {
			continue
		}
		for _, wait := range []int{0, 5} {
			if v, err := p.Poll(ctx, n.URL, 2, wait); err != nil || v == nil || v.Token != token || v.State != "confirmed" || v.Seq != 3 {
				t.Errorf("poll of %d s on node %d: %+v %v", wait, i, v, err)
			}
		}
		_, v := mustAttach(t, ctx, p, n.URL, "confirmed")
		if v.Token != token || v.Seq != 3 || v.TokenType != "Bearer" || v.TokenExpiresIn < 60 {
			t.Errorf("socket on node %d: %+v", i, v)
		}
	}
}

// checkNoToken demands that no node returns the token.
func checkNoToken(t *testing.T, ctx context.Context, p *waiter, nodes []*hubtest.Node) {
	t.Helper()
	for i, n := range nodes {
		if n == nil {
			continue
		}
		for _, wait := range []int{0, 5} {
			if v, err := p.Poll(ctx, n.URL, 4, wait); err != nil || v == nil || v.Token != "" || v.State != "consumed" || v.Seq != 4 {
				t.Errorf("poll of %d s on node %d after the ack: %+v %v", wait, i, v, err)
			}
		}
		late, v := mustAttach(t, ctx, p, n.URL, "consumed")
		if v.Token != "" || v.Seq != 4 {
			t.Errorf("socket on node %d after the ack: %+v", i, v)
		}
		if code := late.socket.Closed(ctx); code != 1000 {
			t.Errorf("node %d closed a consumed ticket's socket with %d", i, code)
		}
	}
}

func TestDelivery_RedeliversSameToken(t *testing.T) {
	t.Parallel()
	_, nodes := cluster(t, 3)
	for _, dropped := range []string{"before the scan", "before the confirm", "after the confirm"} {
		t.Run(dropped, func(t *testing.T) {
			ctx := testContext(t, 20*time.Second)
			p := mustOpenWaiter(t, ctx, nodes[1].URL, nodes[0].URL)
			phone := hubtest.NewPhone("小明")
			if dropped == "before the scan" {
				p.socket.Conn.CloseNow()
			}
			mustCall(t, ctx, phone, nodes[2].URL, p.ID, "scan")
			if dropped == "before the confirm" {
				p.socket.Conn.CloseNow()
			}
			mustCall(t, ctx, phone, nodes[1].URL, p.ID, "confirm")
			p.socket.Conn.CloseNow()

			back, first := mustAttach(t, ctx, p, nodes[1].URL, "confirmed")
			if err := checkToken(ctx, nodes[2].URL, first.Token, "sandbox:小明"); err != nil {
				t.Fatal(err)
			}
			checkTokenEverywhere(t, ctx, p, nodes, first.Token)
			// The phone repeats its confirm. That creates no second token.
			mustCall(t, ctx, phone, nodes[0].URL, p.ID, "confirm")
			checkTokenEverywhere(t, ctx, p, nodes, first.Token)

			a, err := p.Ack(ctx, nodes[2].URL, 2)
			wantRefusal(t, "ack of another version", a, err, 409, "not_confirmed")
			for range 2 { // a repeated ack is accepted
				if a, err := p.Ack(ctx, nodes[2].URL, 3); err != nil || a.Status != 204 {
					t.Fatalf("ack on a third node: %+v %v", a, err)
				}
			}
			if v := mustNext(t, ctx, back, "consumed"); v.Token != "" || v.Seq != 4 {
				t.Errorf("consumed view %+v", v)
			}
			if code := back.socket.Closed(ctx); code != 1000 {
				t.Errorf("closed with %d", code)
			}
			checkNoToken(t, ctx, p, nodes)
		})
	}
}

func TestDelivery_Polling(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 3)
	ctx := testContext(t, 20*time.Second)
	ticket, err := hubtest.CreateTicket(ctx, nodes[0].URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	phone := hubtest.NewPhone("polly")
	seq := int64(1)
	var token string
	for i, action := range []string{"scan", "confirm"} {
		seen := make(chan *hubtest.View, 1)
		go func() {
			v, err := ticket.Poll(ctx, nodes[i+1].URL, seq, 20)
			if err != nil {
				t.Errorf("poll: %v", err)
			}
			seen <- v
		}()
		if err := waitSubscribed(ctx, redis, nodes[i+1], ticket.ID); err != nil {
			t.Fatal(err)
		}
		mustCall(t, ctx, phone, nodes[0].URL, ticket.ID, action)
		v := <-seen
		if v == nil || v.Seq != seq+1 || v.State != map[string]string{"scan": "scanned", "confirm": "confirmed"}[action] {
			t.Fatalf("after the %s: %+v", action, v)
		}
		seq, token = v.Seq, v.Token
	}
	if err := checkToken(ctx, nodes[0].URL, token, "sandbox:polly"); err != nil {
		t.Fatal(err)
	}
	checkTokenEverywhere(t, ctx, &waiter{Ticket: ticket}, nodes, token)
	if a, err := ticket.Ack(ctx, nodes[0].URL, seq); err != nil || a.Status != 204 {
		t.Fatalf("ack: %+v %v", a, err)
	}
	checkNoToken(t, ctx, &waiter{Ticket: ticket}, nodes)
}

func TestDelivery_NodeKilled(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 2)
	for _, when := range []string{"between scan and confirm", "right after the confirm"} {
		t.Run(when, func(t *testing.T) {
			ctx := testContext(t, 20*time.Second)
			doomed := hubtest.StartNode(t, program, "REDIS_URL="+redis.URL)
			p := mustOpenWaiter(t, ctx, doomed.URL, doomed.URL)
			phone := hubtest.NewPhone("killed")
			mustCall(t, ctx, phone, doomed.URL, p.ID, "scan")
			if when == "between scan and confirm" {
				doomed.Kill()
			}
			mustCall(t, ctx, phone, nodes[0].URL, p.ID, "confirm")
			doomed.Kill()
			if code := p.socket.Closed(ctx); code != -1 {
				t.Errorf("a killed node closed the socket with %d", code)
			}
			v, err := p.Poll(ctx, nodes[0].URL, 2, 10)
			if err != nil {
				t.Fatal(err)
			}
			if err := checkToken(ctx, nodes[0].URL, v.Token, "sandbox:killed"); err != nil {
				t.Fatal(err)
			}
			checkTokenEverywhere(t, ctx, p, nodes, v.Token)
			back, _ := mustAttach(t, ctx, p, nodes[1].URL, "confirmed")
			if err := back.ackAndClose(ctx, v.Seq); err != nil {
				t.Error(err)
			}
			checkNoToken(t, ctx, p, nodes)
		})
	}
}

func TestDelivery_ScriptsFlushed(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 2)
	ctx := testContext(t, 20*time.Second)
	forget := func() {
		if err := redis.Client.ScriptFlush(ctx).Err(); err != nil {
			t.Fatal(err)
		}
	}
	forget()
	p := mustOpenWaiter(t, ctx, nodes[0].URL, nodes[1].URL)
	phone := hubtest.NewPhone("flush")
	for _, action := range []string{"scan", "confirm"} {
		forget()
		mustCall(t, ctx, phone, nodes[0].URL, p.ID, action)
	}
	forget()
	v, err := p.waitToken(ctx, nodes[0].URL, "sandbox:flush")
	if err != nil {
		t.Fatal(err)
	}
	forget()
	if err := p.ackAndClose(ctx, v.Seq); err != nil {
		t.Fatal(err)
	}
}

func TestDelivery_MailboxBreaks(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 2)
	var slowest time.Duration
	for i := range 50 {
		ctx := testContext(t, 10*time.Second)
		p := mustOpenWaiter(t, ctx, nodes[0].URL, nodes[i%2].URL)
		phone, name := hubtest.NewPhone(fmt.Sprint("link-", i)), fmt.Sprint("sandbox:link-", i)
		mustCall(t, ctx, phone, nodes[1].URL, p.ID, "scan")
		mustNext(t, ctx, p, "scanned")
		if err := redis.Client.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
		mustCall(t, ctx, phone, nodes[0].URL, p.ID, "confirm")
		began := time.Now()
		v, err := p.waitToken(ctx, nodes[0].URL, name)
		if err != nil {
			t.Fatalf("login %d: %v", i, err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("login %d: the token took %v", i, took)
		} else if took > slowest {
			slowest = took
		}
		if err := p.ackAndClose(ctx, v.Seq); err != nil {
			t.Errorf("login %d: %v", i, err)
		}
	}
	t.Logf("the slowest token took %v", slowest)
}

func TestDelivery_MailboxSilent(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	line := hubtest.StartPubSubProxy(t, redis)
	other := hubtest.StartNode(t, program, "REDIS_URL="+redis.URL)
	node := hubtest.StartNode(t, program, "REDIS_URL="+line.URL)
	ctx := testContext(t, 20*time.Second)
	phone := hubtest.NewPhone("mute")
	var pages []*waiter
	for range 5 {
		pages = append(pages, mustOpenWaiter(t, ctx, other.URL, node.URL))
	}
	if n := line.Mute(); n != 1 {
		t.Fatalf("%d subscriptions were removed", n)
	}
	muted := time.Now()
	for _, p := range pages {
		mustCall(t, ctx, phone, other.URL, p.ID, "scan", "confirm")
	}
	for i, p := range pages {
		v, err := p.waitToken(ctx, other.URL, "sandbox:mute")
		if err != nil {
			t.Fatalf("page %d: %v", i, err)
		}
		if took := time.Since(muted); took > stalledAfter {
			t.Errorf("waiter %d received its token after %v", i, took)
		}
		if err := p.ackAndClose(ctx, v.Seq); err != nil {
			t.Error(err)
		}
	}
	if status := node.Get("/readyz"); status != 200 {
		t.Errorf("readyz %d", status)
	}
	if err := login(ctx, "after", other.URL, node.URL, other.URL); err != nil {
		t.Error(err)
	}
}
