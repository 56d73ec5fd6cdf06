package deploytest_test

//lint:file-ignore SA1019 http.Transport refuses the header :protocol, which RFC 8441 needs

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"loginhub/hub/hubtest"
)

// TestBalancer_Retries: no balancer repeats a request that consumes a one-time code: a POST, or the
// GET with which a provider returns the browser. It was sent, and then refused or cut off. nginx
// repeats a GET that was cut off; the hub takes a provider's state once.
func TestBalancer_Retries(t *testing.T) {
	forEachBalancer(t, func(t *testing.T, b balancer) {
		var asked atomic.Int64
		var hosts []string
		for range 2 {
			node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "z") { // healthz, readyz
					return
				}
				asked.Add(1)
				if r.URL.Query().Has("cut") {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(http.StatusServiceUnavailable)
			}))
			t.Cleanup(node.Close)
			hosts = append(hosts, strings.TrimPrefix(node.URL, "http://"))
		}
		url := hubtest.StartBalancer(t, cmp.Or(b.path, b.kind), "..", hosts, nil)
		for _, c := range []struct {
			method, path string
			repeats      bool
		}{
			{"GET", "/?", true},
			{"GET", "/api/login/tickets/x/poll?wait=0", true},
			{"GET", "/api/wechat/callback?code=x", false},
			{"GET", "/api/connect/wecom/callback?code=x", false},
			{"POST", "/api/login/tickets/x/confirm?", false},
		} {
			for _, fate := range []string{"", "&cut=1"} {
				asked.Store(0)
				a, err := hubtest.Request(t.Context(), c.method, url+c.path+fate, nil, "Connection", "close") // or the client repeats it
				if err != nil {
					t.Fatal(err)
				}
				repeats := b.repeats && (c.repeats || b.kind == "nginx" && fate != "" && c.method == "GET")
				if n := asked.Load(); a.Status < 500 || (n > 1) != repeats || n == 0 {
					t.Errorf("%s %s%s: %d after %d nodes were tried", c.method, c.path, fate, a.Status, n)
				}
			}
		}
	})
}

func TestBalancer_Addresses(t *testing.T) {
	forEachBalancer(t, func(t *testing.T, b balancer) {
		f := b.start(t, nil)
		checkAddresses(t, f)
		ctx := loginContext(t)
		if err := login(ctx, "ann", f.url); err != nil {
			t.Error(err)
		}
		for _, path := range []string{"/metrics", "/clients", "/debug/pprof/"} { // of the admin address
			if a, err := hubtest.Request(ctx, "GET", f.url+path, nil); err != nil || a.Status != http.StatusNotFound {
				t.Errorf("%s: %+v %v", path, a, err)
			}
		}
	})
}

