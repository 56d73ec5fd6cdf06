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
		{"a page of this origin", "", []string{"Sec-Fetch-Site", "same-origin"}, !get, !put, true},
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
	// A command line may contain secrets.
	if status := ask(near, "GET", "/debug/pprof/cmdline", ""); status != http.StatusNotFound {
		t.Errorf("pprof's command line: %d", status)
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
