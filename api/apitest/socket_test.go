package apitest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"loginhub/hub/hubtest"
)

func TestSocket_Views(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	l := p.dial(t, "Origin", site)
	v := l.expect(t, "pending", 1)
	fields(t, v, "ticket", "state", "seq", "expires_in")
	requireRange(t, "expires_in", v["expires_in"], 115, 120)

	user := map[string]any{"nickname": "小明", "avatar_url": "https://example.com/a.png"}
	s.phone("ann").mustDo(t, p, "scan", "user", map[string]any{"nickname": "小明", "avatar_url": "https://example.com/a.png", "verified": true}) // the phone cannot vouch
	v = l.expect(t, "scanned", 2)
	fields(t, v, "ticket", "state", "seq", "expires_in", "user")
	if !equal(v["user"], user) {
		t.Errorf("user %v", v["user"])
	}

	s.phone("ann").mustDo(t, p, "confirm")
	v = l.expect(t, "confirmed", 3)
	fields(t, v, "ticket", "state", "seq", "expires_in", "user", "token", "token_type", "token_expires_in")
	requireRange(t, "expires_in", v["expires_in"], 55, 60)
	requireRange(t, "token_expires_in", v["token_expires_in"], 295, 300)
	if v["token_type"] != "Bearer" || v["ticket"] != p.id || !equal(v["user"], user) {
		t.Errorf("view %v", v)
	}

	l.send(t, `{"ack":3}`)
	fields(t, l.expect(t, "consumed", 4), "ticket", "state", "seq")
	l.requireClose(t, websocket.StatusNormalClosure)
}

func TestSocket_UnknownText(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := ticketIn(t, s, "confirmed")
	l := p.dial(t)
	l.expect(t, "confirmed", 3)
	for _, text := range []string{"", "ping", "{}", "[]", "null", `{"ack":"3"}`, `{"ack":null}`, `{"ack":3.5}`, `{"acknowledge":3}`,
		`{"ack":2}`, `{"ack":4}`, `{"ack":-3}`, `{"ack":99999999999999999999}`, "{\"ack\":3", `{"ack":3}x`, strings.Repeat("x", 1024)} {
		l.send(t, text)
	}
	p.requireState(t, "confirmed", 3)
	l.send(t, `{"more":[1],"ack":3}`)
	l.expect(t, "consumed", 4) // no other message came before it
	l.requireClose(t, websocket.StatusNormalClosure)
}

func TestSocket_EarlyAck(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	l := p.dial(t)
	l.expect(t, "pending", 1)
	l.send(t, `{"ack":1}`)
	l.send(t, `{"ack":2}`)
	next := make(chan []byte, 1)
	go func() {
		_, text, _ := l.conn.Read(s.stepContext(t))
		next <- text
	}()
	must(t, l.conn.Ping(s.stepContext(t))) // the acks are processed before the pong
	s.phone("ann").mustDo(t, p, "confirm")
	if v := object(t, <-next); v["state"] != "confirmed" || v["seq"] != 2.0 {
		t.Errorf("view %v", v)
	}
	p.requireState(t, "confirmed", 2)
}

func TestSocket_MessageTooLarge(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for _, size := range []int{1025, 4096, 64 << 10} {
		for range 10 {
			p := s.createTicket(t, nil)
			l := p.dial(t)
			l.expect(t, "pending", 1)
			// The hub may close before it has read everything.
			l.conn.Write(s.stepContext(t), websocket.MessageText, []byte(strings.Repeat("x", size)))
			l.requireClose(t, websocket.StatusMessageTooBig)
		}
	}
	hubtest.Eventually(t, stepTimeout, "all waiters have left", func() bool { return s.hub.Waiting() == 0 })
}

func TestSocket_Binary(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for _, data := range [][]byte{nil, {1}, []byte(`{"ack":3}`)} {
		p := ticketIn(t, s, "confirmed")
		l := p.dial(t)
		l.expect(t, "confirmed", 3)
		must(t, l.conn.Write(s.stepContext(t), websocket.MessageBinary, data))
		l.requireClose(t, websocket.StatusPolicyViolation)
		p.requireState(t, "confirmed", 3)
	}
}

func TestSocket_MessageRate(t *testing.T) {
	runSynctest(t, options{}, func(t *testing.T, s *testServer) {
		p := s.createTicket(t, nil)
		l := p.dial(t)
		l.expect(t, "pending", 1)
		views := make(chan error, 1)
		go func() { // a pipe blocks until heartbeats are read
			for {
				if _, _, err := l.conn.Read(context.Background()); err != nil {
					views <- err
					return
				}
			}
		}()
		for range 20 {
			l.send(t, "x")
		}
		advance(61 * time.Second)
		for range 20 {
			l.send(t, "x")
		}
		advance(time.Second)
		select {
		case err := <-views:
			t.Fatalf("closed after 20 a minute: %v", err)
		default:
		}
		l.send(t, "x")
		if err := <-views; websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
			t.Errorf("closed with %v", err)
		}
	})
}
