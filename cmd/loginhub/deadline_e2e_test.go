package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// ticketDeadline reads the deadline from the ticket's record. It is in Redis's time, which here is
// also this machine's.
func ticketDeadline(ctx context.Context, redis *hubtest.Redis, id string) (time.Time, error) {
	var r struct {
		Deadline time.Time `json:"deadline"`
	}
	_, body, err := readRecord(ctx, redis, id)
	if err != nil {
		return r.Deadline, err
	}
	err = json.Unmarshal([]byte(body), &r)
	return r.Deadline, err
}

// sleepUntil waits until the moment.
func sleepUntil(ctx context.Context, moment time.Time) {
	timer := time.NewTimer(time.Until(moment))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func TestDeadline_ConfirmRace(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 2, "TICKET_TTL=1s", "CONFIRM_TTL=1s")
	ctx := testContext(t, 40*time.Second)
	const tickets = 120
	var mu sync.Mutex
	states := map[string]int{}
	parallel(t, tickets, 40, func(i int) error {
		p, err := openWaiter(ctx, nodes[0].URL, nodes[1].URL)
		if err != nil {
			return err
		}
		defer p.socket.Conn.CloseNow()
		phone := hubtest.NewPhone("eleventh hour")
		if i%4 != 0 { // the others confirm without a separate scan
			if err := callOK(ctx, phone, nodes[0].URL, p.ID, "scan"); err != nil {
				return err
			}
		}
		// The calls are spread around the deadline, and start a little early for the network's
		// delay.
		offset := time.Duration(i%8-5) * 10 * time.Millisecond
		due, err := ticketDeadline(ctx, redis, p.ID)
		if err != nil {
			return err
		}
		sleepUntil(ctx, due.Add(offset))
		a, err := phone.Do(ctx, nodes[i%2].URL, p.ID, "confirm", nil)
		if err != nil {
			return err
		}
		state := "confirmed"
		if a.Status != 200 {
			if err := checkRefusal(a, nil, 410, "ticket_expired"); err != nil {
				return err
			}
			state = "expired"
		}
		mu.Lock()
		states[state]++
		mu.Unlock()
		if err := p.waitDecision(ctx, nodes[0].URL, state, "sandbox:eleventh hour"); err != nil {
			return fmt.Errorf("the phone's state is %s: %w", state, err)
		}
		// A later poll returns the same state.
		v, err := p.Poll(ctx, nodes[0].URL, 0, 0)
		if err != nil || v.State != state || (v.Token != "") != (state == "confirmed") {
			return fmt.Errorf("the phone's state is %s, a late poll's %+v %v", state, v, err)
		}
		return nil
	})
	t.Logf("of %d: %v", tickets, states)
	if states["confirmed"] == 0 || states["expired"] == 0 {
		t.Error("no call was close to the deadline")
	}
}

func TestDeadline_PageNotified(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 2, "TICKET_TTL=1s", "CONFIRM_TTL=2s", "RESULT_TTL=2s")
	ctx := testContext(t, 30*time.Second)
	// The state of the login at the deadline, and the seq of the expiry.
	steps := [][]string{nil, {"scan"}, {"scan", "confirm"}, {"confirm"}}
	parallel(t, 12, 12, func(i int) error {
		p, err := openWaiter(ctx, nodes[0].URL, nodes[1].URL)
		if err != nil {
			return err
		}
		defer p.socket.Conn.CloseNow()
		phone := hubtest.NewPhone("late")
		seq := int64(1)
		for _, action := range steps[i%4] {
			if err := callOK(ctx, phone, nodes[0].URL, p.ID, action); err != nil {
				return err
			}
			if _, err := p.nextNew(ctx); err != nil {
				return err
			}
			seq++
		}
		due, err := ticketDeadline(ctx, redis, p.ID)
		if err != nil {
			return err
		}
		polled := make(chan error, 1)
		go func() {
			v, err := p.Poll(ctx, nodes[0].URL, seq, 10)
			if err == nil && (v == nil || v.State != "expired" || v.Seq != seq+1) {
				err = fmt.Errorf("the poll returned %+v", v)
			}
			polled <- err
		}()
		v, err := p.nextState(ctx, "expired")
		if err != nil {
			return err
		}
		if late := time.Since(due); late < 0 || late > time.Second || v.Seq != seq+1 || v.Token != "" {
			return fmt.Errorf("%v after the deadline: %+v", late, v)
		}
		if code := p.socket.Closed(ctx); code != 1000 {
			return fmt.Errorf("closed with %d", code)
		}
		if err := <-polled; err != nil {
			return err
		}
		return checkExpired(ctx, p, nodes, v.Seq)
	})
}

