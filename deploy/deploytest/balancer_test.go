package deploytest_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// nginxConf is the shipped configuration.
const nginxConf = "../../deploy/nginx/loginhub.conf"

// nginxFront is two nodes behind the shipped nginx.
type nginxFront struct {
	url   string // of nginx
	redis *hubtest.Redis
	nodes []*hubtest.Node
}

// startFront starts them. edits are pairs of old and new text in nginx's configuration.
func startFront(t *testing.T, edits []string, settings ...string) *nginxFront {
	t.Helper()
	f := &nginxFront{}
	f.redis, f.nodes = hubtest.StartNodes(t, program, 2, settings...)
	var hosts []string
	for _, n := range f.nodes {
		hosts = append(hosts, strings.TrimPrefix(n.URL, "http://"))
	}
	f.url = hubtest.StartNginx(t, nginxConf, hosts, strings.NewReplacer(edits...).Replace)
	return f
}

// proxyAnswered reports whether nginx answered itself because no node was available.
func proxyAnswered(a *hubtest.Response) bool {
	return bytes.Contains(a.Body, []byte("No node answers")) || bytes.Contains(a.Body, []byte("<center>nginx"))
}

// logInDuring makes phones scan and confirm through nginx, atOnce at a time, until fault returns.
// Each call must succeed. It returns the number of calls.
func (f *nginxFront) logInDuring(t *testing.T, ctx context.Context, atOnce int, fault func()) (calls int64) {
	t.Helper()
	var done atomic.Bool
	var count atomic.Int64
	var phones sync.WaitGroup
	for i := range atOnce {
		phones.Go(func() {
			phone := hubtest.NewPhone(fmt.Sprint("user-", i))
			for !done.Load() && ctx.Err() == nil {
				ticket, err := hubtest.CreateTicket(ctx, f.url, nil)
				if err != nil {
					t.Errorf("make: %v", err)
					continue
				}
				for _, action := range []string{"scan", "confirm"} {
					if err := hubtest.CallOK(ctx, phone, f.url, ticket.ID, action); err != nil {
						t.Error(err)
					}
				}
				count.Add(3)
			}
		})
	}
	fault()
	done.Store(true)
	phones.Wait()
	return count.Load()
}

func TestNginx_QRFlood(t *testing.T) {
	t.Parallel()
	f := startFront(t, nil)
	ctx := hubtest.Context(t, 60*time.Second)
	ticket := hubtest.MustCreateTicket(t, ctx, f.url)
	var drawn, refusals atomic.Int64
	calls := f.logInDuring(t, ctx, 4, func() {
		hubtest.Parallel(t, 3*120, 120, func(int) error {
			a, err := hubtest.Request(ctx, "GET", ticket.URL(f.url, "qr.png")+"?size=1024", nil)
			switch {
			case err != nil:
				return err
			case a.Status == http.StatusOK:
				drawn.Add(1)
			case proxyAnswered(a) || a.Code != "overloaded" && a.Code != "rate_limited":
				return fmt.Errorf("QR picture: %d %s", a.Status, a.Body)
			default:
				refusals.Add(1)
			}
			return nil
		})
	})
	if calls < 30 || drawn.Load() == 0 || refusals.Load() == 0 {
		t.Errorf("%d calls, %d QR pictures, %d refused", calls, drawn.Load(), refusals.Load())
	}
}

func TestNginx_FullNodes(t *testing.T) {
	t.Parallel()
	f := startFront(t, nil, "MAX_SOCKETS=4")
	ctx := hubtest.Context(t, 60*time.Second)
	var held atomic.Int64
	calls := f.logInDuring(t, ctx, 4, func() {
		hubtest.Parallel(t, 60, 10, func(int) error {
			ticket, err := hubtest.CreateTicket(ctx, f.url, nil)
			if err != nil {
				return err
			}
			socket, err := ticket.Dial(ctx, f.url)
			if err == nil {
				held.Add(1)
				t.Cleanup(func() { socket.Conn.CloseNow() })
				return nil
			}
			a, err := socket.Rejection()
			return hubtest.CheckRefusal(a, err, http.StatusServiceUnavailable, "overloaded")
		})
	})
	if held.Load() != 8 || calls < 30 {
		t.Errorf("%d sockets are open, %d calls", held.Load(), calls)
	}
}

