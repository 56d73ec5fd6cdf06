package apitest_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"loginhub/api"
	"loginhub/api/gate"
	"loginhub/hub/client"
	"loginhub/hub/provider"
)

const (
	siteA = "https://a.example"
	siteB = "https://b.example:8443"
	evil  = "https://evil.example"

	shell     = "capacitor://localhost"
	extension = "chrome-extension://abcdefghijklmnopabcdefghijklmnop"
)

// startTwoClients starts a server with two clients, each with origins of its own.
func startTwoClients(t *testing.T) *testServer {
	return start(t, options{clients: []*client.Client{
		{ID: "a", Origins: []string{siteA}}, {ID: "b", Origins: []string{siteB, "http://localhost:3000", shell, extension, "https://[::1]:8443"}}}})
}

// checkCORS checks the CORS headers for an allowed origin; "" requires none.
func checkCORS(t *testing.T, a *answer, origin string) {
	t.Helper()
	if got := a.header.Values("Access-Control-Allow-Origin"); origin == "" && len(got) > 0 ||
		origin != "" && !slices.Equal(got, []string{origin}) {
		t.Errorf("Access-Control-Allow-Origin %q, want %q", got, origin)
	}
	if !strings.Contains(strings.ToLower(strings.Join(a.header.Values("Vary"), ",")), "origin") {
		t.Error("caches may mix up origins: no Vary")
	}
	exposed := strings.EqualFold(a.header.Get("Access-Control-Expose-Headers"), "Retry-After")
	if exposed != (origin != "") {
		t.Errorf("exposed %q to %q", a.header.Get("Access-Control-Expose-Headers"), origin)
	}
	if a.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Error("cookies are allowed")
	}
}

func TestOrigin_PerClient(t *testing.T) {
	t.Parallel()
	s := startTwoClients(t)
	for _, c := range []struct {
		origin string
		client string // the client that allows it
	}{
		{siteA, "a"}, {siteB, "b"}, {"http://localhost:3000", "b"}, {evil, ""}, {"null", ""}, {public, "both"},
		{shell, "b"}, {extension, "b"}, {"https://[::1]:8443", "b"},
		{"capacitor://localhost:8080", ""}, {"ionic://localhost", ""}, {"Capacitor://localhost", ""}, {"capacitor://", ""}, {"http://localhost", ""}, {"file://", ""},
		{"chrome-extension://bbcdefghijklmnopabcdefghijklmnop", ""}, {strings.ToUpper(extension), ""}, {extension + "/", ""},
		{"", ""}, // the header is sent and empty
		{"https://a.example:443", ""}, {"http://a.example", ""}, {"https://a.example/", ""}, {"https://b.example", ""},
		{"https://a.example.evil.example", ""}, {"https://evil-a.example", ""}, {"https://sub.a.example", ""}, {"*", ""},
		{"https://a.example, https://evil.example", ""}, {"HTTPS://A.EXAMPLE", ""}, {"https://a.example\u200b", ""},
	} {
		t.Run(c.origin, func(t *testing.T) {
			for _, id := range []string{"a", "b"} {
				p := s.createTicket(t, map[string]string{"client_id": id})
				allowed := c.client == id || c.client == "both"
				answers := map[string]*answer{
					"make": s.ask(t, "POST", ticketsPath, map[string]string{"client_id": id}, "Origin", c.origin),
					"poll": p.poll(t, "wait=0", "Origin", c.origin),
					"ack":  p.ack(t, 1, "Origin", c.origin),
				}
				answers["cancel"] = s.createTicket(t, map[string]string{"client_id": id}).cancel(t, "Origin", c.origin)
				good := map[string]int{"make": 201, "poll": 200, "ack": 409, "cancel": 200}
				for name, a := range answers {
					if !allowed {
						a.problem(t, 403, "origin_not_allowed")
					} else if a.status != good[name] {
						t.Errorf("%s: %d", name, a.status)
					}
					checkCORS(t, a, readable(c.origin)) // the page can read why it is refused
				}
				if c.origin == "" {
					continue // dial would send no header
				}
				socket := p.tryHandshake(t, "Origin", c.origin)
				if !allowed {
					socket.problem(t, 403, "origin_not_allowed")
				} else if socket.status != http.StatusSwitchingProtocols {
					t.Errorf("socket: %d", socket.status)
				}
			}
		})
	}
}

// readable returns the origin that the answers to it name: "" for what no browser sends.
func readable(origin string) string {
	if origin == "null" || !strings.Contains(origin, "://") || strings.Contains(origin, ",") {
		return ""
	}
	return origin
}

