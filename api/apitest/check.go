package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Exchange is one request and its answer.
type Exchange struct {
	Method, Path string // the path as it was sent, without the query
	ContentType  string // Content-Type of the request
	Request      []byte
	Status       int
	Header       http.Header
	Body         []byte
}

// Check checks an exchange against the contract and marks its answer as covered.
func (s *Spec) Check(x Exchange) error {
	if err := s.check(x); err != nil {
		return fmt.Errorf("%s %s answers %d: %w", x.Method, x.Path, x.Status, err)
	}
	return nil
}

func (s *Spec) check(x Exchange) error {
	route, path := s.findRoute(x.Method, x.Path)
	code, err := x.code()
	if err != nil {
		return err
	}
	if route == nil {
		return x.checkUndocumented(path, code)
	}
	a := route.Answers[x.Status]
	if a == nil {
		return fmt.Errorf("undocumented: %.200s", x.Body)
	}
	if code != "" && !slices.Contains(a.Codes, code) {
		return fmt.Errorf("undocumented code %s, not of %v", code, a.Codes)
	}
	s.mu.Lock()
	s.covered[answerKey(route, x.Status, code)] = true
	s.mu.Unlock()
	if err := a.checkHeaders(x.Header); err != nil {
		return err
	}
	if sent := bytes.TrimPrefix(x.Request, []byte("\ufeff")); x.Status < 300 && len(sent) > 0 {
		if err := validateBody(route.request, x.ContentType, sent); err != nil {
			return fmt.Errorf("accepted a request that the contract forbids: %w", err)
		}
	}
	if x.Method == http.MethodHead || x.Status == http.StatusPartialContent {
		return nil
	}
	if len(a.bodies) == 0 {
		if len(x.Body) > 0 {
			return fmt.Errorf("undocumented body: %.200s", x.Body)
		}
		return nil
	}
	return validateBody(a.bodies, x.Header.Get("Content-Type"), x.Body)
}

// answerKey returns the name of a documented answer, as Uncovered lists it.
func answerKey(r *Route, status int, code string) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %d %s", r.Method, r.Path, status, code))
}

// Uncovered returns the documented answers that no checked exchange has had, each as
// method, path, status and code, like "GET /docs 429 rate_limited".
func (s *Spec) Uncovered() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.Routes {
		for status, a := range r.Answers {
			for _, code := range append([]string(nil), a.Codes...) {
				if n := answerKey(r, status, code); !s.covered[n] {
					all = append(all, n)
				}
			}
			if n := answerKey(r, status, ""); len(a.Codes) == 0 && !s.covered[n] {
				all = append(all, n)
			}
		}
	}
	slices.Sort(all)
	return all
}

// CheckAck checks a page's WebSocket message against the contract.
func (s *Spec) CheckAck(text []byte) error {
	return validateBody(map[string]*jsonschema.Schema{"application/json": s.ack}, "application/json", text)
}

// CheckClose checks that the contract has a close code.
func (s *Spec) CheckClose(code int) error {
	if s.closes[strconv.Itoa(code)] == nil {
		return fmt.Errorf("asyncapi.yaml has no close code %d", code)
	}
	return nil
}

// CheckView checks a WebSocket message against the contract.
func (s *Spec) CheckView(text []byte) error {
	return validateBody(map[string]*jsonschema.Schema{"application/json": s.view}, "application/json", text)
}

// CheckEvent checks a call of a site's webhook against the contract.
func (s *Spec) CheckEvent(header http.Header, body []byte) error {
	var event struct{ Type string }
	if err := json.Unmarshal(body, &event); err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	sent := s.webhooks[event.Type]
	if sent == nil {
		return fmt.Errorf("undocumented webhook: %.200s", body)
	}
	if err := sent.checkHeaders(header); err != nil {
		return fmt.Errorf("webhook %s: %w", event.Type, err)
	}
	return validateBody(sent.bodies, header.Get("Content-Type"), body)
}

// findRoute returns the route of a request, or nil; known reports whether the path is
// documented for any method.
func (s *Spec) findRoute(method, path string) (route *Route, known bool) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, r := range s.Routes {
		if r.path.MatchString(path) {
			known = true
			if r.Method == method {
				return r, true
			}
		}
	}
	return nil, known
}