func TestNginx_RedisDown(t *testing.T) {
	t.Parallel()
	f := startFront(t, nil)
	ctx := hubtest.Context(t, 60*time.Second)
	ticket := hubtest.MustCreateTicket(t, ctx, f.url)
	f.redis.Kill()
	for range 20 {
		a, err := hubtest.Request(ctx, "POST", f.url+"/api/login/tickets", nil)
		hubtest.AssertRefusal(t, "a ticket", a, err, http.StatusServiceUnavailable, "store_unavailable")
		poll, err := ticket.PollResponse(ctx, f.url, 0, 0)
		hubtest.AssertRefusal(t, "a poll", poll, err, http.StatusServiceUnavailable, "store_unavailable")
		if err == nil && (proxyAnswered(a) || proxyAnswered(poll)) {
			t.Errorf("nginx answered instead of the hub: %s %s", a.Body, poll.Body)
		}
		for _, path := range []string{"/", "/api/login/tickets/" + ticket.ID + "/qr.svg"} {
			if a, err := hubtest.Request(ctx, "GET", f.url+path, nil); err != nil || a.Status != http.StatusOK {
				t.Errorf("%s without Redis: %+v %v", path, a, err)
			}
		}
	}
	f.redis.Start(t)
	for _, n := range f.nodes {
		hubtest.Eventually(t, 20*time.Second, "the nodes are ready", func() bool { return n.Get("/readyz") == http.StatusOK })
	}
	for range 20 { // at once, without nginx's fail_timeout
		if _, err := hubtest.CreateTicket(ctx, f.url, nil); err != nil {
			t.Errorf("after Redis is back: %v", err)
		}
	}
}

// TestNginx_RollingRestart runs the runbook's rolling restart: one node after the other, without a
// pause.
func TestNginx_RollingRestart(t *testing.T) {
	t.Parallel()
	f := startFront(t, nil, "DRAIN=200ms")
	ctx := hubtest.Context(t, 120*time.Second)
	began := time.Now()
	calls := f.logInDuring(t, ctx, 8, func() {
		for range 6 {
			for _, n := range f.nodes {
				if err := n.Terminate(); err != nil {
					t.Error(err)
				}
				if code, err := n.Wait(15 * time.Second); code != 0 || err != nil {
					t.Errorf("a node ends with %d, %v:\n%s", code, err, n.Log())
				}
				n.Restart(t)
			}
		}
	})
	t.Logf("12 restarts under %.0f calls a second", float64(calls)/time.Since(began).Seconds())
}

func TestNginx_HangingNode(t *testing.T) {
	t.Parallel()
	const callLimit, slack = 11 * time.Second, 3 * time.Second // the calls' proxy_read_timeout
	f := startFront(t, nil)
	ctx := hubtest.Context(t, 60*time.Second)
	if err := f.nodes[0].Stall(); err != nil {
		t.Fatal(err)
	}
	var served, late atomic.Int64
	call := func(int) error {
		began := time.Now()
		a, err := hubtest.Request(ctx, "POST", f.url+"/api/login/tickets", nil)
		if took := time.Since(began); took > callLimit+slack {
			return fmt.Errorf("a call took %v", took)
		}
		if err == nil && a.Status == http.StatusCreated {
			served.Add(1)
			return nil
		}
		late.Add(1)
		return hubtest.CheckRefusal(a, err, http.StatusServiceUnavailable, "store_unavailable")
	}
	hubtest.Parallel(t, 20, 20, call)
	if served.Load() == 0 || late.Load() == 0 {
		t.Errorf("%d calls were served, %d were not: the node does not hang", served.Load(), late.Load())
	}
	// nginx has marked the node as failed, and tries it once in two seconds at most.
	late.Store(0)
	hubtest.Parallel(t, 40, 20, call)
	if late.Load() > 2 {
		t.Errorf("%d of 40 calls still went to the hanging node", late.Load())
	}
	hubtest.Parallel(t, 4, 4, func(int) error { // the other node serves pages
		if a, err := hubtest.Request(ctx, "GET", f.url+"/", nil); err != nil || a.Status != http.StatusOK {
			return fmt.Errorf("the login page: %+v %w", a, err)
		}
		return nil
	})
}