func TestOrigin_RefusalNamesIt(t *testing.T) {
	t.Parallel()
	s := start(t, options{clients: []*client.Client{{ID: "a", Origins: []string{siteA}}}})
	p := s.createTicket(t, nil)
	for range 3 {
		for _, a := range []*answer{s.ask(t, "POST", ticketsPath, nil, "Origin", evil), p.poll(t, "wait=0", "Origin", evil), p.ack(t, 2, "Origin", evil)} {
			a.problem(t, 403, "origin_not_allowed")
			if !strings.Contains(string(a.body), "Add "+evil+" to the origins of client a") {
				t.Errorf("the detail does not say what to write: %s", a.body)
			}
		}
	}
	lines := auditLines(s)
	if last := lines[len(lines)-1]; last["client"] != "a" || !strings.Contains(last["reason"], evil) {
		t.Errorf("the audit line %v does not name origin and client", last)
	}
	if n := strings.Count(s.log.String(), "origin="+evil+" client=a"); n != 1 {
		t.Errorf("%d log lines for one origin", n)
	}
	for i := range 110 {
		s.ask(t, "POST", ticketsPath, nil, "Origin", fmt.Sprintf("https://n%d.example", i)).problem(t, 403, "origin_not_allowed")
	}
	if n := strings.Count(s.log.String(), "code=origin_not_allowed origin="); n != 100 {
		t.Errorf("%d log lines for a flood", n)
	}
}

func TestOrigin_SandboxLoopback(t *testing.T) {
	t.Parallel()
	for _, sandbox := range []bool{true, false} {
		s := start(t, options{api: func(c *api.Config) { c.Reloadable.Sandbox, c.OwnOrigins = sandbox, []string{"http://localhost:8080"} }})
		for origin, everywhere := range map[string]bool{"http://localhost:8080": true, "http://localhost": false, "https://localhost:3000": false,
			"http://127.0.0.1:5173": false, "http://[::1]:3000": false} {
			if a := s.ask(t, "POST", ticketsPath, nil, "Origin", origin); (a.status == 201) != (everywhere || sandbox) {
				t.Errorf("sandbox %v, %s: %d", sandbox, origin, a.status)
			}
		}
		for _, origin := range []string{"http://localhost.evil.example:3000", "http://localhost:3000.evil.example", "http://evil.example/localhost", "ftp://localhost", "http://127.0.0.2", "null"} {
			s.ask(t, "POST", ticketsPath, nil, "Origin", origin).problem(t, 403, "origin_not_allowed")
		}
	}
}

func TestOrigin_RejectsMultiple(t *testing.T) {
	t.Parallel()
	s := startTwoClients(t)
	p := s.createTicket(t, map[string]string{"client_id": "a"})
	p.poll(t, "wait=0", "Origin", siteA, "Origin", evil).problem(t, 403, "origin_not_allowed")
	p.poll(t, "wait=0", "Origin", evil, "Origin", siteA).problem(t, 403, "origin_not_allowed")
}

func TestOrigin_Absent(t *testing.T) {
	t.Parallel()
	s := startTwoClients(t)
	p := s.createTicket(t, map[string]string{"client_id": "a"})
	checkCORS(t, p.poll(t, "wait=0"), "")
	p.dial(t).expect(t, "pending", 1)
	p.ack(t, 1).problem(t, 409, "not_confirmed")
	p.poll(t, "wait=56").problem(t, 400, "invalid_request")
}

func TestOrigin_NoneConfigured(t *testing.T) {
	t.Parallel()
	s := start(t, options{clients: []*client.Client{{ID: "cli"}}})
	p := s.createTicket(t, nil)
	p.poll(t, "wait=0", "Origin", "null").problem(t, 403, "origin_not_allowed")
	p.requireState(t, "pending", 1)
}

func TestPreflight_EveryOrigin(t *testing.T) {
	t.Parallel()
	s := startTwoClients(t)
	p := s.createTicket(t, map[string]string{"client_id": "a"})
	for _, path := range []string{ticketsPath, p.path("ws"), p.path("poll"), p.path("ack"), p.path("cancel")} {
		ask := func(origin string) *answer {
			return s.ask(t, "OPTIONS", path, nil, "Origin", origin,
				"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,baggage,content-type,sentry-trace")
		}
		for _, origin := range []string{siteA, siteB, shell, extension, evil, "http://localhost:3000", "https://\u200bx.example"} {
			a := ask(origin)
			a.noContent(t)
			checkCORS(t, a, origin)
			if allowed := strings.Split(a.header.Get("Access-Control-Allow-Headers"), ", "); !slices.Equal(allowed[:2], []string{"Authorization", "Content-Type"}) {
				t.Errorf("%s: allowed headers %q", path, allowed)
			}
			if a.header.Get("Access-Control-Max-Age") != "600" {
				t.Errorf("%s: Max-Age %q", path, a.header.Get("Access-Control-Max-Age"))
			}
		}
		s.ask(t, "OPTIONS", path, nil).noContent(t) // without an Origin
		for _, origin := range []string{"null", "", siteA + ", " + evil} {
			a := ask(origin)
			a.problem(t, 403, "origin_not_allowed")
			checkCORS(t, a, "")
			if a.header.Get("Access-Control-Allow-Headers") != "" {
				t.Errorf("%s: headers are allowed to %q", path, origin)
			}
		}
	}
}