// checkUndocumented checks the answer to a request that has no documented route; path
// reports whether other methods of its path are documented.
func (x Exchange) checkUndocumented(path bool, code string) error {
	switch {
	case code == "rate_limited":
		return nil
	case !path && x.Status == http.StatusNotFound && (code == "not_found" || strings.HasPrefix(x.Path, "/s/") && code == "ticket_not_found"):
		return nil
	case path && x.Status == http.StatusMethodNotAllowed && code == "method_not_allowed" && x.Header.Get("Allow") != "":
		return nil
	case path && x.Status == http.StatusNoContent && x.Method == http.MethodOptions && x.Header.Get("Allow") != "":
		return nil
	}
	return fmt.Errorf("code %q for an undocumented route: %.200s", code, x.Body)
}

var pageCode = regexp.MustCompile(`data-code="([a-z_]+)"`)

// code returns the error code of the answer, in JSON or in HTML; "" if it has none.
func (x Exchange) code() (string, error) {
	kind, _, _ := mime.ParseMediaType(x.Header.Get("Content-Type"))
	if x.Status < 400 || x.Method == http.MethodHead || x.Status == http.StatusPreconditionFailed {
		return "", nil
	}
	switch kind {
	case "text/html":
		if m := pageCode.FindSubmatch(x.Body); m != nil {
			return string(m[1]), nil
		}
	case "application/json": // RFC 6749, section 5.2
		var oauth struct {
			Error string `json:"error"`
		}
		if err := json.Unmarshal(x.Body, &oauth); err == nil && oauth.Error != "" {
			return oauth.Error, nil
		}
	case "application/problem+json":
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(x.Body))
		if err != nil {
			return "", fmt.Errorf("not JSON: %w", err)
		}
		m, _ := v.(map[string]any)
		code, _ := m["code"].(string)
		if fmt.Sprint(m["status"]) != fmt.Sprint(x.Status) || m["type"] != "urn:loginhub:problem:"+code {
			return "", fmt.Errorf("status or type do not match the answer: %s", x.Body)
		}
		return code, nil
	case "text/plain": // 412 and 416 are written by net/http
		return "", nil
	}
	return "", fmt.Errorf("error of type %q without a code: %.200s", kind, x.Body)
}

// restrictedHeaders are headers that an answer may have only if they are documented.
var restrictedHeaders = []string{"Retry-After", "WWW-Authenticate", "Location"}

func (a *Answer) checkHeaders(h http.Header) error {
	for name, want := range a.headers {
		values := h.Values(name)
		if len(values) == 0 && want.required {
			return fmt.Errorf("header %s is missing", name)
		}
		for _, v := range values {
			if err := want.schema.Validate(v); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	for _, name := range restrictedHeaders {
		if _, ok := a.headers[name]; !ok && h.Get(name) != "" {
			return fmt.Errorf("undocumented header %s: %s", name, h.Get(name))
		}
	}
	return nil
}

// validateBody checks a body against the schema of its media type.
func validateBody(bodies map[string]*jsonschema.Schema, kind string, body []byte) error {
	kind, _, err := mime.ParseMediaType(kind)
	if err != nil {
		return fmt.Errorf("Content-Type: %w", err)
	}
	schema, ok := bodies[kind]
	if !ok {
		return fmt.Errorf("undocumented media type %s", kind)
	}
	if schema == nil {
		return nil
	}
	var v any = string(body)
	switch {
	case strings.HasSuffix(kind, "json"):
		if v, err = jsonschema.UnmarshalJSON(bytes.NewReader(body)); err != nil {
			return fmt.Errorf("not JSON: %w", err)
		}
	case kind == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return fmt.Errorf("not a form: %w", err)
		}
		fields := map[string]any{}
		for name := range form {
			fields[name] = form.Get(name)
		}
		v = fields
	}
	if err := schema.Validate(v); err != nil {
		return fmt.Errorf("%w in %.300s", err, body)
	}
	return nil
}
