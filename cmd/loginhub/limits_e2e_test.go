package main_test

import (
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

// TestLimits_Settings: the settings of the limits reach the limiters, which packages hub and api test.
func TestLimits_Settings(t *testing.T) {
	t.Parallel()
	redis, nodes := cluster(t, 1, "MAX_SOCKETS=2", "RATE_LIMIT=5", "TRUSTED_PROXIES=127.0.0.1/32", "ADMIN_LISTEN=127.0.0.1:"+hubtest.FreePort(t))
	ctx, n := hubtest.Context(t, 20*time.Second), nodes[0]
	create := func(from string) (*hubtest.Response, error) {
		return hubtest.Request(ctx, "POST", n.URL+"/api/login/tickets", nil, "X-Forwarded-For", from)
	}
	var tickets [5]*hubtest.Ticket
	began := time.Now()
	for i := range tickets {
		a, err := create("203.0.113.7")
		if err != nil || a.Decode(201, &tickets[i]) != nil {
			t.Fatalf("ticket %d: %+v %v", i, a, err)
		}
	}
	for what, from := range map[string]string{"a sixth ticket": "203.0.113.7", "with a forged hop": "198.51.100.1, 203.0.113.7"} {
		a, err := create(from)
		for range int(time.Since(began) / (6 * time.Second)) { // one more every 12 s, the first 6 s early
			a, err = create(from)
		}
		hubtest.AssertRefusal(t, what, a, err, 429, "rate_limited")
	}
	if a, err := create("203.0.113.8"); err != nil || a.Status != 201 {
		t.Errorf("a neighbour: %+v %v", a, err)
	}
	first, polled := &waiter{Ticket: tickets[0]}, make(chan *hubtest.View, 1)
	if err := first.attach(ctx, n.URL, "pending"); err != nil {
		t.Fatal(err)
	}
	defer first.socket.Conn.CloseNow()
	go func() {
		v, err := tickets[1].Poll(ctx, n.URL, 1, 30)
		if err != nil {
			t.Errorf("the second waiter: %v", err)
		}
		polled <- v
	}()
	if err := waitSubscribed(t, ctx, redis, n, tickets[1].ID); err != nil {
		t.Fatal(err)
	}
	a, err := hubtest.DialRefused(ctx, tickets[2], n.URL)
	hubtest.AssertRefusal(t, "a third socket", a, err, 503, "overloaded")
	a, err = tickets[2].PollResponse(ctx, n.URL, 1, 20)
	hubtest.AssertRefusal(t, "a third poll", a, err, 503, "overloaded")
	mustCall(t, ctx, hubtest.NewPhone("full"), n.URL, tickets[1].ID, "confirm")
	if v := <-polled; v == nil || v.State != "confirmed" {
		t.Errorf("the waiting poll received %+v", v)
	}
	if err := (&waiter{Ticket: tickets[2]}).attach(ctx, n.URL, "pending"); err != nil {
		t.Errorf("a waiter that leaves frees its place: %v", err)
	}
}

func TestConnLimit_IdleFlood(t *testing.T) {
	t.Parallel()
	small := filepath.Join(t.TempDir(), "small") // the program under a file limit of 400
	if err := os.WriteFile(small, fmt.Appendf(nil, "#!/bin/sh\nulimit -n 400\nexec %q \"$@\"\n", program), 0o700); err != nil {
		t.Fatal(err)
	}
	n := hubtest.StartNode(t, small, "RATE_LIMIT=600", "ADMIN_LISTEN=127.0.0.1:"+hubtest.FreePort(t))
	ctx := hubtest.Context(t, 60*time.Second)
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
	waitLog(t, n, 1, "connections are over a limit")
	if lines := strings.Count(n.Log(), "connections are over a limit"); lines > 3 {
		t.Errorf("%d log lines", lines)
	}
}