// One forbidden header fails the whole preflight. Headers of proxies and of identity
// stay forbidden: a page must not set them.
func TestPreflight_AllowsTracingHeaders(t *testing.T) {
	t.Parallel()
	s := startTwoClients(t)
	a := s.ask(t, "OPTIONS", ticketsPath, nil, "Origin", siteA, "Access-Control-Request-Method", "POST")
	allowed := strings.Split(strings.ToLower(a.header.Get("Access-Control-Allow-Headers")), ", ")
	tracing := strings.Fields(`baggage sentry-trace traceparent tracestate newrelic b3 uber-trace-id elastic-apm-traceparent x-request-id x-correlation-id
		x-b3-traceid x-b3-spanid x-b3-parentspanid x-b3-sampled x-b3-flags x-amzn-trace-id x-cloud-trace-context request-id request-context sw8
		x-datadog-trace-id x-datadog-parent-id x-datadog-origin x-datadog-sampling-priority`)
	sent := []string{"Origin", siteA}
	for _, name := range tracing {
		if !slices.Contains(allowed, name) {
			t.Errorf("%s is not allowed", name)
		}
		sent = append(sent, name, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	}
	for _, name := range []string{"*", "cookie", "x-forwarded-for", "x-real-ip", "forwarded", "origin", "host", "x-http-method-override"} {
		if slices.Contains(allowed, name) {
			t.Errorf("%s is allowed", name)
		}
	}
	s.ask(t, "POST", ticketsPath, map[string]string{"client_id": "a"}, sent...).ok(t, http.StatusCreated)
}

func TestPreflight_NoSecret(t *testing.T) {
	t.Parallel()
	s := startTwoClients(t)
	id, _ := unknownTicket()
	gone := &browser{s: s, id: id}
	s.ask(t, "OPTIONS", gone.path("poll"), nil, "Origin", siteA, "Access-Control-Request-Method", "GET").noContent(t)
}

func TestOrigin_PhoneEndpoints(t *testing.T) {
	t.Parallel()
	s := startTwoClients(t)
	for _, origin := range []string{evil, siteA, "null", "https://servicewechat.com"} {
		for _, action := range []string{"scan", "confirm", "reject"} {
			p := s.createTicket(t, map[string]string{"client_id": "a"})
			a := s.ask(t, "POST", p.path(action), s.phone("ann").body(), "Origin", origin)
			a.ok(t, http.StatusOK)
			noCORS(t, a)
			// If a page could read this answer, any site could use a phone's code.
			noCORS(t, s.ask(t, "POST", p.path(action), "{", "Origin", origin))
			a = s.ask(t, "OPTIONS", p.path(action), nil, "Origin", origin, "Access-Control-Request-Method", "POST")
			noCORS(t, a)
			a.problem(t, http.StatusMethodNotAllowed, "method_not_allowed")
		}
	}
}

func TestPreflight_Routes(t *testing.T) {
	t.Parallel()
	s := startTwoClients(t)
	p := s.createTicket(t, map[string]string{"client_id": "a"})
	for path, allow := range map[string]string{
		p.path("scan"): "POST", p.path("confirm"): "POST", p.path("reject"): "POST",
		p.path("qr.svg"): "GET, HEAD", p.path("qr.png"): "GET, HEAD", "/.well-known/jwks.json": "GET, HEAD", "/healthz": "GET, HEAD",
	} {
		for _, method := range []string{"OPTIONS", "PUT"} {
			a := s.ask(t, method, path, nil, "Origin", siteA, "Access-Control-Request-Method", "GET")
			a.problem(t, http.StatusMethodNotAllowed, "method_not_allowed")
			if got := a.header.Get("Allow"); got != allow {
				t.Errorf("%s %s: Allow %q, want %q", method, path, got, allow)
			}
		}
	}
	for _, path := range []string{"/", "/s/" + string(p.id)} { // their errors are HTML
		if a := s.ask(t, "OPTIONS", path, nil); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("OPTIONS %s: %d, Allow %q", path, a.status, a.header.Get("Allow"))
		}
	}
	if a := s.ask(t, "PUT", p.path("poll"), nil); a.header.Get("Allow") != "OPTIONS, GET" {
		t.Errorf("PUT on a poll: Allow %q", a.header.Get("Allow"))
	}
}

