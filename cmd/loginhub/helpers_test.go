package main_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

func cluster(t testing.TB, n int, settings ...string) (*hubtest.Redis, []*hubtest.Node) {
	return hubtest.StartNodes(t, program, n, settings...)
}

// loginContext is a context for one login of a test.
func loginContext(t testing.TB) context.Context { return hubtest.Context(t, 20*time.Second) }

// waiter is a browser's login page: its ticket and its socket.
type waiter struct {
	*hubtest.Ticket
	socket *hubtest.Socket
	seen   hubtest.View // the last view
}

// openWaiter creates a ticket on one node and opens its socket on another.
func openWaiter(ctx context.Context, createURL, socketURL string) (*waiter, error) {
	ticket, err := hubtest.CreateTicket(ctx, createURL, nil)
	if err != nil {
		return nil, err
	}
	p := &waiter{Ticket: ticket}
	return p, p.attach(ctx, socketURL, "pending")
}

// attach opens the socket; its first view must have the state.
func (p *waiter) attach(ctx context.Context, socketURL, state string) error {
	socket, err := p.Dial(ctx, socketURL)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	p.socket, p.seen = socket, hubtest.View{}
	_, err = p.nextState(ctx, state)
	return err
}

// nextState reads the next new view, which must have the state.
func (p *waiter) nextState(ctx context.Context, state string) (*hubtest.View, error) {
	v, err := p.nextNew(ctx)
	if err != nil {
		return nil, fmt.Errorf("waiting for %s: %w", state, err)
	}
	if v.State != state {
		return nil, fmt.Errorf("the view is %+v, wanted %s", v, state)
	}
	return v, nil
}

// nextNew reads the next view that does not repeat the last one. The ticket must never go back.
func (p *waiter) nextNew(ctx context.Context) (*hubtest.View, error) {
	for {
		v, err := p.socket.Next(ctx)
		if err != nil {
			return nil, err
		}
		same := v.Seq == p.seen.Seq && v.State == p.seen.State && v.Token == p.seen.Token
		if !same && v.Seq <= p.seen.Seq || v.Ticket != p.ID {
			return nil, fmt.Errorf("%+v is followed by %+v", p.seen, v)
		}
		if !same {
			p.seen = *v
			return v, nil
		}
	}
}

// mustOpenWaiter is openWaiter; an error ends the test.
func mustOpenWaiter(t testing.TB, ctx context.Context, createURL, socketURL string) *waiter {
	t.Helper()
	p, err := openWaiter(ctx, createURL, socketURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.socket.Conn.CloseNow() })
	return p
}

// mustAttach opens another socket of the ticket.
func mustAttach(t testing.TB, ctx context.Context, p *waiter, socketURL, state string) (*waiter, *hubtest.View) {
	t.Helper()
	other := &waiter{Ticket: p.Ticket}
	if err := other.attach(ctx, socketURL, state); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.socket.Conn.CloseNow() })
	return other, &other.seen
}

// mustNext is nextState; an error ends the test.
func mustNext(t testing.TB, ctx context.Context, p *waiter, state string) *hubtest.View {
	t.Helper()
	v, err := p.nextState(ctx, state)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// mustCall makes the phone's calls in order; each must return 200.
func mustCall(t testing.TB, ctx context.Context, phone *hubtest.Phone, url, id string, actions ...string) {
	t.Helper()
	for _, action := range actions {
		if err := hubtest.CallOK(ctx, phone, url, id, action); err != nil {
			t.Fatal(err)
		}
	}
}

// verifyToken checks a token as a site's back end does, with the node's published keys. It returns
// the claims and the kid.
func verifyToken(ctx context.Context, url, token string) (claims map[string]any, kid string, err error) {
	a, err := hubtest.Request(ctx, "GET", url+"/.well-known/jwks.json", nil)
	if err != nil {
		return nil, "", err
	}
	header, claims, err := hubtest.VerifyToken(a.Body, token)
	return claims, header.KeyID, err
}

// checkToken checks that the token is valid and is this user's.
func checkToken(ctx context.Context, url, token, subject string) error {
	claims, _, err := verifyToken(ctx, url, token)
	if err != nil {
		return err
	}
	if claims["sub"] != subject {
		return fmt.Errorf("the token's sub is %v, wanted %s", claims["sub"], subject)
	}
	return nil
}

// waitToken reads views until the token arrives, which must be this user's.
func (p *waiter) waitToken(ctx context.Context, url, subject string) (*hubtest.View, error) {
	for {
		v, err := p.nextNew(ctx)
		if err != nil {
			return nil, fmt.Errorf("waiting for the token: %w", err)
		}
		if v.State == "confirmed" {
			return v, checkToken(ctx, url, v.Token, subject)
		}
	}
}

// ackAndClose acknowledges over the socket, and expects the consumed view without a token and close
// code 1000.
func (p *waiter) ackAndClose(ctx context.Context, seq int64) error {
	if err := p.socket.Ack(ctx, seq); err != nil {
		return fmt.Errorf("ack: %w", err)
	}
	v, err := p.nextState(ctx, "consumed")
	if err != nil {
		return err
	}
	if v.Token != "" || v.Seq != seq+1 {
		return fmt.Errorf("consumed view %+v", v)
	}
	if code := p.socket.Closed(ctx); code != 1000 {
		return fmt.Errorf("closed with %d, not 1000", code)
	}
	return nil
}

// login runs a whole login: ticket, socket, scan and confirm on the given nodes. The last node is
// used for the rest.
func login(ctx context.Context, name string, urls ...string) error {
	at := func(i int) string { return urls[min(i, len(urls)-1)] }
	p, err := openWaiter(ctx, at(0), at(1))
	if err != nil {
		return err
	}
	defer p.socket.Conn.CloseNow()
	phone := hubtest.NewPhone(name)
	if err := hubtest.CallOK(ctx, phone, at(2), p.ID, "scan"); err != nil {
		return err
	}
	if err := hubtest.CallOK(ctx, phone, at(3), p.ID, "confirm"); err != nil {
		return err
	}
	v, err := p.waitToken(ctx, at(0), "sandbox:"+name)
	if err != nil {
		return err
	}
	return p.ackAndClose(ctx, v.Seq)
}

// waitSubscribed waits until the ticket's node record names the node.
func waitSubscribed(t testing.TB, ctx context.Context, redis *hubtest.Redis, n *hubtest.Node, id string) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		notes, err := redis.Client.HGet(ctx, ticketKey(id), "nodes").Result()
		if strings.Contains(notes, n.ID(t)) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the node is not in the ticket's node record: %q %v", notes, err)
		}
	}
}

func ticketKey(id string) string { return "loginhub:{" + id + "}" }

// waitDecision reads views until a decision arrives, which must have this state. It must have the
// user's token if subject is set, and no token otherwise.
func (p *waiter) waitDecision(ctx context.Context, url, state, subject string) error {
	for {
		v, err := p.nextNew(ctx)
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", state, err)
		}
		switch {
		case v.State == "pending" || v.State == "scanned":
		case v.State != state:
			return fmt.Errorf("the state is %s, wanted %s", v.State, state)
		case state == "confirmed":
			return checkToken(ctx, url, v.Token, subject)
		case v.Token != "":
			return fmt.Errorf("a token with %s", state)
		default:
			return nil
		}
	}
}
