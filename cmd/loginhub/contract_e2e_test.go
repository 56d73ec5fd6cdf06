package main_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"sync"
	"testing"
	"time"

	"loginhub/api/apitest"
	"loginhub/hub/hubtest"
)

// checkedTransport checks the hub's responses against the OpenAPI document.
var checkedTransport http.RoundTripper

// checkContract checks every HTTP response and socket view in this package's tests against the
// OpenAPI document. broken returns the violations. They fail the run even if the test itself
// passes.
func checkContract() (broken func() []error) {
	contract, err := apitest.Load("../../api/openapi.yaml")
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	var all []error
	note := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, err)
	}
	operators := regexp.MustCompile(`^/(metrics|clients|debug)\b`) // the admin listener and the fake WeChat
	around := func(next http.RoundTripper) http.RoundTripper {
		return contract.Transport(next, func(r *http.Request) bool { return operators.MatchString(r.URL.Path) }, note)
	}
	checkedTransport = around(http.DefaultTransport)
	hubtest.Intercept(around, func(text []byte) error {
		err := contract.CheckView(text)
		if err != nil {
			note(err)
		}
		return err
	})
	return func() []error { return all }
}

// TestOpenAPI_RealNode runs whole logins and errors against the real program, through a proxy that
// checks every response against the OpenAPI document. Package api checks all HTTP responses.
func TestOpenAPI_RealNode(t *testing.T) {
	t.Parallel()
	contract, err := apitest.Load("../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	node := hubtest.StartNode(t, program)
	behind, err := url.Parse(node.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(contract.Middleware(httputil.NewSingleHostReverseProxy(behind), func(err error) { t.Error(err) }))
	t.Cleanup(front.Close)
	ctx := testContext(t, 30*time.Second)
	if err := login(ctx, "ann", front.URL); err != nil {
		t.Error(err)
	}
	made, err := hubtest.CreateTicket(ctx, front.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := hubtest.NewPhone("bob").Do(ctx, front.URL, made.ID, "scan", nil); err != nil || a.Status != 200 {
		t.Errorf("scan: %+v %v", a, err)
	}
	if v, err := made.Poll(ctx, front.URL, 1, 1); err != nil || v == nil {
		t.Errorf("poll: %v %v", v, err)
	}
	for path, status := range map[string]int{
		"/": 200, "/healthz": 200, "/readyz": 200, "/.well-known/jwks.json": 200, "/openapi.yaml": 200, "/docs": 200,
		"/s/" + string(made.ID): 200, "/api/login/tickets/" + string(made.ID) + "/qr.svg": 200,
		"/api/login/tickets/" + string(made.ID) + "/qr.png": 200, "/api/login/tickets/" + string(made.ID) + "/poll": 401, "/nowhere": 404,
	} {
		if a, err := hubtest.Request(ctx, "GET", front.URL+path, nil); err != nil || a.Status != status {
			t.Errorf("%s: %d %v", path, a.Status, err)
		}
	}
	if a, err := hubtest.NewPhone("eve").Do(ctx, front.URL, made.ID, "confirm", nil); err != nil || a.Status != 409 {
		t.Errorf("another user's confirm: %+v %v", a, err)
	}
}
