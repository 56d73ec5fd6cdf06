package main_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// TestAdmin_RejectsBrowsers covers reads and changes, on the loopback address and on another
// address.
func TestAdmin_RejectsBrowsers(t *testing.T) {
	t.Parallel()
	port := hubtest.FreePort(t)
	near, far := startMetered(t), hubtest.StartNode(t, program, "ADMIN_LISTEN=0.0.0.0:"+port)
	ctx := testContext(t, 30*time.Second)
	ask := func(n *hubtest.Node, method, path, host string, headers ...string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, method, n.Admin+path, nil)
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
		body, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		return a.StatusCode, string(body)
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
		for _, path := range []string{"/metrics", "/clients", "/debug/pprof/", "/debug/pprof/heap", "/nothing"} {
			want := http.StatusForbidden
			if c.get {
				want = http.StatusOK
				if path == "/nothing" {
					want = http.StatusNotFound
				}
			}
			if status, body := ask(near, "GET", path, c.host, c.headers...); status != want {
				t.Errorf("%s: GET %s: %d %.80q", c.what, path, status, body)
			}
		}
		want := http.StatusForbidden
		if c.put {
			want = http.StatusNoContent
		}
		if status, body := ask(near, "PUT", "/clients/default/login", c.host, c.headers...); status != want {
			t.Errorf("%s: PUT: %d %.80q", c.what, status, body)
		}
		read, changed := http.StatusForbidden, http.StatusForbidden
		if c.get || !c.far {
			read = http.StatusOK
		}
		if c.put || !c.far {
			changed = http.StatusNoContent
		}
		if status, body := ask(far, "GET", "/metrics", c.host, c.headers...); status != read {
			t.Errorf("%s, another address: GET: %d %.80q", c.what, status, body)
		}
		if status, body := ask(far, "PUT", "/clients/default/login", c.host, c.headers...); status != changed {
			t.Errorf("%s, another address: PUT: %d %.80q", c.what, status, body)
		}
	}
	// A command line may contain secrets.
	if status, body := ask(near, "GET", "/debug/pprof/cmdline", ""); status != http.StatusNotFound {
		t.Errorf("pprof's command line: %d %q", status, body)
	}
}
