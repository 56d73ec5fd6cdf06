package apitest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"testing"
)

// wrongSecrets returns wrong ways to send the secret of p. Package ticket tests its
// spelling.
func wrongSecrets(p, other *browser) map[string][]string {
	_, random := unknownTicket()
	h := func(v string) []string { return []string{"Authorization", v} }
	return map[string][]string{
		"none":                     nil,
		"an empty header":          h(""),
		"the scheme alone":         h("Bearer"),
		"the scheme and a blank":   h("Bearer "),
		"the secret alone":         h(p.secret),
		"another scheme":           h("Basic " + p.secret),
		"a longer scheme":          h("Bearers " + p.secret),
		"a random secret":          h("Bearer " + random),
		"another ticket's":         h("Bearer " + other.secret),
		"the ticket itself":        h("Bearer " + p.id),
		"cut short":                h("Bearer " + p.secret[:42]),
		"in quotes":                h(`Bearer "` + p.secret + `"`),
		"in a list":                h("Bearer " + p.secret + ", Bearer " + other.secret),
		"two headers, right first": append(h("Bearer "+p.secret), h("Bearer "+other.secret)...),
		"two headers, right last":  append(h("Bearer "+other.secret), h("Bearer "+p.secret)...),
		"two headers, both right":  append(h("Bearer "+p.secret), h("Bearer "+p.secret)...),
		"in a cookie":              {"Cookie", "secret=" + p.secret},
		"in the proxy's header":    {"Proxy-Authorization", "Bearer " + p.secret},
		"in the socket's header":   {"Sec-WebSocket-Protocol", "loginhub.v1, loginhub.secret." + p.secret},
	}
}

func TestSecret_Required(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	other := ticketIn(t, s, "confirmed")
	for _, state := range []string{"pending", "confirmed", "consumed"} {
		p := ticketIn(t, s, state)
		for name, headers := range wrongSecrets(p, other) {
			t.Run(state+", "+name, func(t *testing.T) {
				poll := s.ask(t, "GET", p.path("poll")+"?wait=0", nil, headers...)
				ack := s.ask(t, "POST", p.path("ack"), map[string]int{"seq": 3}, headers...)
				cancel := s.ask(t, "POST", p.path("cancel"), nil, headers...)
				for _, a := range []*answer{poll, ack, cancel} {
					a.problem(t, 401, "invalid_secret")
					if a.header.Get("WWW-Authenticate") == "" {
						t.Error("401 without WWW-Authenticate (RFC 9110, 15.5.2)")
					}
					all := append(fmt.Append(nil, a.header), a.body...)
					for _, inside := range []string{p.secret, other.secret, state, "eyJ", "nickname"} {
						if bytes.Contains(all, []byte(inside)) {
							t.Errorf("the answer shows %q: %s", inside, a.body)
						}
					}
				}
			})
		}
		p.requireState(t, state, seqIn[state])
	}
	if s.hub.Waiting() != 0 {
		t.Error("a request without the secret waits")
	}
}

// Without the secret, the answer does not reveal whether the ticket exists.
func TestSecret_WrongRevealsNothing(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	there, _ := s.createTicket(t, nil), s.createTicket(t, nil)
	gone := &browser{s: s}
	gone.id, _ = unknownTicket()
	_, wrong := unknownTicket()
	var answers []string
	for _, p := range []*browser{there, gone} {
		a := s.ask(t, "GET", p.path("poll"), nil, "Authorization", "Bearer "+wrong)
		a.problem(t, 401, "invalid_secret")
		answers = append(answers, idInError.ReplaceAllString(string(a.body), ""))
	}
	if answers[0] != answers[1] {
		t.Errorf("two answers: %q", answers)
	}
}

// idInError matches the only part of an error that differs between two equal requests.
var idInError = regexp.MustCompile(`"request_id":"[0-9a-f]{32}",`)

func TestSecret_SchemeCase(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "Bearer  "} {
		s.ask(t, "GET", p.path("poll"), nil, "Authorization", scheme+p.secret).ok(t, http.StatusOK)
	}
}

func TestSecret_InURL(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	for _, name := range []string{"secret", "access_token", "token", "authorization", "loginhub.secret"} {
		s.ask(t, "GET", p.path("poll")+"?"+name+"="+p.secret, nil).problem(t, 401, "invalid_secret")
	}
}

// The phone's endpoints need a code: the secret is not one.
func TestSecret_AsCode(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	s.ask(t, "POST", p.path("confirm"), map[string]string{"provider": "sandbox", "code": p.secret}, p.bearer()...).
		problem(t, 422, "code_invalid")
	p.requireState(t, "pending", 1)
}

func TestSecret_MalformedTicket(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	for name, id := range map[string]string{
		"short":    p.id[:21],
		"a dot":    p.id[:21] + ".",
		"a slash":  p.id[:10] + "%2F" + p.id[11:],
		"a NUL":    p.id[:21] + "%00",
		"a secret": p.secret,
		"padding":  p.id + "==",
	} {
		t.Run(name, func(t *testing.T) {
			bad := &browser{s: s, id: id, secret: p.secret}
			bad.poll(t, "wait=0").problem(t, 404, "ticket_not_found")
			bad.ack(t, 1).problem(t, 404, "ticket_not_found")
			bad.tryHandshake(t).problem(t, 404, "ticket_not_found")
			for _, image := range []string{"qr.svg", "qr.png"} {
				s.ask(t, "GET", bad.path(image), nil).problem(t, 404, "ticket_not_found")
			}
			for _, action := range []string{"scan", "confirm", "reject"} {
				s.phone("ann").do(t, bad, action).problem(t, 404, "ticket_not_found")
			}
			if a := s.ask(t, "GET", "/s/"+id, nil); a.status != 404 {
				t.Errorf("landing page: %d", a.status)
			}
		})
	}
	p.requireState(t, "pending", 1)
}
