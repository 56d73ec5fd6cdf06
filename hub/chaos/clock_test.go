package chaos_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// skewed builds the program with another wall clock once; TestMain deletes it.
var (
	skewed       = sync.OnceValues(buildSkewed)
	removeSkewed = func() {}
)

func buildSkewed() (program string, err error) {
	program, remove, err := hubtest.BuildSkewed()
	if remove != nil {
		removeSkewed = remove
	}
	return program, err
}

// startSkewedNodes starts three nodes whose wall clocks are ten minutes apart. Redis and
// this test share a clock.
func startSkewedNodes(t *testing.T, settings ...string) []*hubtest.Node {
	t.Helper()
	redis := hubtest.StartRedis(t)
	program, err := skewed()
	if err != nil {
		t.Fatal(err)
	}
	var nodes []*hubtest.Node
	for _, seconds := range []int{-600, 0, 600} {
		nodes = append(nodes, hubtest.StartNode(t, wrapProgram(t, hubtest.Skewed(seconds), program), append([]string{
			"REDIS_URL=" + redis.URL, "ADMIN_LISTEN=127.0.0.1:" + hubtest.FreePort(t)}, settings...)...))
	}
	return nodes
}

func TestClock_NodesTenMinutesApart(t *testing.T) {
	t.Parallel()
	const life = 4 * time.Second
	nodes := startSkewedNodes(t, "TICKET_TTL="+life.String())
	for i, n := range nodes { // check the skew
		a, err := hubtest.Request(context.Background(), "GET", n.URL+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		says, err := time.Parse(time.RFC1123, a.Header.Get("Date"))
		if off := time.Since(says) - time.Duration(1-i)*10*time.Minute; err != nil || off < -5*time.Second || off > 5*time.Second {
			t.Fatalf("node %d says it is %v: %v", i, says, err)
		}
	}
	// Tickets that are not scanned expire while other logins go on.
	s := scenario{nodes: nodes}.run(t, logins(t), fault{interval: 500 * time.Millisecond, minTimes: 1, inject: func(t *testing.T, ctx context.Context) {
		var all sync.WaitGroup
		for i := range 9 { // every combination of nodes for create and socket
			all.Go(func() { check(t, checkExpiry(ctx, nodes[i%3].URL, nodes[i/3].URL, life)) })
		}
		all.Wait()
	}})
	complete(t, s)
	if s.Errors > 0 {
		t.Errorf("phones saw %d errors", s.Errors)
	}
	ctx, cancel := hubtest.WithTimeout(2 * time.Minute)
	defer cancel()
	var last int64
	for i := range 27 { // every combination of nodes for create, scan and confirm
		iat, err := sameToken(ctx, nodes, nodes[i%3].URL, nodes[i/3%3].URL, nodes[i/9].URL)
		if err != nil {
			t.Errorf("login %d: %v", i, err)
		}
		if iat < last {
			t.Errorf("login %d: tokens go back in time, from %d to %d", i, last, iat)
		}
		last = iat
	}
}

// sameToken makes one login with its steps on these nodes. Every node must return the
// same token, with times by Redis's clock, and the same remaining time.
func sameToken(ctx context.Context, nodes []*hubtest.Node, makes, scans, confirms string) (iat int64, err error) {
	ticket, err := hubtest.CreateTicket(ctx, makes, nil)
	if err != nil {
		return 0, err
	}
	phone := hubtest.NewPhone("traveller")
	if a, err := phone.Do(ctx, scans, ticket.ID, "scan", nil); err != nil || a.Status != 200 {
		return 0, fmt.Errorf("scan: %+v %v", a, err)
	}
	before := time.Now().Unix()
	if a, err := phone.Do(ctx, confirms, ticket.ID, "confirm", nil); err != nil || a.Status != 200 {
		return 0, fmt.Errorf("confirm: %+v %v", a, err)
	}
	token := ""
	for _, n := range nodes {
		v, err := ticket.Poll(ctx, n.URL, 0, 0)
		if err != nil || v == nil || v.State != "confirmed" {
			return 0, fmt.Errorf("view %+v %v", v, err)
		}
		if token == "" {
			token = v.Token
		}
		// The remaining time is by Redis's clock.
		left := time.Until(time.Unix(claimsOf(token).Exp, 0)).Seconds()
		if v.Token != token || v.ExpiresIn < 57 || v.ExpiresIn > 60 || float64(v.TokenExpiresIn) < left-1 || float64(v.TokenExpiresIn) > left+2 {
			return 0, fmt.Errorf("view %+v; %v s are left", v, left)
		}
	}
	c := claimsOf(token)
	if c.Iat < before-1 || c.Iat > time.Now().Unix()+1 || c.Exp-c.Iat != 300 {
		return c.Iat, fmt.Errorf("iat %d, exp %d; it is %d", c.Iat, c.Exp, before)
	}
	return c.Iat, nil
}

// checkExpiry creates a ticket on one node and waits for its expiry on another.
func checkExpiry(ctx context.Context, makes, holds string, life time.Duration) error {
	asked := time.Now()
	ticket, err := hubtest.CreateTicket(ctx, makes, nil)
	if err != nil {
		return err
	}
	made := time.Now()
	socket, err := ticket.Dial(ctx, holds)
	if err != nil {
		return err
	}
	defer socket.Conn.CloseNow()
	if _, err := socket.Until(ctx, "expired"); err != nil {
		return err
	}
	if time.Since(asked) < life || time.Since(made) > life+2*time.Second {
		return fmt.Errorf("a ticket of %v expired %v after it was made", life, time.Since(made))
	}
	return nil
}
