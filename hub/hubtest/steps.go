package hubtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// slowest is how many times slower than a quiet machine a test's machine may be. The
// limits of Context and Eventually are for a quiet one: they only end a test that hangs.
const slowest = 5

// Context is a context for a part of a test. It ends after slowest times the limit.
func Context(t testing.TB, limit time.Duration) context.Context {
	ctx, cancel := WithTimeout(slowest * limit)
	t.Cleanup(cancel)
	return ctx
}

// StartNodes is a redis-server and n nodes that use it.
func StartNodes(t testing.TB, program string, n int, settings ...string) (*Redis, []*Node) {
	t.Helper()
	redis := StartRedis(t)
	settings = append([]string{"REDIS_URL=" + redis.URL}, settings...)
	nodes := make([]*Node, n)
	for i := range nodes {
		nodes[i] = StartNode(t, program, settings...)
	}
	return redis, nodes
}

// CallOK makes the phone's call, which must return 200.
func CallOK(ctx context.Context, phone *Phone, url, id, action string) error {
	a, err := phone.Do(ctx, url, id, action, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	if a.Status != 200 {
		return fmt.Errorf("%s by %s: %d %s", action, phone.Name, a.Status, a.Body)
	}
	return nil
}

// CheckRefusal checks an answer's status and error code.
func CheckRefusal(a *Response, err error, status int, code string) error {
	if err != nil {
		return err
	}
	if a.Status != status || a.Code != code {
		return fmt.Errorf("answer %d %s, wanted %d %s: %s", a.Status, a.Code, status, code, a.Body)
	}
	return nil
}

// AssertRefusal is CheckRefusal as a check of the test.
func AssertRefusal(t testing.TB, what string, a *Response, err error, status int, code string) {
	t.Helper()
	if err := CheckRefusal(a, err, status, code); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// DialRefused returns the answer to a WebSocket handshake that must be refused.
func DialRefused(ctx context.Context, ticket *Ticket, url string) (*Response, error) {
	socket, err := ticket.Dial(ctx, url)
	if err == nil {
		socket.Conn.CloseNow()
		return nil, fmt.Errorf("the socket was accepted")
	}
	a, e := socket.Rejection()
	if a == nil && e == nil {
		return nil, err
	}
	return a, e
}

// Parallel runs the function for 0 to n-1, atOnce at a time, and reports every error.
func Parallel(t testing.TB, n, atOnce int, f func(i int) error) {
	t.Helper()
	var all sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if err := f(i); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	all.Wait()
}

// MustCreateTicket creates a ticket; request may be left out.
func MustCreateTicket(t testing.TB, ctx context.Context, url string, request ...any) *Ticket {
	t.Helper()
	ticket, err := CreateTicket(ctx, url, append(request, nil)[0])
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

// WriteFile writes a file for the test.
func WriteFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