// clientFrom is a client at that address of this machine.
func clientFrom(t *testing.T, addr string) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	transport := &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// checkAddresses scans from 127.0.0.2 with forged headers. The nodes must record that address.
func checkAddresses(t *testing.T, f *balanced) {
	t.Helper()
	client := clientFrom(t, "127.0.0.2")
	for range 4 { // each node twice
		ticket := hubtest.MustCreateTicket(t, t.Context(), f.url)
		body := fmt.Sprintf(`{"provider":"sandbox","code":%q}`, hubtest.NewPhone("ann").Code())
		r, err := http.NewRequestWithContext(t.Context(), "POST", ticket.URL(f.url, "scan"), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Content-Type": {"application/json"}, "X-Forwarded-For": {"203.0.113.66"}, "X-Real-Ip": {"203.0.113.66"}, "Forwarded": {"for=203.0.113.66"}}
		a, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if a.Body.Close(); a.StatusCode != http.StatusOK {
			t.Error(a.Status)
		}
	}
	scans := ""
	hubtest.Eventually(t, 5*time.Second, "4 scans from the client's address", func() bool {
		scans = ""
		for _, n := range f.nodes {
			scans += n.Log()
		}
		return strings.Count(scans, `"phone":"127.0.0.2"`) == 4
	})
	if strings.Contains(scans, "203.0.113.66") {
		t.Errorf("a forged address is recorded:\n%s", scans)
	}
}

// TestBalancer_Silence: the time-out of calls is none of sockets and polls, which have 75 s.
func TestBalancer_Silence(t *testing.T) {
	forEachBalancer(t, func(t *testing.T, b balancer) {
		f := b.start(t, []string{" 11s", " 2s"})
		ctx := loginContext(t)
		ticket := hubtest.MustCreateTicket(t, ctx, f.url)
		socket, err := ticket.Dial(ctx, f.url)
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Conn.CloseNow()
		v, err := socket.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := ticket.Poll(ctx, f.url, v.Seq, 4); err != nil || v != nil {
			t.Errorf("a poll of 4 s: %+v %v", v, err)
		}
		if err := hubtest.CallOK(ctx, hubtest.NewPhone("ann"), f.url, ticket.ID, "scan"); err != nil {
			t.Error(err)
		}
		if _, err := socket.Until(ctx, "scanned"); err != nil {
			t.Error(err)
		}
	})
}

// TestBalancer_HTTP2: a browser that speaks HTTP/2 opens its socket as a stream of the same
// connection (RFC 8441) if the balancer announces that, or else on a connection of HTTP/1.1.
func TestBalancer_HTTP2(t *testing.T) {
	forEachBalancer(t, func(t *testing.T, b balancer) {
		if b.kind == "nginx" { // as shipped it speaks HTTP/1.1 only
			return
		}
		f := b.start(t, nil)
		ctx := loginContext(t)
		ticket := hubtest.MustCreateTicket(t, ctx, f.url)
		transport := &http2.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		defer transport.CloseIdleConnections()
		page, err := http.NewRequestWithContext(ctx, "GET", f.url+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(page)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.ProtoMajor != 2 || answer.StatusCode != http.StatusOK {
			t.Errorf("the page: %s %s", answer.Proto, answer.Status)
		}
		open, send := io.Pipe() // what the browser sends; it stays open
		defer send.Close()
		connect, err := http.NewRequestWithContext(ctx, "CONNECT", ticket.URL(f.url, "ws"), open)
		if err != nil {
			t.Fatal(err)
		}
		connect.Header = http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Protocol": {"loginhub.v1, loginhub.secret." + ticket.Secret}}
		answer, err = transport.RoundTrip(connect)
		switch {
		case !b.http2:
			if err == nil || !strings.Contains(err.Error(), "extended connect not supported") {
				t.Errorf("a socket over HTTP/2: %v", err)
			}
			if err := login(ctx, "ann", f.url); err != nil { // over HTTP/1.1
				t.Error(err)
			}
			return
		case err != nil:
			t.Fatal(err)
		}
		defer answer.Body.Close()
		frame := make([]byte, 256)
		n, err := answer.Body.Read(frame)
		if answer.StatusCode != http.StatusOK || answer.Header.Get("Sec-Websocket-Protocol") != "loginhub.v1" || err != nil || !bytes.Contains(frame[:n], []byte(`"state":"pending"`)) {
			t.Errorf("a socket over HTTP/2: %s %q %v", answer.Status, frame[:n], err)
		}
		if err := hubtest.CallOK(ctx, hubtest.NewPhone("ann"), f.url, ticket.ID, "scan"); err != nil {
			t.Error(err)
		}
		if n, err = answer.Body.Read(frame); err != nil || !bytes.Contains(frame[:n], []byte(`"state":"scanned"`)) {
			t.Errorf("after the scan: %q %v", frame[:n], err)
		}
	})
}

// TestBalancer_ProxyProtocol enables the PROXY protocol as haproxy.cfg's comments say.
func TestBalancer_ProxyProtocol(t *testing.T) {
	t.Parallel()
	set := "    http-request set-header X-Forwarded-For %[src]\n"
	edits := []string{set, "    http-request del-header X-Forwarded-For\n", "    #     default-server send-proxy-v2\n", "    default-server send-proxy-v2 source 127.0.0.3\n"}
	f := balancer{kind: "haproxy"}.start(t, edits, "PROXY_PROTOCOL=true", "TRUSTED_PROXIES=127.0.0.3")
	checkAddresses(t, f)
	ctx := loginContext(t)
	if err := login(ctx, "ann", f.url); err != nil {
		t.Error(err)
	}
	a, err := clientFrom(t, "127.0.0.3").Get(f.nodes[0].URL + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	if a.Body.Close(); a.StatusCode != http.StatusBadRequest {
		t.Errorf("without a header: %s", a.Status)
	}
	hubtest.Eventually(t, 5*time.Second, "the refusal is logged", func() bool {
		return strings.Contains(f.nodes[0].Log(), "have the proxy send version 2")
	})
}
