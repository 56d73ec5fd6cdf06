package main_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"loginhub/hub/hubtest"
)

// TestAdmin_RejectsBrowsers covers reads and changes, on the loopback address and on another
// address.
func TestAdmin_RejectsBrowsers(t *testing.T) {
	t.Parallel()
	port := hubtest.FreePort(t)
	near, far := startMetered(t), hubtest.StartNode(t, program, "ADMIN_LISTEN=0.0.0.0:"+port)
	ask := func(n *hubtest.Node, method, path, host string, headers ...string) int {
		return askAdmin(t, n, method, path, host, headers)
	}
	const get, put = true, true
	for _, c := range []struct {
		what     string
		host     string
		headers  []string
		get, put bool // accepted on the loopback address
		far      bool // get and put apply to another address too: Host is not checked there
	}{
		{"curl", "", nil, get, put, true},
		{"by name", "localhost:9090", nil, get, put, true},
		{"by name, mixed case", "LocalHost", nil, get, put, true},
		{"by IPv6", "[::1]:9090", nil, get, put, true},
		{"a forwarded port", "127.0.0.1:19090", nil, get, put, true},
		{"typed into a browser", "", []string{"Sec-Fetch-Site", "none"}, get, !put, true},
		{"a page of this origin, which sends no Origin", "", []string{"Sec-Fetch-Site", "same-origin"}, get, !put, true},
		{"a page of this host, other port", "127.0.0.1:9090", []string{"Origin", "http://127.0.0.1:9091"}, !get, !put, true},
		{"a page of this host, other scheme", "127.0.0.1:9090", []string{"Origin", "ftp://127.0.0.1:9090"}, !get, !put, true},
		{"same-origin, but another origin", "127.0.0.1:9090", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:9091"}, !get, !put, true},
		{"a page of another port", "", []string{"Sec-Fetch-Site", "same-site"}, !get, !put, true},
		{"a page of another site", "", []string{"Sec-Fetch-Site", "cross-site"}, !get, !put, true},
		{"two Sec-Fetch-Site headers", "", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Site", "cross-site"}, !get, !put, true},
		{"an origin", "", []string{"Origin", "http://127.0.0.1:9090"}, !get, !put, true},
		{"an opaque origin", "", []string{"Origin", "null"}, !get, !put, true},
		{"an empty origin", "", []string{"Origin", ""}, !get, !put, true},
		{"typed, with an origin", "", []string{"Sec-Fetch-Site", "none", "Origin", "null"}, !get, !put, true},
		{"DNS rebinding", "evil.example.net:9090", nil, !get, !put, false},
		{"a name that looks like ours", "127.0.0.1.evil.example.net", nil, !get, !put, false},
		{"the node's other address", "10.0.0.1:9090", nil, !get, !put, false},
	} {
		refused := func(is bool, status int) int {
			if is {
				return http.StatusForbidden
			}
			return status
		}
		for path, found := range map[string]int{"/metrics": 200, "/clients": 200, "/debug/pprof/": 200, "/debug/pprof/heap": 200, "/nothing": 404} {
			if status := ask(near, "GET", path, c.host, c.headers...); status != refused(!c.get, found) {
				t.Errorf("%s: GET %s: %d", c.what, path, status)
			}
		}
		if status := ask(near, "PUT", "/clients/default/login", c.host, c.headers...); status != refused(!c.put, 204) {
			t.Errorf("%s: PUT: %d", c.what, status)
		}
		if status := ask(far, "GET", "/metrics", c.host, c.headers...); status != refused(!c.get && c.far, 200) {
			t.Errorf("%s, another address: GET: %d", c.what, status)
		}
		if status := ask(far, "PUT", "/clients/default/login", c.host, c.headers...); status != refused(!c.put && c.far, 204) {
			t.Errorf("%s, another address: PUT: %d", c.what, status)
		}
	}
	// On another address the Host may be an attacker's name: only a token makes sure.
	own := []string{"Origin", "http://127.0.0.1:9090", "Sec-Fetch-Site", "same-origin"}
	if close, distant := ask(near, "PUT", "/clients/default/login", "127.0.0.1:9090", own...), ask(far, "PUT", "/clients/default/login", "127.0.0.1:9090", own...); close != 204 || distant != 403 {
		t.Errorf("the node's own page: %d, and on another address without a token %d", close, distant)
	}
	if status := ask(near, "GET", "/metrics", "evil.example.net:9090", "Origin", "http://evil.example.net:9090"); status != http.StatusForbidden {
		t.Errorf("DNS rebinding, from a page: %d", status)
	}
	// A command line may contain secrets.
	if status := ask(near, "GET", "/debug/pprof/cmdline", ""); status != http.StatusNotFound {
		t.Errorf("pprof's command line: %d", status)
	}
}

// TestAdmin_OtherAddress: without a token a page of any host name reads no secret on an address that
// is not a loopback address.
func TestAdmin_OtherAddress(t *testing.T) {
	t.Parallel()
	far := hubtest.StartNode(t, program, "ADMIN_LISTEN=0.0.0.0:"+hubtest.FreePort(t))
	for _, c := range []struct {
		path, host string
		headers    []string
		status     int
	}{
		{"/debug/pprof/goroutine?debug=2", "evil.example.net", []string{"Sec-Fetch-Site", "same-origin"}, 403},
		{"/debug/pprof/goroutine?debug=2", "evil.example.net", nil, 403}, // browsers do not mark a GET to plain http
		{"/debug/pprof/goroutine?debug=2", "10.0.0.1:9090", []string{"Sec-Fetch-Site", "none"}, 403},
		{"/debug/pprof/goroutine?debug=2", "10.0.0.1:9090", nil, 200},
		{"/clients", "10.0.0.1:9090", []string{"Sec-Fetch-Site", "same-origin"}, 403},
		{"/clients", "node.example.net:9090", nil, 200},
		{"/metrics", "node.example.net:9090", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"/", "node.example.net:9090", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"/admin/status", "node.example.net:9090", []string{"Sec-Fetch-Site", "same-origin"}, 200},
	} {
		if status := askAdmin(t, far, "GET", c.path, c.host, c.headers); status != c.status {
			t.Errorf("%s of %s with %q: %d, wanted %d", c.path, c.host, c.headers, status, c.status)
		}
	}
}

// TestAdmin_Token: with a token every route demands it, but those that monitoring reads.
func TestAdmin_Token(t *testing.T) {
	t.Parallel()
	const first, second = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210=="
	file := hubtest.WriteFile(t, "token", first+"\n")
	n := startMetered(t, "ADMIN_TOKEN_FILE="+file)
	ctx, bearer := loginContext(t), []string{"Authorization", "Bearer " + first}
	for _, c := range []struct {
		route      string
		open, with int // without and with the token
	}{
		{"GET /metrics", 200, 200}, {"GET /clients", 200, 200}, {"HEAD /metrics", 200, 200},
		{"GET /debug/pprof/", 401, 200}, {"GET /debug/pprof/heap", 401, 200}, {"GET /debug/pprof/symbol", 401, 200}, {"GET /debug/pprof/trace?seconds=0.01", 401, 200},
		{"PUT /clients/default/login", 401, 204}, {"POST /clients/default/sessions/a/end", 401, 404}, {"POST /keys/a/revoke", 401, 404},
		{"GET /nothing", 401, 404}, {"GET //debug/pprof/heap", 401, 200}, {"POST /metrics", 401, 405},
	} {
		method, path, _ := strings.Cut(c.route, " ")
		for status, headers := range map[int][][]string{
			c.with: {bearer, {"Authorization", "bearer " + first}, {"Authorization", "Bearer " + first, "Origin", n.Admin}},
			c.open: {nil, {"Authorization", "Bearer " + second}, {"Authorization", "Bearer"}, {"Authorization", "Basic " + first}, {"Authorization", first},
				{"Authorization", "Bearer " + first, "Authorization", "Bearer " + first}, {"Cookie", "token=" + first}},
			403: {append([]string{"Origin", "http://evil.example.net"}, bearer...), append([]string{"Sec-Fetch-Site", "cross-site"}, bearer...)},
		} {
			for _, h := range headers {
				if got := askAdmin(t, n, method, path, "", h); got != status {
					t.Errorf("%s with %q: %d, wanted %d", c.route, h, got, status)
				}
			}
		}
	}
	a, err := hubtest.Request(ctx, "GET", n.Admin+"/debug/pprof/?token="+first, nil)
	hubtest.AssertRefusal(t, "in the query", a, err, 401, "admin_token_required")
	if h := a.Header.Get("WWW-Authenticate"); !strings.HasPrefix(h, "Bearer ") {
		t.Errorf("WWW-Authenticate is %q", h)
	}
	for given, want := range map[string]string{"": "401", "ADMIN_TOKEN=" + first: "404", "ADMIN_TOKEN_FILE=" + file: "404"} {
		if out, code := hubtest.Run(t, program, []string{"keys", "revoke", "a", "--admin", n.Admin}, given); code != 1 || !strings.Contains(out, "answered "+want) {
			t.Errorf("keys revoke with %q: %d %s", given, code, out)
		}
	}
	replaceFile(t, file, second)
	sendSIGHUP(t, n)
	waitLog(t, n, 1, reloadDone)
	if old, now := askAdmin(t, n, "GET", "/debug/pprof/", "", bearer), askAdmin(t, n, "GET", "/debug/pprof/", "", []string{"Authorization", "Bearer " + second}); old != 401 || now != 200 {
		t.Errorf("after a reload the former token gets %d, the new one %d", old, now)
	}
	if log := n.Stop(t); strings.Contains(log, first) || strings.Contains(log, second) || !strings.Contains(log, "its token is missing or wrong") {
		t.Errorf("the log:\n%s", log)
	}
}

// askAdmin makes a request with any Host and with several values of one header.
func askAdmin(t *testing.T, n *hubtest.Node, method, path, host string, headers []string) (status int) {
	t.Helper()
	r, err := http.NewRequestWithContext(loginContext(t), method, n.Admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPut {
		r.Body = io.NopCloser(strings.NewReader(`{"enabled":true}`))
		r.Header.Set("Content-Type", "application/json")
	}
	r.Host = host
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	_, _ = io.Copy(io.Discard, a.Body) // so that the connection is used again
	return a.StatusCode
}
