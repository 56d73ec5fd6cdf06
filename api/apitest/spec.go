package apitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// Spec is the OpenAPI document with compiled schemas. It is safe for concurrent use.
type Spec struct {
	Document any // as decoded from JSON
	Socket   any // asyncapi.yaml, in the same form
	Routes   []*Route
	view     *jsonschema.Schema // a message of the socket from the hub
	ack      *jsonschema.Schema // one from the page
	closes   map[string]any     // the socket's close codes
	webhooks map[string]*Answer // what the hub sends, in the form of an answer

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

// Answer describes the answers of a route with one status.
type Answer struct {
	Codes   []string
	headers map[string]header
	bodies  map[string]*jsonschema.Schema // by media type; a nil schema accepts anything
}

type header struct {
	required bool
	schema   *jsonschema.Schema
}

// URLs of the documents for the schema compiler. The socket's refers to the other.
const (
	documentURL = "https://hub.test/openapi.yaml"
	socketURL   = "https://hub.test/asyncapi.yaml"
)

// Load reads and compiles the document, and asyncapi.yaml beside it.
func Load(file string) (*Spec, error) {
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	document, err := loadYAML(compiler, documentURL, file)
	if err != nil {
		return nil, err
	}
	socket, err := loadYAML(compiler, socketURL, filepath.Join(filepath.Dir(file), "asyncapi.yaml"))
	if err != nil {
		return nil, err
	}
	s := &Spec{covered: map[string]bool{}, Document: document, Socket: socket}
	r := &reader{compiler: compiler, root: s.Document}
	for name, schema := range map[string]**jsonschema.Schema{"view": &s.view, "ack": &s.ack} {
		if *schema, err = compiler.Compile(socketURL + "#/components/messages/" + name + "/payload"); err != nil {
			return nil, fmt.Errorf("load the contract of the socket: %w", err)
		}
	}
	s.closes = (&reader{root: s.Socket}).object("/channels/socket/x-close-codes")
	for path, item := range r.object("/paths") {
		for method := range item.(map[string]any) {
			if method != "parameters" {
				s.Routes = append(s.Routes, r.route(path, method))
			}
		}
	}
	s.webhooks = map[string]*Answer{}
	for name := range r.object("/webhooks") {
		s.webhooks[name] = r.webhook("/webhooks" + pointerPart(name) + "/post")
	}
	if r.err != nil {
		return nil, fmt.Errorf("load the contract %s: %w", file, r.err)
	}
	return s, nil
}

// loadYAML reads a document and adds it to the compiler.
func loadYAML(compiler *jsonschema.Compiler, url, file string) (document any, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("load the contract %s: %w", file, err)
		}
	}()
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var raw any
	if err := yaml.Unmarshal(text, &raw); err != nil {
		return nil, err
	}
	if text, err = json.Marshal(raw); err != nil {
		return nil, err
	}
	if document, err = jsonschema.UnmarshalJSON(strings.NewReader(string(text))); err != nil {
		return nil, err
	}
	return document, compiler.AddResource(url, document)
}

// reader reads the document by JSON pointers (RFC 6901). err keeps the first error.
type reader struct {
	compiler *jsonschema.Compiler
	root     any
	err      error
}

// pointerPart returns a key as one part of a JSON pointer, with its slash.
func pointerPart(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// object returns the object at the pointer; nil if there is none.
func (r *reader) object(pointer string) map[string]any {
	at := r.root
	for _, part := range strings.Split(pointer, "/")[1:] {
		m, _ := at.(map[string]any)
		at = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	m, _ := at.(map[string]any)
	return m
}

// resolve returns the target of the $ref at the pointer, or the pointer itself if there
// is no $ref.
func (r *reader) resolve(pointer string) string {
	if ref, ok := r.object(pointer)["$ref"].(string); ok {
		if pointer = strings.TrimPrefix(ref, "#"); r.object(pointer) == nil {
			r.fail(fmt.Errorf("the target of $ref %s is missing", ref))
		}
	}
	return pointer
}

func (r *reader) fail(err error) {
	if r.err == nil && err != nil {
		r.err = err
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
	if path == "/s/{ticket}" {
		one += "/?"
	}
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
		at := r.resolve(at + "/headers" + pointerPart(name))
		required, _ := r.object(at)["required"].(bool)
		a.headers[name] = header{required, r.schema(at + "/schema")}
	}
	return a
}

// webhook returns the headers and the body that the hub sends.
func (r *reader) webhook(at string) *Answer {
	sent := &Answer{headers: map[string]header{}, bodies: r.bodies(at + "/requestBody/content")}
	for _, one := range asList(r.object(at)["parameters"]) {
		ref, _ := one.(map[string]any)["$ref"].(string)
		at := strings.TrimPrefix(ref, "#")
		name, _ := r.object(at)["name"].(string)
		sent.headers[name] = header{true, r.schema(at + "/schema")}
	}
	return sent
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
