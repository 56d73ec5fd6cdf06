package apitest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"loginhub/hub"
	"loginhub/hub/client"
	"loginhub/hub/hubtest"
	"loginhub/hub/provider"
)

// errorProvider returns a provider that answers each user name with an error of its own.
func errorProvider() *fakeProvider {
	return &fakeProvider{exchange: func(_ context.Context, name string) (provider.Identity, error) {
		const inside = "appsecret=hunter22 openid=o-victim"
		switch name {
		case "code":
			return provider.Identity{}, fmt.Errorf("%s: %w", inside, provider.ErrCodeInvalid)
		case "blocked":
			return provider.Identity{}, fmt.Errorf("%s: %w", inside, provider.ErrUserBlocked)
		case "misconfigured":
			return provider.Identity{}, fmt.Errorf("%s: %w", inside, provider.ErrProviderMisconfigured)
		case "unavailable":
			return provider.Identity{}, fmt.Errorf("%s: %w", inside, provider.ErrProviderUnavailable)
		case "later":
			return provider.Identity{}, &provider.RetryError{After: 61500 * time.Millisecond,
				Err: fmt.Errorf("%s: %w", inside, provider.ErrProviderUnavailable)}
		case "guest":
			return provider.Identity{}, fmt.Errorf("%s: %w", inside, provider.ErrGuest)
		case "incomplete":
			return provider.Identity{}, fmt.Errorf("%s: %w", inside, provider.ErrIdentityIncomplete)
		case "bug":
			return provider.Identity{}, errors.New(inside)
		case "panic":
			panic(inside)
		case "range":
			return provider.Identity{}, []error{}[len(name):][0] // a runtime panic
		}
		return provider.Identity{Provider: "wechat", Realm: "wx1", Subject: "o-" + name}, nil
	}}
}

func TestErrors_Provider(t *testing.T) {
	t.Parallel()
	site := demo()
	site.Subject = provider.SubjectUnionID
	s := start(t, options{clients: []*client.Client{site}, providers: map[string]provider.Exchanger{"wechat": errorProvider()}})
	for _, c := range []struct {
		name   string
		status int
		code   string
		retry  string // the smallest allowed Retry-After; "" for none
	}{
		{"code", 422, "code_invalid", ""},
		{"blocked", 403, "user_blocked", ""},
		{"misconfigured", 502, "provider_misconfigured", ""},
		{"unavailable", 503, "provider_unavailable", "1"},
		{"later", 503, "provider_unavailable", "62"}, // the delay of the provider, rounded up
		{"bug", 500, "internal_error", ""},
		{"panic", 500, "internal_error", ""},
		{"range", 500, "internal_error", ""},
		{"ann", 403, "identity_incomplete", ""}, // has no unionid
	} {
		for _, action := range []string{"scan", "confirm", "reject"} {
			if c.name == "ann" && action == "reject" {
				continue // a reject does not need a unionid
			}
			t.Run(c.name+" at "+action, func(t *testing.T) {
				p := s.createTicket(t, nil)
				a := (&phone{s, "wechat", c.name}).do(t, p, action)
				a.problem(t, c.status, c.code)
				retryAfter(t, a, c.retry)
				for _, inside := range []string{"hunter22", "o-victim", "goroutine", ".go:", "out of range"} {
					if strings.Contains(string(a.body), inside) {
						t.Errorf("the answer shows %q: %s", inside, a.body)
					}
				}
				p.requireState(t, "pending", 1)
			})
		}
	}
	if !strings.Contains(s.log.String(), "provider_misconfigured") {
		t.Error("the log has no line for the operator")
	}
}

// retryAfter requires a Retry-After of at least that many seconds; "" requires none.
func retryAfter(t *testing.T, a *answer, least string) {
	t.Helper()
	got := a.header.Get("Retry-After")
	if least == "" {
		if got != "" {
			t.Errorf("unexpected Retry-After %q", got)
		}
		return
	}
	n, err := strconv.Atoi(got)
	want, _ := strconv.Atoi(least)
	if err != nil || n < want || n > want+60 {
		t.Errorf("Retry-After %q, want %s seconds or a little more", got, least)
	}
}