func TestDeadline_Tombstone(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 2, "TICKET_TTL=1s", "CONFIRM_TTL=1s", "RESULT_TTL=2s")
	ctx := testContext(t, 30*time.Second)
	parallel(t, 8, 8, func(i int) error {
		ticket, err := hubtest.CreateTicket(ctx, nodes[0].URL, nil)
		if err != nil {
			return err
		}
		seq := int64(2)
		if i%2 == 1 {
			if err := callOK(ctx, hubtest.NewPhone("late"), nodes[1].URL, ticket.ID, "scan"); err != nil {
				return err
			}
			seq = 3
		}
		due, err := ticketDeadline(ctx, redis, ticket.ID)
		if err != nil {
			return err
		}
		sleepUntil(ctx, due)
		p := &waiter{Ticket: ticket}
		if i < 4 { // a phone scans first
			a, err := hubtest.NewPhone("late").Do(ctx, nodes[0].URL, ticket.ID, []string{"scan", "reject", "confirm", "confirm"}[i], nil)
			if err := checkRefusal(a, err, 410, "ticket_expired"); err != nil {
				return err
			}
		}
		return checkExpired(ctx, p, nodes, seq)
	})
}

// checkExpired demands that every call after the deadline gets "expired" and that the ticket does
// not change.
func checkExpired(ctx context.Context, p *waiter, nodes []*hubtest.Node, seq int64) error {
	for i, n := range nodes {
		for _, wait := range []int{0, 5} {
			if v, err := p.Poll(ctx, n.URL, seq, wait); err != nil || v == nil || v.State != "expired" || v.Seq != seq || v.Token != "" {
				return fmt.Errorf("a late poll on node %d: %+v %v", i, v, err)
			}
		}
		late := &waiter{Ticket: p.Ticket}
		if err := late.attach(ctx, n.URL, "expired"); err != nil {
			return err
		}
		if code := late.socket.Closed(ctx); code != 1000 || late.seen.Seq != seq {
			return fmt.Errorf("a late socket on node %d: %+v, closed with %d", i, late.seen, code)
		}
		for _, action := range []string{"scan", "confirm", "reject"} {
			a, err := hubtest.NewPhone("late").Do(ctx, n.URL, p.ID, action, nil)
			if err := checkRefusal(a, err, 410, "ticket_expired"); err != nil {
				return fmt.Errorf("late %s on node %d: %w", action, i, err)
			}
		}
		a, err := p.Ack(ctx, n.URL, seq-1)
		if err := checkRefusal(a, err, 410, "ticket_expired"); err != nil {
			return fmt.Errorf("late ack on node %d: %w", i, err)
		}
	}
	return nil
}

func TestDeadline_FinalStays(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 2, "TICKET_TTL=1s", "CONFIRM_TTL=1s", "RESULT_TTL=1s")
	ctx := testContext(t, 30*time.Second)
	parallel(t, 4, 4, func(i int) error {
		p, err := openWaiter(ctx, nodes[0].URL, nodes[1].URL)
		if err != nil {
			return err
		}
		defer p.socket.Conn.CloseNow()
		phone := hubtest.NewPhone("done")
		state, last, seq := "consumed", "confirm", int64(3)
		if i%2 == 1 {
			state, last, seq = "rejected", "reject", 2
		}
		if err := callOK(ctx, phone, nodes[0].URL, p.ID, last); err != nil {
			return err
		}
		v, err := p.nextNew(ctx)
		if err != nil {
			return err
		}
		if state == "consumed" {
			if err := p.ackAndClose(ctx, v.Seq); err != nil {
				return err
			}
		}
		due, err := ticketDeadline(ctx, redis, p.ID)
		if err != nil {
			return err
		}
		sleepUntil(ctx, due.Add(100*time.Millisecond))
		for _, n := range nodes {
			if err := callOK(ctx, phone, n.URL, p.ID, last); err != nil {
				return fmt.Errorf("the same user's second confirm: %w", err)
			}
			a, err := hubtest.NewPhone("somebody").Do(ctx, n.URL, p.ID, last, nil)
			if err := checkRefusal(a, err, 409, "ticket_closed"); err != nil {
				return err
			}
			if v, err := p.Poll(ctx, n.URL, 0, 5); err != nil || v.State != state || v.Seq != seq || v.Token != "" {
				return fmt.Errorf("after the deadline: %+v %v", v, err)
			}
		}
		return nil
	})
}
