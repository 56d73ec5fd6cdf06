package apitest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// tryHandshake sends a handshake without a WebSocket library. Headers in more replace
// the valid ones; "" removes one.
func (p *browser) tryHandshake(t *testing.T, more ...string) *answer {
	t.Helper()
	h := map[string][]string{"Sec-Websocket-Protocol": {"loginhub.v1, loginhub.secret." + p.secret}}
	good := handshake()
	for i := 0; i < len(good); i += 2 {
		h[http.CanonicalHeaderKey(good[i])] = []string{good[i+1]}
	}
	over := map[string]bool{}
	for i := 0; i < len(more); i += 2 {
		name := http.CanonicalHeaderKey(more[i])
		if !over[name] {
			over[name], h[name] = true, nil
		}
		if more[i+1] != "" {
			h[name] = append(h[name], more[i+1])
		}
	}
	var flat []string
	for name, values := range h {
		for _, v := range values {
			flat = append(flat, name, v)
		}
	}
	return p.s.ask(t, "GET", p.path("ws"), nil, flat...)
}

func TestHandshake_RefusedBeforeUpgrade(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p, other := s.createTicket(t, nil), s.createTicket(t, nil)
	gone := &browser{s: s}
	gone.id, gone.secret = unknownTicket()
	mangled := &browser{s: s, id: "AAAA", secret: p.secret}
	const protocol = "Sec-WebSocket-Protocol"
	offer := func(list string) []string { return []string{protocol, list} }
	for _, c := range []struct {
		name   string
		page   *browser
		more   []string
		status int
		code   string
	}{
		{"no Connection", p, []string{"Connection", ""}, 426, "upgrade_required"},
		{"no Upgrade", p, []string{"Upgrade", ""}, 426, "upgrade_required"},
		{"an upgrade to h2c", p, []string{"Upgrade", "h2c"}, 426, "upgrade_required"},
		{"an old version", p, []string{"Sec-WebSocket-Version", "8"}, 426, "upgrade_required"},
		{"no version", p, []string{"Sec-WebSocket-Version", ""}, 426, "upgrade_required"},
		{"no key", p, []string{"Sec-WebSocket-Key", ""}, 400, "invalid_request"},
		{"a short key", p, []string{"Sec-WebSocket-Key", "AAECAwQ="}, 400, "invalid_request"},
		{"key not base64", p, []string{"Sec-WebSocket-Key", "!!!!"}, 400, "invalid_request"},
		{"two keys", p, []string{"Sec-WebSocket-Key", "AAECAwQFBgcICQoLDA0ODw==", "Sec-WebSocket-Key", "AAECAwQFBgcICQoLDA0ODw=="}, 400, "invalid_request"},
		{"no protocol at all", p, offer(""), 400, "invalid_request"},
		{"only the secret", p, offer("loginhub.secret." + p.secret), 400, "invalid_request"},
		{"another version of the protocol", p, offer("loginhub.v2, loginhub.secret." + p.secret), 400, "invalid_request"},
		{"a protocol in capitals", p, offer("LOGINHUB.V1, loginhub.secret." + p.secret), 400, "invalid_request"},
		{"no secret", p, offer("loginhub.v1"), 401, "invalid_secret"},
		{"an empty secret", p, offer("loginhub.v1, loginhub.secret."), 401, "invalid_secret"},
		{"a secret cut short", p, offer("loginhub.v1, loginhub.secret." + p.secret[:42]), 401, "invalid_secret"},
		{"a secret with more", p, offer("loginhub.v1, loginhub.secret." + p.secret + "A"), 401, "invalid_secret"},
		{"another ticket's secret", p, offer("loginhub.v1, loginhub.secret." + other.secret), 401, "invalid_secret"},
		{"the ticket as secret", p, offer("loginhub.v1, loginhub.secret." + p.id), 401, "invalid_secret"},
		{"the secret in a header", p, append(offer("loginhub.v1"), p.bearer()...), 401, "invalid_secret"},
		{"an unknown ticket", gone, nil, 404, "ticket_not_found"},
		{"a malformed ticket", mangled, nil, 404, "ticket_not_found"},
		{"a foreign origin", p, []string{"Origin", "https://evil.example"}, 403, "origin_not_allowed"},
		{"the origin null", p, []string{"Origin", "null"}, 403, "origin_not_allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := c.page.tryHandshake(t, c.more...)
			a.problem(t, c.status, c.code)
			if strings.Contains(string(a.body), p.secret) || strings.Contains(fmt.Sprint(a.header), p.secret) {
				t.Error("the answer repeats the secret")
			}
			if a.header.Get("Sec-WebSocket-Accept") != "" {
				t.Error("Sec-WebSocket-Accept on an error")
			}
		})
	}
	if n := s.hub.Waiting(); n != 0 {
		t.Errorf("%d refused waiters are registered", n)
	}
}

