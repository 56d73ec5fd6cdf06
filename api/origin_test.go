package api_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"loginhub/api"
	"loginhub/hub/ticket"
)

const (
	siteA = "https://a.example"
	siteB = "https://b.example:8443"
	evil  = "https://evil.example"

	shell     = "capacitor://localhost"
	extension = "chrome-extension://abcdefghijklmnopabcdefghijklmnop"
)

// neighbours is a stand with two clients, each with an origin of its own.
func neighbours(t *testing.T) *stand {
	return start(t, options{clients: []*ticket.Client{
		{ID: "a", Origins: []string{siteA}}, {ID: "b", Origins: []string{siteB, "http://localhost:3000", shell, extension, "https://[::1]:8443"}}}})
}

// tell are the CORS headers of an answer.
func tell(t *testing.T, a *answer, origin string) {
	t.Helper()
	if got := a.header.Values("Access-Control-Allow-Origin"); origin == "" && len(got) > 0 ||
		origin != "" && !slices.Equal(got, []string{origin}) {
		t.Errorf("Access-Control-Allow-Origin %q, wanted %q", got, origin)
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

func TestEveryClientHasItsOwnOrigins(t *testing.T) {
	t.Parallel()
	s := neighbours(t)
	for _, c := range []struct {
		origin string
		client string // whose list it is on
	}{
		{siteA, "a"}, {siteB, "b"}, {"http://localhost:3000", "b"}, {evil, ""}, {"null", ""}, {public, ""},
		{shell, "b"}, {extension, "b"}, {"https://[::1]:8443", "b"},
		{"capacitor://localhost:8080", ""}, {"ionic://localhost", ""}, {"Capacitor://localhost", ""}, {"capacitor://", ""}, {"http://localhost", ""}, {"file://", ""},
		{"chrome-extension://bbcdefghijklmnopabcdefghijklmnop", ""}, {strings.ToUpper(extension), ""}, {extension + "/", ""},
		{"", ""}, // sent, and empty
		{"https://a.example:443", ""}, {"http://a.example", ""}, {"https://a.example/", ""}, {"https://b.example", ""},
		{"https://a.example.evil.example", ""}, {"https://evil-a.example", ""}, {"https://sub.a.example", ""}, {"*", ""},
		{"https://a.example, https://evil.example", ""}, {"HTTPS://A.EXAMPLE", ""}, {"https://a.example\u200b", ""},
	} {
		t.Run(c.origin, func(t *testing.T) {
			for _, id := range []string{"a", "b"} {
				p := s.make(t, map[string]string{"client_id": id})
				allowed := c.client == id
				answers := map[string]*answer{
					"make": s.ask(t, "POST", making, map[string]string{"client_id": id}, "Origin", c.origin),
					"poll": p.poll(t, "wait=0", "Origin", c.origin),
					"ack":  p.ack(t, 1, "Origin", c.origin),
				}
				good := map[string]int{"make": 201, "poll": 200, "ack": 409}
				for name, a := range answers {
					if !allowed {
						a.problem(t, 403, "origin_not_allowed")
					} else if a.status != good[name] {
						t.Errorf("%s: %d", name, a.status)
					}
					told := c.origin
					if c.client == "" {
						told = ""
					}
					tell(t, a, told) // errors too may be read by a page of ours
				}
				if c.origin == "" {
					continue // no header at all, for the helper
				}
				socket := p.knock(t, "Origin", c.origin)
				if !allowed {
					socket.problem(t, 403, "origin_not_allowed")
				} else if socket.status != http.StatusSwitchingProtocols {
					t.Errorf("socket: %d", socket.status)
				}
			}
		})
	}
}

func TestTwoOriginsAreNoOrigin(t *testing.T) {
	t.Parallel()
	s := neighbours(t)
	p := s.make(t, map[string]string{"client_id": "a"})
	p.poll(t, "wait=0", "Origin", siteA, "Origin", evil).problem(t, 403, "origin_not_allowed")
	p.poll(t, "wait=0", "Origin", evil, "Origin", siteA).problem(t, 403, "origin_not_allowed")
}

func TestARequestWithoutOriginPassesOn(t *testing.T) {
	t.Parallel()
	s := neighbours(t)
	p := s.make(t, map[string]string{"client_id": "a"})
	tell(t, p.poll(t, "wait=0"), "")
	p.dial(t).expect(t, "pending", 1)
	p.ack(t, 1).problem(t, 409, "not_confirmed")
	p.poll(t, "wait=56").problem(t, 400, "invalid_request")
}

func TestAClientWithoutOriginsServesNoPage(t *testing.T) {
	t.Parallel()
	s := start(t, options{clients: []*ticket.Client{{ID: "cli"}}})
	p := s.make(t, nil)
	p.poll(t, "wait=0", "Origin", "null").problem(t, 403, "origin_not_allowed")
	p.stands(t, "pending", 1)
}

func TestAPreflightIsAnsweredForAnyClientsOrigin(t *testing.T) {
	t.Parallel()
	s := neighbours(t)
	p := s.make(t, map[string]string{"client_id": "a"})
	for _, path := range []string{making, p.path("ws"), p.path("poll"), p.path("ack")} {
		ask := func(origin string) *answer {
			return s.ask(t, "OPTIONS", path, nil, "Origin", origin,
				"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,baggage,content-type,sentry-trace")
		}
		for _, origin := range []string{siteA, siteB, shell, extension} {
			a := ask(origin)
			a.none(t)
			tell(t, a, origin)
			if allowed := strings.Split(a.header.Get("Access-Control-Allow-Headers"), ", "); !slices.Equal(allowed[:2], []string{"Authorization", "Content-Type"}) {
				t.Errorf("%s: allowed headers %q", path, allowed)
			}
			if a.header.Get("Access-Control-Max-Age") != "600" {
				t.Errorf("%s: Max-Age %q", path, a.header.Get("Access-Control-Max-Age"))
			}
		}
		for _, origin := range []string{evil, "null", ""} {
			a := ask(origin)
			a.problem(t, 403, "origin_not_allowed")
			tell(t, a, "")
			if a.header.Get("Access-Control-Allow-Headers") != "" {
				t.Errorf("%s: headers are allowed to %q", path, origin)
			}
		}
	}
}

// One header that is not allowed stops the whole request. Those of proxies and of
// identity stay forbidden: a page must not write them.
func TestPreflight_AllowsTracingHeaders(t *testing.T) {
	t.Parallel()
	s := neighbours(t)
	a := s.ask(t, "OPTIONS", making, nil, "Origin", siteA, "Access-Control-Request-Method", "POST")
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
	s.ask(t, "POST", making, map[string]string{"client_id": "a"}, sent...).ok(t, http.StatusCreated)
}

func TestAPreflightAsksForNoSecret(t *testing.T) {
	t.Parallel()
	s := neighbours(t)
	id, _ := stranger()
	gone := &page{s: s, id: id}
	s.ask(t, "OPTIONS", gone.path("poll"), nil, "Origin", siteA, "Access-Control-Request-Method", "GET").none(t)
}

func TestPhoneEndpointsIgnoreTheOrigin(t *testing.T) {
	t.Parallel()
	s := neighbours(t)
	for _, origin := range []string{evil, siteA, "null", "https://servicewechat.com"} {
		for _, action := range []string{"scan", "confirm", "reject"} {
			p := s.make(t, map[string]string{"client_id": "a"})
			a := s.ask(t, "POST", p.path(action), s.phone("ann").body(), "Origin", origin)
			a.ok(t, http.StatusOK)
			noCORS(t, a)
			// An answer that a page could read would let any site drive a phone.
			noCORS(t, s.ask(t, "POST", p.path(action), "{", "Origin", origin))
			a = s.ask(t, "OPTIONS", p.path(action), nil, "Origin", origin, "Access-Control-Request-Method", "POST")
			noCORS(t, a)
			a.problem(t, http.StatusMethodNotAllowed, "method_not_allowed")
		}
	}
}

func TestOnlyWhatOtherOriginsCallHasAPreflight(t *testing.T) {
	t.Parallel()
	s := neighbours(t)
	p := s.make(t, map[string]string{"client_id": "a"})
	for path, allow := range map[string]string{
		p.path("scan"): "POST", p.path("confirm"): "POST", p.path("reject"): "POST",
		p.path("qr.svg"): "GET, HEAD", p.path("qr.png"): "GET, HEAD", "/.well-known/jwks.json": "GET, HEAD", "/healthz": "GET, HEAD",
	} {
		for _, method := range []string{"OPTIONS", "PUT"} {
			a := s.ask(t, method, path, nil, "Origin", siteA, "Access-Control-Request-Method", "GET")
			a.problem(t, http.StatusMethodNotAllowed, "method_not_allowed")
			if got := a.header.Get("Allow"); got != allow {
				t.Errorf("%s %s: Allow %q, wanted %q", method, path, got, allow)
			}
		}
	}
	for _, path := range []string{"/", "/s/" + string(p.id)} { // people read these
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

func TestKeysAreForEverybody(t *testing.T) {
	t.Parallel()
	s := neighbours(t)
	a := s.ask(t, "GET", "/.well-known/jwks.json", nil, "Origin", evil)
	a.ok(t, http.StatusOK)
	if a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("a site's script may not read the keys")
	}
}

// A client that has gone from the configuration: its tickets end unconfirmed,
// and no page of any origin waits for them.
func TestATicketWhoseClientHasGoneIsNobodys(t *testing.T) {
	t.Parallel()
	s := neighbours(t)
	p := s.make(t, map[string]string{"client_id": "b"})
	without, err := api.New(api.Config{Hub: s.hub, Signer: s.signer, Clients: []*ticket.Client{{ID: "a", Origins: []string{siteA}}},
		Providers: map[string]api.Provider{"sandbox": api.NewSandbox()}, PublicURL: public, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	ask := func(method, path, body string, headers ...string) *answer {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		without.ServeHTTP(w, r)
		return &answer{status: w.Code, header: w.Header(), body: w.Body.Bytes()}
	}
	for _, action := range []string{"scan", "confirm", "reject"} {
		body := `{"provider":"sandbox","code":"` + s.phone("ann").code() + `"}`
		ask("POST", p.path(action), body, "Content-Type", "application/json").problem(t, 400, "invalid_request")
	}
	for _, origin := range []string{siteA, siteB} {
		ask("GET", p.path("poll"), "", "Authorization", "Bearer "+p.secret, "Origin", origin).problem(t, 403, "origin_not_allowed")
	}
	p.stands(t, "pending", 1)
}
