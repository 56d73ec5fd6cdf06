package main_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// tombstone is how long Redis keeps a ticket after its deadline.
const tombstone = time.Minute

// ticketDeadline returns the ticket's deadline. It is in Redis's time, which here is also this
// machine's.
func ticketDeadline(ctx context.Context, redis *hubtest.Redis, id string) (time.Time, error) {
	expires, err := redis.Client.PExpireTime(ctx, ticketKey(id)).Result()
	return time.UnixMilli(expires.Milliseconds()).Add(-tombstone), err
}

func TestDeadline_ConfirmRace(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 2, "TICKET_TTL=4s", "CONFIRM_TTL=4s")
	states := map[string]int{}
	for apart := 10 * time.Millisecond; (states["confirmed"] == 0 || states["expired"] == 0) && apart < time.Second; apart *= 2 {
		raceDeadline(t, redis, nodes, apart, states)
	}
	if t.Logf("%v", states); states["confirmed"] == 0 || states["expired"] == 0 {
		t.Error("no call was close to the deadline")
	}
}

// raceDeadline confirms tickets around their deadline, a time apart, and counts their states.
func raceDeadline(t *testing.T, redis *hubtest.Redis, nodes []*hubtest.Node, apart time.Duration, states map[string]int) {
	t.Helper()
	ctx := hubtest.Context(t, 40*time.Second)
	var mu sync.Mutex
	hubtest.Parallel(t, 40, 40, func(i int) error {
		p, err := openWaiter(ctx, nodes[0].URL, nodes[1].URL)
		if err != nil {
			return err
		}
		defer p.socket.Conn.CloseNow()
		phone := hubtest.NewPhone("eleventh hour")
		if i%4 != 0 { // the others confirm without a separate scan
			if err := hubtest.CallOK(ctx, phone, nodes[0].URL, p.ID, "scan"); err != nil {
				return err
			}
		}
		due, err := ticketDeadline(ctx, redis, p.ID)
		if err != nil {
			return err
		}
		// The calls are spread around the deadline, and start a little early for the network's
		// delay.
		<-time.After(time.Until(due) + time.Duration(i%8-5)*apart)
		a, err := phone.Do(ctx, nodes[i%2].URL, p.ID, "confirm", nil)
		if err != nil {
			return err
		}
		state := "confirmed"
		if a.Status != 200 {
			if err := hubtest.CheckRefusal(a, nil, 410, "ticket_expired"); err != nil {
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
}
