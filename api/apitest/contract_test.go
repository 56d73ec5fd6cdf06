package apitest_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"loginhub/api"
	"loginhub/api/apitest"
	"loginhub/hub/provider"
)

// contract is openapi.yaml. Every answer in every test is checked against it.
var contract = func() *apitest.Spec {
	c, err := apitest.Load("../openapi.yaml")
	if err != nil {
		panic(err)
	}
	return c
}()

// suite runs all tests. A run without filters must cover every documented answer.
type suite struct{ *testing.M }

func (s suite) Run() int {
	code := s.M.Run()
	for _, part := range []string{"test.run", "test.skip", "test.list", "test.fuzz", "test.bench"} {
		if flag.Lookup(part).Value.String() != "" {
			return code
		}
	}
	for _, answer := range contract.Uncovered() {
		if strings.HasSuffix(answer, " 500 internal_error") || strings.HasSuffix(answer, " 500 server_error") {
			continue // no test can provoke an internal error on every route
		}
		fmt.Fprintln(os.Stderr, "openapi.yaml documents what no test has seen:", answer)
		code = 1
	}
	return code
}

func TestOpenAPI_RetryAfter(t *testing.T) {
	o := behindProxy(withRateLimit(1))
	limited := o.api
	o.api = func(c *api.Config) {
		limited(c)
		c.Reloadable.Listed = []*provider.Provider{accountProvider()}
	}
	runSynctest(t, o, func(t *testing.T, s *testServer) {
		id, _ := unknownTicket()
		for _, r := range contract.Routes {
			if r.Path == "/healthz" || r.Path == "/readyz" {
				continue
			}
			path := strings.NewReplacer("{ticket}", id, "{file}", "page/base.css", "{provider}", "account").Replace(r.Path)
			request := httptest.NewRequest(r.Method, path, nil)
			request.RemoteAddr = "127.0.0.1:1"
			request.Header.Set(forwarded, fromAddress(0)[1])
			for range 6000 { // the first route uses up the minute, the first of events theirs; the clock does not advance
				w := httptest.NewRecorder() // costs less than a connection
				if s.server.ServeHTTP(w, request); w.Code == http.StatusTooManyRequests {
					break
				}
			}
			a, err := s.send(s.stepContext(t), r.Method, path, nil, fromAddress(0)...)
			must(t, err)
			if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
				t.Errorf("%s %s is not limited: %d", r.Method, path, a.status)
			}
		}
	})
}

func TestOpenAPI_Served(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	want, err := os.ReadFile("../openapi.yaml")
	must(t, err)
	text := s.ask(t, "GET", "/openapi.yaml", nil)
	if text.header.Get("Content-Type") != "application/yaml" || !bytes.Equal(text.body, want) {
		t.Errorf("as %q, %d bytes", text.header.Get("Content-Type"), len(text.body))
	}
	var document any
	must(t, json.Unmarshal(s.ask(t, "GET", "/openapi.json", nil).body, &document))
	var loaded any
	raw, err := json.Marshal(contract.Document)
	must(t, err)
	must(t, json.Unmarshal(raw, &loaded))
	if !equal(document, loaded) {
		t.Error("the JSON and the YAML differ")
	}
	for _, path := range []string{"/openapi.yaml", "/openapi.json", "/asyncapi.yaml", "/assets/page/docs.css", "/client.tgz"} {
		tag := s.ask(t, "GET", path, nil).header.Get("ETag")
		for status, header := range map[int][]string{304: {"If-None-Match", tag}, 206: {"Range", "bytes=0-9"}, 416: {"Range", "bytes=9999999-"}, 412: {"If-Match", `"other"`}} {
			a, err := s.send(s.stepContext(t), "GET", path, nil, header...)
			must(t, err)
			if a.status != status || status == 206 && len(a.body) != 10 {
				t.Errorf("%s with %v: %d", path, header, a.status)
			}
		}
	}
	s.ask(t, "GET", ticketsPath+"/AAAAAAAAAAAAAAAAAAAAAA/qr.svg?client_id=nobody", nil).problem(t, 400, "invalid_request")
}

var fragment = regexp.MustCompile(`href="#([^"]+)"`)

func TestOpenAPI_DocsPage(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	body := string(s.ask(t, "GET", "/docs", nil).body)
	contents, _, _ := strings.Cut(body, "</nav>")
	listed := map[string]bool{}
	for _, entry := range regexp.MustCompile(`<li>.*?>([^<]+)</a>`).FindAllStringSubmatch(contents, -1) {
		if listed[entry[1]] {
			t.Errorf("the contents list %q twice", entry[1])
		}
		listed[entry[1]] = true
	}
	for _, r := range contract.Routes {
		_, article, found := strings.Cut(body, fmt.Sprintf(`<span class="method %[1]s">%[1]s</span> <code class="path">%[2]s</code>`, r.Method, r.Path))
		if !found {
			t.Errorf("%s %s is not shown", r.Method, r.Path)
			continue
		}
		article, _, _ = strings.Cut(article, "</article>")
		for status, a := range r.Answers {
			if !strings.Contains(article, fmt.Sprintf(">%d</span>", status)) {
				t.Errorf("%s %s: %d is not shown", r.Method, r.Path, status)
			}
			for _, code := range a.Codes {
				if !strings.Contains(article, "<code>"+code+"</code>") {
					t.Errorf("%s %s: %s is not shown", r.Method, r.Path, code)
				}
			}
		}
	}
	for _, text := range []string{"token_expires_in", "小明", "login.same_ip", "at most 128 characters", "0 to 55, default 25", "form_post.action", "pending | scanned", "login.suspicious", "data.confirmed_at"} {
		if !strings.Contains(body, text) {
			t.Errorf("%q is not shown", text)
		}
	}
	for _, link := range fragment.FindAllStringSubmatch(body, -1) {
		if !strings.Contains(body, `id="`+link[1]+`"`) {
			t.Errorf("the target of link #%s is missing", link[1])
		}
	}
}
