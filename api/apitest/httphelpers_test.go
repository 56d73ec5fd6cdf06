package apitest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// chunkedBody is a body without a known length: it is sent in chunks.
type chunkedBody struct{ io.Reader }

func chunked(text string) chunkedBody { return chunkedBody{strings.NewReader(text)} }

// answer is the answer to one HTTP request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send sends one request. The body is nil, a string, a chunkedBody, or a value to encode
// as JSON. A body gets the matching Content-Type unless the headers name another (""
// sends none). Headers are pairs; a name may occur twice.
func (s *testServer) send(ctx context.Context, method, path string, body any, headers ...string) (*answer, error) {
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	case chunkedBody:
		in = b
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, in)
	if err != nil {
		return nil, err
	}
	kind := []string{}
	if body != nil {
		kind = []string{"application/json"}
	}
	for i := 0; i+1 < len(headers); i += 2 {
		name, value := http.CanonicalHeaderKey(headers[i]), headers[i+1]
		switch {
		case name == "Content-Type" && value == "":
			kind = nil
		case name == "Content-Type":
			kind = []string{value}
		default:
			r.Header[name] = append(r.Header[name], value)
		}
	}
	if len(kind) > 0 {
		r.Header["Content-Type"] = kind
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if resp.StatusCode != http.StatusSwitchingProtocols { // after a 101 the body never ends
		a.body, err = io.ReadAll(resp.Body)
	}
	return a, err
}

// ask is send for the test's own goroutine. It checks what all answers have in common.
func (s *testServer) ask(t testing.TB, method, path string, body any, headers ...string) *answer {
	t.Helper()
	a, err := s.send(s.stepContext(t), method, path, body, headers...)
	must(t, err)
	a.checkCommon(t, method, path, headers)
	if a.status >= 400 {
		for i := 0; i+1 < len(headers); i += 2 {
			secret := strings.TrimPrefix(headers[i+1], "Bearer ")
			if strings.EqualFold(headers[i], "Authorization") && len(secret) > 7 && bytes.Contains(a.body, []byte(secret)) {
				t.Errorf("%s %s: the answer repeats the secret: %s", method, path, a.body)
			}
		}
	}
	return a
}

// raw writes bytes to a new connection and reads one answer.
func (s *testServer) raw(t testing.TB, request string) *answer {
	t.Helper()
	conn, err := s.dial(s.stepContext(t))
	must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte(request))
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		a.body, err = io.ReadAll(resp.Body)
		must(t, err)
	}
	return a
}

// acceptHTML is the Accept of browsers.
const acceptHTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

// wantsHTML reports whether errors of the path are HTML pages.
func wantsHTML(path string) bool {
	path, _, _ = strings.Cut(path, "?")
	return path == "/" || strings.HasPrefix(path, "/s/")
}

// checkCommon checks what all answers have in common.
func (a *answer) checkCommon(t testing.TB, method, path string, sent []string) {
	t.Helper()
	if strings.HasPrefix(path, "/api/") && !slices.Equal(a.header["Cache-Control"], []string{"no-store"}) {
		t.Errorf("%s %s: Cache-Control %q", method, path, a.header["Cache-Control"])
	}
	if a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s %s: no nosniff", method, path)
	}
	for _, name := range []string{"Location", "Set-Cookie"} {
		remembered := name == "Set-Cookie" && a.status == http.StatusNoContent && strings.HasSuffix(path, "/remember")
		if a.header.Get(name) != "" && !remembered {
			t.Errorf("%s %s: %s: %s", method, path, name, a.header.Get(name))
		}
	}
	if a.status == http.StatusNoContent && (len(a.body) > 0 || a.header.Get("Content-Type") != "") {
		t.Errorf("%s %s: 204 with %q of type %q", method, path, a.body, a.header.Get("Content-Type"))
	}
	if a.status < 400 {
		return
	}
	kind := "application/problem+json"
	if wantsHTML(path) || slices.Contains(sent, acceptHTML) && a.header.Get("Content-Type") != kind {
		kind = "text/html"
	}
	if !strings.HasPrefix(a.header.Get("Content-Type"), kind) {
		t.Errorf("%s %s: error %d as %q, want %s", method, path, a.status, a.header.Get("Content-Type"), kind)
	}
}

// problem requires an error with this status and code, and returns its detail.
func (a *answer) problem(t testing.TB, status int, code string) (detail string) {
	t.Helper()
	if a.status != status {
		t.Errorf("status %d, want %d %s: %s", a.status, status, code, a.body)
		return ""
	}
	if kind := a.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("a problem of type %q: %s", kind, a.body)
		return ""
	}
	m := a.object(t)
	if names := []string{"type", "title", "status", "detail", "code", "request_id"}; m["reason"] == nil {
		fields(t, m, names...)
	} else { // of a rejected ticket
		fields(t, m, append(names, "reason")...)
	}
	if m["code"] != code || m["status"] != float64(status) {
		t.Errorf("code %v status %v, want %s %d", m["code"], m["status"], code, status)
	}
	kind, _ := m["type"].(string)
	title, _ := m["title"].(string)
	detail, _ = m["detail"].(string)
	if !strings.Contains(kind, ":") || title == "" || detail == "" {
		t.Errorf("a problem without type, title or detail: %s", a.body)
	}
	if id := a.header.Get("X-Request-Id"); m["request_id"] != id || !requestID.MatchString(id) {
		t.Errorf("request_id %v, in the header %q", m["request_id"], id)
	}
	return detail
}

var requestID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// ok requires a JSON answer with this status and returns it.
func (a *answer) ok(t testing.TB, status int) map[string]any {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if kind := a.header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("JSON of type %q", kind)
	}
	return a.object(t)
}

// noContent requires a 204.
func (a *answer) noContent(t testing.TB) {
	t.Helper()
	if a.status != http.StatusNoContent {
		t.Errorf("status %d, want 204: %s", a.status, a.body)
	}
}

func (a *answer) object(t testing.TB) map[string]any {
	t.Helper()
	return object(t, a.body)
}

func object(t testing.TB, text []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return m
}

// fields requires that an object has exactly these keys, none of them null.
func fields(t testing.TB, m map[string]any, want ...string) {
	t.Helper()
	var got []string
	for k, v := range m {
		if v == nil {
			t.Errorf("%s is null", k)
		}
		got = append(got, k)
	}
	slices.Sort(got)
	want = slices.Clone(want)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("fields %q, want %q", got, want)
	}
}

// requireRange requires a whole number of seconds in a range, because time passes during
// a test.
func requireRange(t testing.TB, what string, v any, least, most float64) {
	t.Helper()
	n, ok := v.(float64)
	if !ok || n < least || n > most || n != float64(int64(n)) {
		t.Errorf("%s is %v, want %v to %v whole seconds", what, v, least, most)
	}
}

// equal reports whether two decoded JSON values are equal.
func equal(a, b any) bool { return reflect.DeepEqual(a, b) }