func TestHandshake_PlainGet(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	// Go's client would treat these hop-by-hop headers as its own.
	a := s.raw(t, "GET "+p.path("ws")+" HTTP/1.1\r\nHost: x\r\n\r\n")
	a.problem(t, 426, "upgrade_required")
	if a.header.Get("Upgrade") != "websocket" || !strings.EqualFold(a.header.Get("Connection"), "upgrade") {
		t.Errorf("Upgrade %q, Connection %q (RFC 9110, 15.5.22)", a.header.Get("Upgrade"), a.header.Get("Connection"))
	}
	if a.header.Get("Sec-WebSocket-Version") != "13" {
		t.Errorf("Sec-WebSocket-Version is missing (RFC 6455, 4.4)")
	}
}

// HTTP/1.0 has no upgrade (RFC 9110, 7.8). The answer is an error of this API too.
func TestHandshake_HTTP10(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	request := "GET " + p.path("ws") + " HTTP/1.0\r\nHost: x\r\n"
	h := handshake("Sec-WebSocket-Protocol", "loginhub.v1, loginhub.secret."+p.secret)
	for i := 0; i < len(h); i += 2 {
		request += h[i] + ": " + h[i+1] + "\r\n"
	}
	a := s.raw(t, request+"\r\n")
	a.problem(t, 426, "upgrade_required")
}

func TestHandshake_HeaderLists(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	const protocol = "Sec-WebSocket-Protocol"
	for name, more := range map[string]func(p *browser) []string{
		"the other order": func(p *browser) []string { return []string{protocol, "loginhub.secret." + p.secret + ",loginhub.v1"} },
		"two lines": func(p *browser) []string {
			return []string{protocol, "loginhub.v1", protocol, "loginhub.secret." + p.secret}
		},
		"more on offer": func(p *browser) []string {
			return []string{protocol, "chat, loginhub.secret." + p.secret + " ,\tloginhub.v1, x"}
		},
		"Firefox's":   func(*browser) []string { return []string{"Connection", "keep-alive, Upgrade"} },
		"capitals":    func(*browser) []string { return []string{"Connection", "UPGRADE", "Upgrade", "WebSocket"} },
		"its origin":  func(*browser) []string { return []string{"Origin", site} },
		"compression": func(*browser) []string { return []string{"Sec-WebSocket-Extensions", "permessage-deflate"} },
	} {
		t.Run(name, func(t *testing.T) {
			p := s.createTicket(t, nil)
			a := p.tryHandshake(t, more(p)...)
			if a.status != http.StatusSwitchingProtocols {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			if got := a.header.Values(protocol); len(got) != 1 || got[0] != "loginhub.v1" {
				t.Errorf("selected %q", got)
			}
			// Compression next to a secret would reveal its length (as in CRIME).
			if got := a.header.Get("Sec-WebSocket-Extensions"); got != "" {
				t.Errorf("extensions %q", got)
			}
		})
	}
}
