package wechattest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"loginhub/wechat/wechattest"
)

func TestFault_BeforeExchange(t *testing.T) {
	s, _ := newServer(t)
	tests := map[string]struct {
		fault wechattest.Fault
		holds func(reply) bool
	}{
		"busy":         {wechattest.Fault{Errcode: -1}, func(r reply) bool { return r.errcode() == -1 && r.status == 200 }},
		"minute quota": {wechattest.Fault{Errcode: 45011}, func(r reply) bool { return r.errcode() == 45011 }},
		"address": {wechattest.Fault{Errcode: 40164}, func(r reply) bool {
			return r.errcode() == 40164 && strings.Contains(r.body, "203.0.113.7")
		}},
		"blocked": {wechattest.Fault{Errcode: 40226}, func(r reply) bool { return r.errcode() == 40226 }},
		"frozen":  {wechattest.Fault{Errcode: 40243}, func(r reply) bool { return r.errcode() == 40243 }},
		"own text": {wechattest.Fault{Errcode: 1, Errmsg: "own"}, func(r reply) bool {
			return r.body == `{"errcode":1,"errmsg":"own"}`
		}},
		"as a string": {wechattest.Fault{Errcode: 45011, StringErrcode: true}, func(r reply) bool {
			return r.fields["errcode"] == "45011"
		}},
		"empty page": {wechattest.Fault{Page: wechattest.EmptyPage}, func(r reply) bool {
			return r.status == 200 && r.body == "" && strings.HasPrefix(r.contentType, "text/html")
		}},
		"HTML": {wechattest.Fault{Page: wechattest.HTMLPage}, func(r reply) bool {
			return r.status == 200 && strings.HasPrefix(r.body, "<html>")
		}},
		"502": {wechattest.Fault{Page: wechattest.BadGatewayPage}, func(r reply) bool {
			return r.status == 502 && strings.HasPrefix(r.body, "<html>")
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code := s.Code(appID, "alice")
			s.Fail(tt.fault)
			if r := ask(t, s, query(code)); r.err != nil || !tt.holds(r) {
				t.Errorf("got %v", r)
			}
			if r := ask(t, s, query(code)); r.fields["openid"] == nil {
				t.Errorf("afterwards: %v", r)
			}
		})
	}
}

func TestFault_AfterExchange(t *testing.T) {
	s, _ := newServer(t)
	tests := map[string]struct {
		fault wechattest.Fault
		holds func(reply) bool
	}{
		"truncated": {wechattest.Fault{Break: wechattest.Truncated}, func(r reply) bool {
			return r.err == nil && strings.HasPrefix(r.body, `{"session_key":"`+wechattest.SessionKeyPrefix) && r.fields == nil
		}},
		"cut off": {wechattest.Fault{Break: wechattest.CutOff}, func(r reply) bool {
			return errors.Is(r.err, io.ErrUnexpectedEOF) && r.body != ""
		}},
		"hang up": {wechattest.Fault{Break: wechattest.HangUp}, func(r reply) bool { return errors.Is(r.err, io.EOF) }},
		"reset":   {wechattest.Fault{Break: wechattest.Reset}, func(r reply) bool { return errors.Is(r.err, syscall.ECONNRESET) }},
		"no unionid": {wechattest.Fault{NoUnionID: true}, func(r reply) bool {
			return r.fields["openid"] != nil && len(r.fields) == 2
		}},
		"errcode 0": {wechattest.Fault{ZeroErrcode: true}, func(r reply) bool {
			return r.fields["openid"] != nil && r.fields["errcode"] == 0.0 && r.fields["errmsg"] == "ok"
		}},
		"errcode \"0\"": {wechattest.Fault{StringErrcode: true}, func(r reply) bool {
			return r.fields["openid"] != nil && r.fields["errcode"] == "0"
		}},
		"delayed": {wechattest.Fault{Delay: time.Millisecond}, func(r reply) bool { return r.fields["openid"] != nil }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code := s.Code(appID, "alice")
			s.Fail(tt.fault)
			if r := ask(t, s, query(code)); !tt.holds(r) {
				t.Errorf("got %v", r)
			}
			if r := ask(t, s, query(code)); r.errcode() != 40163 {
				t.Errorf("afterwards: %v", r)
			}
		})
	}
}

func TestFault_ScriptFirst(t *testing.T) {
	s, _ := newServer(t)
	s.FailAlways(wechattest.Fault{Errcode: 40243})
	s.Fail(wechattest.Fault{Errcode: 45011}, wechattest.Fault{}, wechattest.Fault{Errcode: -1})
	for i, want := range []int{45011, 0, -1, 40243, 40243} {
		if r := ask(t, s, query(s.Code(appID, "alice"))); r.errcode() != want {
			t.Errorf("call %d: %v, want %d", i+1, r, want)
		}
	}
	s.Fail(wechattest.Fault{Errcode: -1})
	s.ClearFaults()
	if r := ask(t, s, query(s.Code(appID, "alice"))); r.errcode() != 0 || r.err != nil {
		t.Errorf("after ClearFaults: %v", r)
	}
}

func TestFault_Hold(t *testing.T) {
	s, _ := newServer(t)
	hold := make(chan struct{})
	s.Fail(wechattest.Fault{Hold: hold})
	replies := make(chan reply, 1)
	go func() { replies <- ask(t, s, query(s.Code(appID, "alice"))) }()
	if err := s.AwaitCalls(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-replies:
		t.Errorf("not held: %v", r)
	default:
	}
	close(hold)
	if r := <-replies; r.fields["openid"] == nil {
		t.Errorf("released: %v", r)
	}
}

func TestServer_CloseReleases(t *testing.T) {
	s, _ := newServer(t)
	s.FailAlways(wechattest.Fault{Delay: time.Hour, Hold: make(chan struct{})})
	// net/http does not notice a closed connection while a body is unread.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/sns/jscode2session", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	replies := make(chan reply, 1)
	go func() { replies <- send(req) }()
	if err := s.AwaitCalls(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	s.Close() // waits for the held call
	if r := <-replies; r.err == nil {
		t.Errorf("got %v", r)
	}
}

func TestServer_Counts(t *testing.T) {
	s, _ := newServer(t)
	ask(t, s, query("a"))
	ask(t, s, query("b"))
	if s.Conns() != 2 {
		t.Errorf("%d connections", s.Conns())
	}
	if err := s.AwaitCalls(t.Context(), 2); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.AwaitCalls(ctx, 3); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestServer_UnknownCall(t *testing.T) {
	s, _ := newServer(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/sns/unknown", nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := send(req); r.status != 404 || s.Calls() != 1 {
		t.Errorf("got %v, %d calls", r, s.Calls())
	}
}

func TestServer_Addr(t *testing.T) {
	first := wechattest.New(wechattest.Options{})
	addr := strings.TrimPrefix(first.URL, "http://")
	first.Close()
	again := wechattest.New(wechattest.Options{Addr: addr})
	defer again.Close()
	if again.URL != first.URL {
		t.Errorf("told %s, listens on %s", first.URL, again.URL)
	}
	defer func() {
		if recover() == nil {
			t.Error("a taken address is no panic")
		}
	}()
	wechattest.New(wechattest.Options{Addr: addr})
}
