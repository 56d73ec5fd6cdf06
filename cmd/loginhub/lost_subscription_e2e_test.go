package main_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// resyncInterval is the time between a node's resyncs if a result lives for 4 s.
const resyncInterval = 2 * time.Second

func TestLostSubscription_NodeRecordDeleted(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 2, "RESULT_TTL=4s")
	ctx := testContext(t, 30*time.Second)
	const slack = time.Second // other tests use the processors too
	parallel(t, 24, 24, func(i int) error {
		ticket, err := hubtest.CreateTicket(ctx, nodes[0].URL, nil)
		if err != nil {
			return err
		}
		phone, subject := hubtest.NewPhone(fmt.Sprint("note-", i)), fmt.Sprint("sandbox:note-", i)
		if err := callOK(ctx, phone, nodes[0].URL, ticket.ID, "scan"); err != nil {
			return err
		}
		wait := waitBySocket
		if i%4 == 0 {
			wait = waitByPoll
		}
		token := make(chan string, 1)
		failed := make(chan error, 1)
		go func() {
			text, err := wait(ctx, ticket, nodes[1].URL)
			failed <- err
			token <- text
		}()
		if err := waitSubscribed(ctx, redis, nodes[1], ticket.ID); err != nil {
			return err
		}
		if n, err := redis.Client.HDel(ctx, ticketKey(ticket.ID), "nodes").Result(); n != 1 || err != nil {
			return fmt.Errorf("delete the node record: %d %v", n, err)
		}
		if err := callOK(ctx, phone, nodes[0].URL, ticket.ID, "confirm"); err != nil {
			return err
		}
		began := time.Now()
		if err := <-failed; err != nil {
			return err
		}
		if took := time.Since(began); took > resyncInterval+slack {
			return fmt.Errorf("the token took %v", took)
		}
		return checkToken(ctx, nodes[0].URL, <-token, subject)
	})
}

// waitBySocket waits for a scanned ticket's token over a socket.
func waitBySocket(ctx context.Context, ticket *hubtest.Ticket, url string) (string, error) {
	p := &waiter{Ticket: ticket}
	if err := p.attach(ctx, url, "scanned"); err != nil {
		return "", err
	}
	defer p.socket.Conn.CloseNow()
	v, err := p.nextState(ctx, "confirmed")
	if err != nil {
		return "", err
	}
	return v.Token, nil
}

// waitByPoll waits for a scanned ticket's token by long poll.
func waitByPoll(ctx context.Context, ticket *hubtest.Ticket, url string) (string, error) {
	v, err := ticket.Poll(ctx, url, 2, 10)
	if err != nil || v == nil {
		return "", fmt.Errorf("the poll returned %+v: %w", v, err)
	}
	return v.Token, nil
}

func TestLostSubscription_NodeRecordForged(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 2, "RESULT_TTL=4s")
	ctx := testContext(t, 30*time.Second)
	long := make([]byte, 0, 300<<10)
	for i := range 10000 {
		long = fmt.Appendf(long, "%022d,", i)
	}
	records := []string{"unknown", ",,,,,", string(long), "a,b,c,d", "\x00\xff", nodes[0].ID() + "," + nodes[0].ID()}
	parallel(t, len(records), len(records), func(i int) error {
		p, err := openWaiter(ctx, nodes[0].URL, nodes[1].URL)
		if err != nil {
			return err
		}
		defer p.socket.Conn.CloseNow()
		phone := hubtest.NewPhone("forged")
		if err := redis.Client.HSet(ctx, ticketKey(p.ID), "nodes", records[i]).Err(); err != nil {
			return err
		}
		for _, action := range []string{"scan", "confirm"} {
			if err := callOK(ctx, phone, nodes[0].URL, p.ID, action); err != nil {
				return err
			}
		}
		v, err := p.waitToken(ctx, nodes[0].URL, "sandbox:forged")
		if err != nil {
			return err
		}
		return p.ackAndClose(ctx, v.Seq)
	})
}
