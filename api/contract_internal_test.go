package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"loginhub/api/apitest"
	"loginhub/api/events"
	"loginhub/api/oidc"
	"loginhub/hub"
	"loginhub/hub/ticket"
)

func load(t *testing.T) *apitest.Spec {
	t.Helper()
	c, err := apitest.Load("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// at returns the part of the document at the path.
func at(t *testing.T, v any, path ...string) any {
	t.Helper()
	for _, part := range path {
		m, _ := v.(map[string]any)
		if v = m[part]; v == nil {
			t.Fatalf("nothing at %v", path)
		}
	}
	return v
}

func TestOpenAPI_Routes(t *testing.T) {
	s, err := New(Config{Hub: &hub.Hub{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	served, documented := map[string]bool{}, map[string]bool{}
	for _, r := range s.router.Routes() {
		if r.Method == echo.RouteNotFound {
			continue
		}
		path := strings.NewReplacer(":ticket", "{ticket}", ":provider", "{provider}", "*", "{file}").Replace(r.Path)
		if path != "/" {
			path = strings.TrimSuffix(path, "/") // /s/TICKET/ is documented in the text of /s/TICKET
		}
		served[r.Method+" "+path] = true
	}
	for _, r := range load(t).Routes {
		documented[r.Method+" "+r.Path] = true
		// The introduction of the document says so.
		if r.Method == http.MethodGet && !strings.HasSuffix(r.Path, "/ws") && !strings.HasSuffix(r.Path, "/poll") && !strings.HasSuffix(r.Path, "/callback") && r.Path != oidc.AuthorizePath && r.Path != oidc.LogoutPath && !strings.HasPrefix(r.Path, events.Path) {
			documented["HEAD "+r.Path] = true
		}
	}
	for route := range served {
		if !documented[route] {
			t.Errorf("%s is served and not documented", route)
		}
	}
	for route := range documented {
		if !served[route] {
			t.Errorf("%s is documented and not served", route)
		}
	}
}

func TestOpenAPI_Errors(t *testing.T) {
	c := load(t)
	table := map[string]problem{"internal_error": {status: 500}}
	texts := map[string][]string{}
	for _, p := range problems {
		table[p.code] = p
		texts[p.code] = append(texts[p.code], p.title+"\n"+p.detail)
	}
	examples := at(t, c.Document, "components", "examples").(map[string]any)
	var listed []string
	for _, code := range at(t, c.Document, "components", "schemas", "Problem", "properties", "code", "enum").([]any) {
		listed = append(listed, code.(string))
	}
	slices.Sort(listed)
	for what, codes := range map[string][]string{"examples": slices.Sorted(maps.Keys(examples)), "codes of Problem": listed} {
		if want := slices.Sorted(maps.Keys(table)); !slices.Equal(codes, want) {
			t.Errorf("%s are %v, want %v", what, codes, want)
		}
	}
	for code, e := range examples {
		value := at(t, e, "value").(map[string]any)
		status, _ := value["status"].(json.Number).Int64()
		if value["code"] != code || value["type"] != "urn:loginhub:problem:"+code || int(status) != table[code].status {
			t.Errorf("the example of %s: %v", code, value)
		}
		text, _ := value["detail"].(string)
		title, _ := value["title"].(string)
		if code != "internal_error" && code != "invalid_request" && !slices.Contains(texts[code], title+"\n"+text) {
			t.Errorf("the example of %s says %q, %q", code, title, text)
		}
	}
	used := map[string]bool{"method_not_allowed": true} // not part of a route: it answers the other methods
	for _, r := range c.Routes {
		for status, a := range r.Answers {
			for _, code := range a.Codes {
				used[code] = true
				if oidc.AnswersJSON(r.Path) && code != "not_found" {
					continue // codes of RFC 6749 are in package oidc
				}
				if table[code].status != status {
					t.Errorf("%s %s: %s under %d", r.Method, r.Path, code, status)
				}
			}
			if status >= 400 && len(a.Codes) == 0 && status != http.StatusPreconditionFailed && status != http.StatusRequestedRangeNotSatisfiable {
				t.Errorf("%s %s: %d without a code", r.Method, r.Path, status)
			}
		}
		if r.Answers[500] == nil || r.Answers[429] == nil != (r.Path == "/healthz" || r.Path == "/readyz") {
			t.Errorf("%s %s: needs a 500, and a 429 unless it is a health check", r.Method, r.Path)
		}
	}
	for code := range table {
		if !used[code] {
			t.Errorf("no route answers %s", code)
		}
	}
}

func TestOpenAPI_Schema(t *testing.T) {
	// The schema of the OpenAPI Initiative (Apache 2.0), as the npm package
	// @seriousme/openapi-schema-validator 2.11.0 carries it.
	text, err := os.ReadFile("testdata/openapi-3.1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled.Validate(load(t).Document); err != nil {
		t.Error(err)
	}
}

// TestAsyncAPI: the examples of the socket's messages are valid, and one that is not is
// refused.
func TestAsyncAPI(t *testing.T) {
	c := load(t)
	socket, ok := c.Socket.(map[string]any)
	if !ok || socket["asyncapi"] != "3.0.0" {
		t.Fatalf("asyncapi.yaml is %T, version %v", c.Socket, socket["asyncapi"])
	}
	var document struct {
		Components struct {
			Messages map[string]struct {
				Examples []struct{ Payload json.RawMessage }
			}
		}
	}
	raw, err := json.Marshal(socket)
	if err == nil {
		err = json.Unmarshal(raw, &document)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, check := range map[string]func([]byte) error{"view": c.CheckView, "ack": c.CheckAck} {
		examples := document.Components.Messages[name].Examples
		for _, e := range examples {
			if err := check(e.Payload); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(examples) == 0 || check([]byte(`{"other":1}`)) == nil {
			t.Errorf("%s: %d examples; any object is valid", name, len(examples))
		}
	}
}

// TestError_CallerGone: a caller who closes the connection while a request waits causes no
// server error, neither in the metrics nor in the log.
func TestError_CallerGone(t *testing.T) {
	var log bytes.Buffer
	counts := &requestCounts{}
	s, err := New(Config{Hub: &hub.Hub{}, Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: counts})
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []bool{false, true} {
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		handler := s.observe(func(echo.Context) error {
			if gone {
				leave()
			}
			return fmt.Errorf("redis: %w: %w", context.Canceled, ticket.ErrStoreUnavailable)
		})
		if err := handler(s.router.NewContext(r, httptest.NewRecorder())); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(counts.classes, []string{"5xx", "4xx"}) || counts.refusals != 1 || strings.Count(log.String(), "refused") != 1 {
		t.Errorf("classes %v, %d refusals, log %s", counts.classes, counts.refusals, &log)
	}
}

// requestCounts implements Metrics.
type requestCounts struct {
	noMetrics
	classes  []string
	refusals int
}

func (r *requestCounts) ObserveRequest(_ context.Context, _, class string, _ time.Duration) {
	r.classes = append(r.classes, class)
}

func (r *requestCounts) IncRefusal(string) { r.refusals++ }