func TestErrors_InternalErrorID(t *testing.T) {
	t.Parallel()
	s := start(t, options{providers: map[string]provider.Exchanger{"wechat": errorProvider()}})
	seen := map[string]bool{}
	for _, name := range []string{"bug", "panic", "panic"} {
		detail := (&phone{s, "wechat", name}).do(t, s.createTicket(t, nil), "scan").problem(t, 500, "internal_error")
		id := detail[strings.LastIndex(detail, " ")+1:]
		if !requestID.MatchString(id) || seen[id] || !strings.Contains(s.log.String(), id) {
			t.Errorf("the id of %q is not in the log, or not new", detail)
		}
		seen[id] = true
	}
	if !strings.Contains(s.log.String(), "errors_test.go") {
		t.Error("the log has no stack of the panic")
	}
	s.createTicket(t, nil) // the node keeps running
}

func TestErrors_StoreUnavailable(t *testing.T) {
	t.Parallel()
	site := demo()
	site.Secret = hashOf(rpSecret)
	s := start(t, options{clients: []*client.Client{site}, redis: "redis://127.0.0.1:" + hubtest.FreePort(t) + "/0", unready: true})
	id, secret := unknownTicket()
	p := &browser{s: s, id: id, secret: secret}
	ws := handshake("Sec-WebSocket-Protocol", "loginhub.v1, loginhub.secret."+secret)
	for name, ask := range map[string]func() *answer{
		"create":            func() *answer { return s.ask(t, "POST", ticketsPath, nil) },
		"poll":              func() *answer { return p.poll(t, "wait=5") },
		"poll without wait": func() *answer { return p.poll(t, "wait=0") },
		"ack":               func() *answer { return p.ack(t, 3) },
		"cancel":            func() *answer { return p.cancel(t) },
		"remember":          func() *answer { return s.ask(t, "POST", p.path("remember"), nil, p.bearer()...) },
		"exchange":          func() *answer { return s.redeemCode(t, "demo", id+"."+secret) },
		"socket":            func() *answer { return s.ask(t, "GET", p.path("ws"), nil, ws...) },
		"scan":              func() *answer { return s.phone("ann").do(t, p, "scan") },
		"confirm":           func() *answer { return s.phone("ann").do(t, p, "confirm") },
		"reject":            func() *answer { return s.phone("ann").do(t, p, "reject") },
		"ready":             func() *answer { return s.ask(t, "GET", "/readyz", nil) },
	} {
		a := ask()
		if a.problem(t, 503, "store_unavailable"); t.Failed() {
			t.Errorf("at %s", name)
		}
		retryAfter(t, a, "1")
		if strings.Contains(string(a.body), "127.0.0.1") || strings.Contains(string(a.body), "refused") {
			t.Errorf("%s: the answer reveals internals: %s", name, a.body)
		}
	}
	// Requests that need no Redis still work.
	s.ask(t, "GET", "/healthz", nil).ok(t, http.StatusOK)
	s.ask(t, "GET", "/.well-known/jwks.json", nil).ok(t, http.StatusOK)
	for _, path := range []string{"/", "/s/" + id, p.path("qr.svg"), p.path("qr.png")} {
		if a := s.ask(t, "GET", path, nil); a.status != http.StatusOK {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

func TestErrors_Overloaded(t *testing.T) {
	t.Parallel()
	s := start(t, options{hub: func(c *hub.Config) { c.MaxWaiters = 1 }})
	p, q := s.createTicket(t, nil), s.createTicket(t, nil)
	l := p.dial(t)
	l.expect(t, "pending", 1)
	a := q.poll(t, "after=1&wait=5")
	a.problem(t, 503, "overloaded")
	retryAfter(t, a, "1")
	a = s.ask(t, "GET", q.path("ws"), nil, handshake("Sec-WebSocket-Protocol", "loginhub.v1, loginhub.secret."+q.secret)...)
	a.problem(t, 503, "overloaded")
	retryAfter(t, a, "1")
	// Requests that do not wait are still served.
	q.requireState(t, "pending", 1)
	s.phone("ann").mustDo(t, p, "confirm")
	l.expect(t, "confirmed", 2)
	l.send(t, `{"ack":2}`)
	l.expect(t, "consumed", 3)
	l.requireClose(t, 1000)
	hubtest.Eventually(t, stepTimeout, "the waiter has left", func() bool { return s.hub.Waiting() == 0 })
	q.dial(t).expect(t, "pending", 1)
}

func TestErrors_NotFound(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	for _, path := range []string{"/nothing", "/api/", "/api/login", "/api/login/", "/api/login/tickets/" + p.id, "/api/v2",
		p.path(""), p.path("token"), p.path("qr.gif"), p.path("ws/"), p.path("poll/more"), "//", "/healthz/x",
		"/metrics", "/debug/pprof/", "/.well-known/", "/.well-known/openid-configuration", "/assets", "/api/login/tickets/"} {
		s.ask(t, "GET", path, nil).problem(t, 404, "not_found")
	}
	s.ask(t, "DELETE", ticketsPath+"/"+p.id, nil).problem(t, 404, "not_found")
	s.ask(t, "POST", p.path("approve"), "{}").problem(t, 404, "not_found")
	p.requireState(t, "pending", 1)
}

func TestErrors_MethodNotAllowed(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	p := s.createTicket(t, nil)
	for path, allow := range map[string]string{
		ticketsPath: "POST", p.path("ws"): "GET", p.path("poll"): "GET", p.path("ack"): "POST", p.path("cancel"): "POST",
		p.path("scan"): "POST", p.path("confirm"): "POST", p.path("reject"): "POST",
		p.path("qr.svg"): "GET", p.path("qr.png"): "GET", "/.well-known/jwks.json": "GET", "/healthz": "GET", "/readyz": "GET",
		"/assets/page/base.css": "GET", "/": "GET", "/s/" + p.id: "GET",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "BREW"} {
			if method == allow {
				continue
			}
			t.Run(method+" "+path, func(t *testing.T) {
				a := s.ask(t, method, path, nil)
				if wantsHTML(path) {
					if a.status != 405 {
						t.Errorf("status %d, want 405", a.status)
					}
				} else {
					a.problem(t, 405, "method_not_allowed")
				}
				list := strings.Split(strings.ReplaceAll(a.header.Get("Allow"), " ", ""), ",")
				if !slices.Contains(list, allow) || slices.Contains(list, method) {
					t.Errorf("Allow: %q, want %s", a.header.Get("Allow"), allow)
				}
			})
		}
	}
	p.requireState(t, "pending", 1)
}

// A browser gets a page in its language for an address that does not exist. What programs
// call stays JSON.
func TestErrors_Negotiated(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for call, status := range map[string]int{"GET /nothing": 404, "GET /docs/x": 404, "POST /docs": 405, "DELETE /s/x": 405, "GET /api": 404} {
		method, path, _ := strings.Cut(call, " ")
		a := s.ask(t, method, path, nil, "Accept", acceptHTML, "Accept-Language", "ja, en;q=0.5")
		if a.status != status || a.header.Get("Content-Type") != "text/html; charset=UTF-8" || !strings.Contains(string(a.body), `<html lang="ja"`) {
			t.Errorf("%s: %d as %q, want %d as HTML in Japanese", call, a.status, a.header.Get("Content-Type"), status)
		}
		if !strings.HasPrefix(path, "/s/") {
			for _, accept := range []string{"*/*", "application/json", "text/html;q=0, */*"} {
				if got := s.ask(t, method, path, nil, "Accept", accept); got.status != status || got.header.Get("Content-Type") != "application/problem+json" {
					t.Errorf("%s for %s: %d as %q", call, accept, got.status, got.header.Get("Content-Type"))
				}
			}
		}
	}
	for _, path := range []string{"/api/x", ticketsPath, "/.well-known/x", "/oauth2/x", "/assets/no.js", "/healthz/x", "/readyz/x", "/openapi.x", "/asyncapi.x", "/client.x"} {
		if a := s.ask(t, "GET", path, nil, "Accept", acceptHTML); a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d as %q", path, a.status, a.header.Get("Content-Type"))
		}
	}
}

func TestErrors_HTMLPage(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for path, status := range map[string]int{"/?client_id=nobody": 400, "/?client_id=%3Cscript%3E": 400,
		"/s/AAAA": 404, "/s/AAAA/": 404, "/s/": 404, "/s//": 404, "/s/AAAAAAAAAAAAAAAAAAAAAA//": 404, "/s/AAAAAAAAAAAAAAAAAAAAA.": 404, "/s/AAAAAAAAAAAAAAAAAAAAAA/more": 404} {
		a := s.ask(t, "GET", path, nil)
		if a.status != status || a.header.Get("Content-Type") != "text/html; charset=UTF-8" {
			t.Errorf("%s: %d as %q, want %d as HTML", path, a.status, a.header.Get("Content-Type"), status)
		}
		if a.header.Get("Content-Security-Policy") == "" || strings.Contains(string(a.body), "<script>") {
			t.Errorf("%s: an unsafe page: %s", path, a.body)
		}
	}
}