func noCORS(t *testing.T, a *answer) {
	t.Helper()
	for name := range a.header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("status %d with %s: %s", a.status, name, a.header.Get(name))
		}
	}
}

func TestOrigin_JWKS(t *testing.T) {
	t.Parallel()
	s := startTwoClients(t)
	a := s.ask(t, "GET", "/.well-known/jwks.json", nil, "Origin", evil)
	a.ok(t, http.StatusOK)
	if a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("a site's script may not read the keys")
	}
	if got := a.header.Get("Cache-Control"); !strings.Contains(got, "max-age=300") {
		t.Errorf("Cache-Control %q", got)
	}
}

// Nodes are reloaded one after the other. A node that does not have a ticket's client
// yet answers 503, which a client retries.
func TestReload_UnknownClientIs503(t *testing.T) {
	t.Parallel()
	s := startTwoClients(t)
	both := []*client.Client{{ID: "a", Origins: []string{siteA}}, {ID: "b", Origins: []string{siteB}}}
	sandbox := map[string]provider.Exchanger{"sandbox": sandboxProvider()}
	sites := map[string]gate.LoginMethods{"b": {Providers: map[string]provider.Exchanger{"sandbox": sandbox["sandbox"], "app": sandbox["sandbox"]}, QR: "https://b.example/{ticket}"}}
	s.server.Reload(gate.Reloadable{Signer: s.signer, Clients: both, Providers: sandbox, LoginMethods: sites})
	p := s.createTicket(t, map[string]string{"client_id": "b"})
	away := func(what string, a *answer) {
		t.Helper()
		t.Log(what)
		a.problem(t, 503, "store_unavailable")
	}
	s.server.Reload(gate.Reloadable{Signer: s.signer, Clients: both[:1], Providers: sandbox})
	for _, action := range []string{"scan", "confirm", "reject"} {
		for _, provider := range []string{"sandbox", "app"} { // this node does not have app either
			away(action+" by "+provider, s.ask(t, "POST", p.path(action), map[string]string{"provider": provider, "code": s.phone("ann").code()}))
		}
	}
	for _, origin := range []string{siteA, siteB} {
		away("poll", s.ask(t, "GET", p.path("poll"), nil, "Authorization", "Bearer "+p.secret, "Origin", origin))
		away("ack", s.ask(t, "POST", p.path("ack"), map[string]int{"seq": 2}, "Authorization", "Bearer "+p.secret, "Origin", origin))
		away("socket", p.tryHandshake(t, "Origin", origin))
	}
	away("picture", s.ask(t, "GET", p.path("qr.svg?client_id=b"), nil))
	away("picture", s.ask(t, "GET", p.path("qr.png?client_id=b"), nil))
	s.ask(t, "GET", p.path("qr.svg?client_id=c"), nil).problem(t, 503, "store_unavailable") // the client of this ticket is unknown here
	s.ask(t, "POST", "/api/login/tickets", map[string]string{"client_id": "b"}).problem(t, 400, "invalid_request")
	// Requests for known clients are refused as usual.
	own := s.createTicket(t, map[string]string{"client_id": "a"})
	s.ask(t, "GET", own.path("qr.svg?client_id=b"), nil).problem(t, 400, "invalid_request")
	s.ask(t, "POST", own.path("scan"), map[string]string{"provider": "app", "code": "x"}).problem(t, 400, "invalid_request")
	s.server.Reload(gate.Reloadable{Signer: s.signer, Clients: both, Providers: sandbox, LoginMethods: sites})
	p.requireState(t, "pending", 1)
	s.phone("ann").mustDo(t, p, "scan")
}

// The new origins also apply to tickets that already exist.
func TestReload_OriginsNextRequest(t *testing.T) {
	t.Parallel()
	s := startTwoClients(t)
	p := s.createTicket(t, map[string]string{"client_id": "b"})
	poll := func(origin string) *answer {
		return s.ask(t, "GET", p.path("poll?wait=0"), nil, "Authorization", "Bearer "+p.secret, "Origin", origin)
	}
	poll(siteB).ok(t, 200)
	s.server.Reload(gate.Reloadable{Signer: s.signer, Clients: []*client.Client{{ID: "b", Origins: []string{evil}}},
		Providers: map[string]provider.Exchanger{"sandbox": sandboxProvider()}})
	poll(siteB).problem(t, 403, "origin_not_allowed")
	a := poll(evil)
	a.ok(t, 200)
	if a.header.Get("Access-Control-Allow-Origin") != evil {
		t.Errorf("the new origin may not read the answer: %v", a.header)
	}
}