func TestNginx_OwnErrors(t *testing.T) {
	t.Parallel()
	f := startFront(t, []string{"loginhub_address 2000;", "loginhub_address 2;", "loginhub_pictures 100;", "loginhub_pictures 1;"})
	ctx := hubtest.Context(t, 60*time.Second)
	ticket := hubtest.MustCreateTicket(t, ctx, f.url)
	a, err := hubtest.Request(ctx, "POST", f.url+"/api/login/tickets", strings.Repeat(" ", 100<<10))
	hubtest.AssertRefusal(t, "a large body", a, err, http.StatusRequestEntityTooLarge, "too_large")
	var sockets []*hubtest.Socket
	for range 2 {
		socket, err := ticket.Dial(ctx, f.url)
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Conn.CloseNow()
		sockets = append(sockets, socket)
	}
	a, err = hubtest.DialRefused(ctx, ticket, f.url)
	hubtest.AssertRefusal(t, "a third socket", a, err, http.StatusTooManyRequests, "rate_limited")
	if err == nil && a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if a, err := hubtest.Request(ctx, "GET", ticket.URL(f.url, "qr.svg"), nil); err != nil || a.Status != http.StatusOK {
		t.Errorf("a QR picture, which has its own zone: %+v %v", a, err)
	}
	for i, n := range f.nodes {
		sockets[i].Conn.CloseNow()
		n.Kill()
	}
	hubtest.Eventually(t, 10*time.Second, "nginx answers that no node is available", func() bool {
		a, err = ticket.PollResponse(ctx, f.url, 0, 0)
		return err == nil && a.Status != http.StatusTooManyRequests
	})
	hubtest.AssertRefusal(t, "a poll without nodes", a, err, http.StatusServiceUnavailable, "store_unavailable")
	a, err = hubtest.Request(ctx, "POST", f.url+"/api/login/tickets", nil)
	hubtest.AssertRefusal(t, "a call without nodes", a, err, http.StatusServiceUnavailable, "store_unavailable")
	if err == nil && a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// TestNginx_Retries: nginx repeats no request that consumes a one-time code: a POST, or the GET
// with which a provider returns the browser.
func TestNginx_Retries(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	refuses := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			asked.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	var hosts []string
	for range 2 {
		node := httptest.NewServer(refuses)
		t.Cleanup(node.Close)
		hosts = append(hosts, strings.TrimPrefix(node.URL, "http://"))
	}
	url := hubtest.StartNginx(t, nginxConf, hosts, nil)
	for _, c := range []struct {
		method, path string
		times        int64
	}{
		{"GET", "/", 2},
		{"GET", "/api/login/tickets/x/poll?wait=0", 2},
		{"GET", "/api/wechat/callback?code=x", 1},
		{"GET", "/api/connect/wecom/callback?code=x", 1},
		{"POST", "/api/login/tickets/x/confirm", 1},
	} {
		asked.Store(0)
		r, err := http.NewRequestWithContext(t.Context(), c.method, url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != http.StatusServiceUnavailable || asked.Load() != c.times {
			t.Errorf("%s %s: %d after %d nodes were tried, wanted %d", c.method, c.path, a.StatusCode, asked.Load(), c.times)
		}
	}
}
