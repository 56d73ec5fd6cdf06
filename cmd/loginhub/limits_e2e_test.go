package main_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

func TestLimits_MaxSockets(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 1, "MAX_SOCKETS=3")
	ctx, n := testContext(t, 20*time.Second), nodes[0]
	first, second := mustOpenWaiter(t, ctx, n.URL, n.URL), mustOpenWaiter(t, ctx, n.URL, n.URL)
	third, err := hubtest.CreateTicket(ctx, n.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	polled := make(chan *hubtest.View, 1)
	go func() {
		v, err := third.Poll(ctx, n.URL, 1, 30)
		if err != nil {
			t.Errorf("the third socket: %v", err)
		}
		polled <- v
	}()
	if err := waitSubscribed(ctx, redis, n, third.ID); err != nil {
		t.Fatal(err)
	}

	// Tickets can still be created, decided and polled without waiting.
	fourth, err := hubtest.CreateTicket(ctx, n.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, ask := range map[string]func() (*hubtest.Response, error){
		"a fourth socket":                  func() (*hubtest.Response, error) { return dialRefused(ctx, fourth, n.URL) },
		"a fourth poll":                    func() (*hubtest.Response, error) { return fourth.PollResponse(ctx, n.URL, 1, 20) },
		"the first ticket's second socket": func() (*hubtest.Response, error) { return dialRefused(ctx, first.Ticket, n.URL) },
	} {
		a, err := ask()
		wantRefusal(t, what, a, err, 503, "overloaded")
		if err == nil && a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", what)
		}
	}
	phone := hubtest.NewPhone("full")
	mustCall(t, ctx, phone, n.URL, third.ID, "confirm")
	if v := <-polled; v == nil || checkToken(ctx, n.URL, v.Token, "sandbox:full") != nil {
		t.Errorf("the third browser received %+v", v)
	}
	for _, p := range []*waiter{first, second} {
		mustCall(t, ctx, phone, n.URL, p.ID, "scan", "confirm")
		v, err := p.waitToken(ctx, n.URL, "sandbox:full")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.ackAndClose(ctx, v.Seq); err != nil {
			t.Error(err)
		}
	}
	// A waiter that leaves frees its place.
	for range 3 {
		hubtest.Eventually(t, 5*time.Second, "a place is free", func() bool {
			p := &waiter{Ticket: fourth}
			err := p.attach(ctx, n.URL, "pending")
			return err == nil
		})
	}
	a, err := dialRefused(ctx, fourth, n.URL)
	wantRefusal(t, "at the limit again", a, err, 503, "overloaded")
}

func TestLimits_FifthWaiter(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 1)
	ctx, n := testContext(t, 20*time.Second), nodes[0]
	ticket, err := hubtest.CreateTicket(ctx, n.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	polled := make(chan error, 1)
	go func() {
		a, err := ticket.PollResponse(ctx, n.URL, 1, 30)
		polled <- checkRefusal(a, err, 204, "")
	}()
	if err := waitSubscribed(ctx, redis, n, ticket.ID); err != nil {
		t.Fatal(err)
	}
	p := &waiter{Ticket: ticket}
	var sockets []*waiter
	for range 5 {
		other, _ := mustAttach(t, ctx, p, n.URL, "pending")
		sockets = append(sockets, other)
	}
	if err := <-polled; err != nil {
		t.Errorf("the oldest, a poll: %v", err)
	}
	if code := sockets[0].socket.Closed(ctx); code != 4001 {
		t.Errorf("the oldest socket was closed with %d", code)
	}
	mustCall(t, ctx, hubtest.NewPhone("four"), n.URL, ticket.ID, "confirm")
	for _, s := range sockets[1:] {
		if _, err := s.waitToken(ctx, n.URL, "sandbox:four"); err != nil {
			t.Error(err)
		}
	}
}

