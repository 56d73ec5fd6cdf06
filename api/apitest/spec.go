package apitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// Spec is the document, ready to hold answers to. It is safe for concurrent
// use.
type Spec struct {
	Document any // as JSON decodes it
	Routes   []*Route
	view     *jsonschema.Schema

	mu      sync.Mutex
	covered map[string]bool
}

// Route is one method of one path.
type Route struct {
	Method, Path string // the path as a template
	Answers      map[int]*Answer

	path    *regexp.Regexp
	request map[string]*jsonschema.Schema // by media type
}

// Answer is what one status of a route may be.
type Answer struct {
	Codes   []string
	headers map[string]header
	bodies  map[string]*jsonschema.Schema // by media type; a nil schema takes anything
}

type header struct {
	required bool
	schema   *jsonschema.Schema
}

// documentURL is where the compiler thinks that the document is.
const documentURL = "https://hub.test/openapi.json"

// Load reads the document.
func Load(file string) (*Spec, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	var raw any
	if err := yaml.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	if text, err = json.Marshal(raw); err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	c := &Spec{covered: map[string]bool{}}
	if c.Document, err = jsonschema.UnmarshalJSON(strings.NewReader(string(text))); err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(documentURL, c.Document); err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	r := &reader{compiler: compiler, root: c.Document}
	c.view = r.schema("/components/schemas/View")
	for path, item := range r.object("/paths") {
		for method := range item.(map[string]any) {
			if method != "parameters" {
				c.Routes = append(c.Routes, r.route(path, method))
			}
		}
	}
	return c, r.err
}

// reader reads the document by JSON pointers; the first error stays.
type reader struct {
	compiler *jsonschema.Compiler
	root     any
	err      error
}

// pointerPart is a key as a part of a pointer (RFC 6901).
func pointerPart(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// object is what stands there; nil where nothing does.
func (r *reader) object(pointer string) map[string]any {
	at := r.root
	for _, part := range strings.Split(pointer, "/")[1:] {
		m, _ := at.(map[string]any)
		at = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	m, _ := at.(map[string]any)
	return m
}

// resolve is the pointer, or where the reference that stands there points to.
func (r *reader) resolve(pointer string) string {
	if ref, ok := r.object(pointer)["$ref"].(string); ok {
		if pointer = strings.TrimPrefix(ref, "#"); r.object(pointer) == nil {
			r.fail(fmt.Errorf("%s leads nowhere", ref))
		}
	}
	return pointer
}

func (r *reader) fail(err error) {
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("contract: %w", err)
	}
}

func (r *reader) schema(pointer string) *jsonschema.Schema {
	s, err := r.compiler.Compile(documentURL + "#" + strings.NewReplacer("{", "%7B", "}", "%7D").Replace(pointer))
	r.fail(err)
	return s
}

var parameter = regexp.MustCompile(`\\\{([a-z]+)\\\}`)

func (r *reader) route(path, method string) *Route {
	at := "/paths" + pointerPart(path) + pointerPart(method)
	one := parameter.ReplaceAllStringFunc(regexp.QuoteMeta(path), func(name string) string {
		if name == `\{file\}` {
			return `.+`
		}
		return `[^/]+`
	})
	route := &Route{Method: strings.ToUpper(method), Path: path, Answers: map[int]*Answer{},
		path: regexp.MustCompile("^" + one + "$"), request: r.bodies(r.resolve(at+"/requestBody") + "/content")}
	for text := range r.object(at + "/responses") {
		status, err := strconv.Atoi(text)
		r.fail(err)
		route.Answers[status] = r.answer(r.resolve(at + "/responses" + pointerPart(text)))
	}
	return route
}

func (r *reader) answer(at string) *Answer {
	a := &Answer{headers: map[string]header{}, bodies: r.bodies(at + "/content")}
	for _, code := range asList(r.object(at)["x-codes"]) {
		a.Codes = append(a.Codes, code.(string))
	}
	if len(a.Codes) == 0 {
		a.Codes = slices.Sorted(maps.Keys(r.object(at + "/content/application~1problem+json/examples")))
	}
	for name := range r.object(at + "/headers") {
		where := r.resolve(at + "/headers" + pointerPart(name))
		required, _ := r.object(where)["required"].(bool)
		a.headers[name] = header{required, r.schema(where + "/schema")}
	}
	return a
}

func asList(v any) []any {
	all, _ := v.([]any)
	return all
}

func (r *reader) bodies(content string) map[string]*jsonschema.Schema {
	all := map[string]*jsonschema.Schema{}
	for kind, media := range r.object(content) {
		all[kind] = nil
		if _, ok := media.(map[string]any)["schema"]; ok {
			all[kind] = r.schema(content + pointerPart(kind) + "/schema")
		}
		for name, example := range r.object(content + pointerPart(kind) + "/examples") {
			value := example.(map[string]any)["value"]
			if _, ref := example.(map[string]any)["$ref"]; ref {
				value = r.object(r.resolve(content + pointerPart(kind) + "/examples" + pointerPart(name)))["value"]
			}
			if all[kind] != nil {
				if err := all[kind].Validate(value); err != nil {
					r.fail(fmt.Errorf("example %s at %s: %w", name, content, err))
				}
			}
		}
	}
	return all
}
