package wechat_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"loginhub/wechat"
	"loginhub/wechat/wechattest"
)

// Go's Transport repeats a GET when a kept-alive connection breaks. That would
// spend the code twice and lose the login.
func TestSession_BrokenConnection(t *testing.T) {
	for name, fault := range map[string]wechattest.Fault{
		"closed":                  {Break: wechattest.HangUp},
		"reset":                   {Break: wechattest.Reset},
		"cut off in the answer":   {Break: wechattest.CutOff},
		"answered with half JSON": {Break: wechattest.Truncated},
		"answered with nothing":   {Page: wechattest.EmptyPage},
		"answered with HTML":      {Page: wechattest.HTMLPage},
		"answered with 502":       {Page: wechattest.BadGatewayPage},
		"answered with -1":        {Errcode: -1},
		"answered with 45011":     {Errcode: 45011},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWeChat(t)
			m := newClient(t, w.URL)
			if _, err := m.Session(t.Context(), w.Code(appID, "alice")); err != nil {
				t.Fatal(err)
			}
			w.Fail(fault)
			code := w.Code(appID, "bob")
			e := refusal(t.Context(), t, m, code)
			if noTrace(t, e); e.Kind != wechat.KindBusy || strings.Contains(fmt.Sprintf("%+v %#v", e, e), code) {
				t.Errorf("kind %v: %#v", e.Kind, e)
			}
			if w.CallsFor(code) != 1 || w.Calls() != 2 {
				t.Errorf("%d exchanges of one code, %d of two", w.CallsFor(code), w.Calls())
			}
			if w.Conns() != 1 {
				t.Errorf("%d connections: the second call did not go over the kept one, so this proves nothing", w.Conns())
			}
		})
	}
}

func TestSession_Redirect(t *testing.T) {
	for _, status := range []string{"302 Found", "307 Temporary Redirect"} {
		var mu sync.Mutex
		exchanges := 0
		url := rawServer(t, func(string) string {
			mu.Lock()
			defer mu.Unlock()
			exchanges++
			return "HTTP/1.1 " + status + "\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
		})
		e := refusal(t.Context(), t, newClient(t, url), "0123456789")
		mu.Lock()
		if e.Kind != wechat.KindBusy || exchanges != 1 {
			t.Errorf("%s: %d exchanges, %v", status, exchanges, e)
		}
		mu.Unlock()
	}
}

func TestSession_Cancelled(t *testing.T) {
	w := newWeChat(t)
	m := newClient(t, w.URL)
	w.Fail(wechattest.Fault{Hold: make(chan struct{})})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_ = w.AwaitCalls(t.Context(), 1)
		cancel()
	}()
	code := w.Code(appID, "alice")
	e := refusal(ctx, t, m, code)
	noTrace(t, e)
	if !errors.Is(e, context.Canceled) || e.Kind != wechat.KindBusy || w.CallsFor(code) != 1 {
		t.Errorf("got %v (%v) after %d exchanges", e, e.Kind, w.CallsFor(code))
	}
}

func TestSession_Timeout(t *testing.T) {
	silent := roundTrip(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	stalled := roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := answering(200, "")(r)
		resp.Body = stalledBody{r.Context()}
		return resp, err
	})
	for name, transport := range map[string]roundTrip{"no answer": silent, "half an answer": stalled} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				e := refusal(t.Context(), t, newClientVia(t, "", transport), "0123456789")
				if took := time.Since(start); took != 8*time.Second {
					t.Errorf("gave up after %v", took)
				}
				if e.Kind != wechat.KindBusy || !errors.Is(e, context.DeadlineExceeded) {
					t.Errorf("got %v (%v)", e, e.Kind)
				}
			})
		})
	}
}

// stalledBody never ends.
type stalledBody struct{ ctx context.Context }

func (b stalledBody) Read([]byte) (int, error) { <-b.ctx.Done(); return 0, b.ctx.Err() }
func (stalledBody) Close() error               { return nil }

func TestSession_Burst(t *testing.T) {
	w := newWeChat(t)
	m := newClient(t, w.URL)
	var all sync.WaitGroup
	login := func() {
		if _, err := m.Session(t.Context(), w.Code(appID, "alice")); err != nil {
			t.Error(err)
		}
	}
	// Two waves of 50 at a time, held until all 50 are there: the second goes
	// over the connections of the first.
	for wave := 1; wave <= 2; wave++ {
		hold := make(chan struct{})
		w.FailAlways(wechattest.Fault{Hold: hold})
		for range 50 {
			all.Go(login)
		}
		if err := w.AwaitCalls(t.Context(), wave*50); err != nil {
			t.Fatal(err)
		}
		close(hold)
		all.Wait()
		if w.Conns() != 50 {
			t.Errorf("wave %d: %d connections in all", wave, w.Conns())
		}
	}
	w.ClearFaults()
	for range 600 {
		all.Go(login)
	}
	all.Wait()
	if w.Conns() > 256 {
		t.Errorf("%d connections for 600 logins at once", w.Conns())
	}
}

// rawServer answers each request, given as its bytes up to the end of the
// headers, with the bytes that answer returns, and closes the connection.
func rawServer(t *testing.T, answer func(request string) string) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer func() { _ = conn.Close() }()
				if request, err := readHead(conn); err == nil {
					_, _ = io.WriteString(conn, answer(request))
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		conns.Wait()
	})
	return "http://" + listener.Addr().String()
}

func readHead(r io.Reader) (string, error) {
	var head []byte
	one := make([]byte, 1)
	for len(head) < 4 || string(head[len(head)-4:]) != "\r\n\r\n" {
		if _, err := r.Read(one); err != nil {
			return "", err
		}
		head = append(head, one[0])
	}
	return string(head), nil
}