func TestLimits_TicketsPerAddress(t *testing.T) {
	t.Parallel()
	_, nodes := cluster(t, 1, "RATE_LIMIT=5", "TRUSTED_PROXIES=127.0.0.1/32")
	ctx, n := testContext(t, 20*time.Second), nodes[0]
	ask := func(from string) (*hubtest.Response, error) {
		return hubtest.Request(ctx, "POST", n.URL+"/api/login/tickets", nil, "X-Forwarded-For", from)
	}
	use := func(ctx context.Context, from string, n int) error {
		for i := range n {
			if a, err := ask(from); err != nil || a.Status != 201 {
				return fmt.Errorf("ticket %d from %s: %+v %v", i, from, a, err)
			}
		}
		return nil
	}
	if err := use(ctx, "203.0.113.7", 5); err != nil {
		t.Fatal(err)
	}
	a, err := ask("203.0.113.7")
	wantRefusal(t, "the sixth ticket", a, err, 429, "rate_limited")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	// Text that an attacker adds left of the proxy's entry does not change their address.
	a, err = ask("198.51.100.1, 203.0.113.7")
	wantRefusal(t, "with a forged hop", a, err, 429, "rate_limited")
	if err := use(ctx, "203.0.113.8", 5); err != nil {
		t.Errorf("a neighbour: %v", err)
	}
	// One subscriber has a whole /64.
	if err := use(ctx, "2001:db8::1", 5); err != nil {
		t.Fatal(err)
	}
	a, err = ask("2001:db8::ffff:1")
	wantRefusal(t, "the same /64", a, err, 429, "rate_limited")
	if err := use(ctx, "2001:db8:0:1::1", 5); err != nil {
		t.Errorf("another /64: %v", err)
	}
}

func TestConnLimit_IdleFlood(t *testing.T) {
	t.Parallel()
	small := filepath.Join(t.TempDir(), "small") // the program under a file limit of 400
	if err := os.WriteFile(small, fmt.Appendf(nil, "#!/bin/sh\nulimit -n 400\nexec %q \"$@\"\n", program), 0o700); err != nil {
		t.Fatal(err)
	}
	n := hubtest.StartNode(t, small, "RATE_LIMIT=600", "ADMIN_LISTEN=127.0.0.1:"+hubtest.FreePort(t))
	ctx := testContext(t, 60*time.Second)
	flood := func(from string, many int, text string) {
		t.Helper()
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		for i := range many {
			conn, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(n.URL, "http://"))
			if err != nil {
				t.Fatalf("connection %d from %s: %v", i, from, err)
			}
			t.Cleanup(func() { conn.Close() })
			io.WriteString(conn, text)
		}
	}
	serves := func(after string) {
		t.Helper()
		if n.Get("/readyz") != 200 {
			t.Errorf("%s: not ready", after)
		}
		if err := login(ctx, "newcomer", n.URL); err != nil {
			t.Errorf("%s: %v", after, err)
		}
	}
	flood("127.0.0.1", 500, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	serves("idle connections of one address")
	for i := range 5 {
		flood(fmt.Sprintf("127.0.1.%d", i+1), 100, "GET / HT")
	}
	serves("half heads of five addresses")
	m := scrape(t, n) // the admin listener still answers
	limit := m["loginhub_connections_limit"]
	if limit != 400*19/20-128 || m["loginhub_connections"] > limit+16 || m["process_open_fds"] >= m["process_max_fds"] {
		t.Errorf("%v of %v connections, %v of %v descriptors", m["loginhub_connections"], limit, m["process_open_fds"], m["process_max_fds"])
	}
	for _, by := range []string{"address", "total"} {
		if m[`loginhub_connections_refused_total{closed="idle",limit="`+by+`"}`] < 100 {
			t.Errorf("limit %s closed only %v connections", by, m[`loginhub_connections_refused_total{closed="idle",limit="`+by+`"}`])
		}
	}
	if lines := strings.Count(n.Log(), "connections are over a limit"); lines < 1 || lines > 3 {
		t.Errorf("%d log lines", lines)
	}
}
