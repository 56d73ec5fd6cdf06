package apidocs

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"loginhub/frontend"
)

// The parts of the API description that its page shows.
type (
	openAPI struct {
		Info struct{ Title, Version, Summary, Description string }
		Tags []struct{ Name, Description string }
		// Nodes keep the order of their keys.
		Paths      yaml.Node
		Webhooks   yaml.Node
		Components struct {
			Parameters map[string]openAPIParameter
			Responses  map[string]openAPIResponse
			Schemas    yaml.Node
			Examples   yaml.Node
		}
	}
	openAPIOperation struct {
		Tags                 []string
		Summary, Description string
		Security             []map[string][]string
		Parameters           []openAPIParameter
		RequestBody          struct{ Content yaml.Node } `yaml:"requestBody"`
		Responses            yaml.Node
	}
	openAPIParameter struct {
		Ref                   string `yaml:"$ref"`
		Name, In, Description string
		Required              bool
		Schema                openAPISchema
	}
	openAPIResponse struct {
		Ref         string `yaml:"$ref"`
		Description string
		Codes       []string             `yaml:"x-codes"`
		Headers     map[string]yaml.Node // only their names
		Content     yaml.Node
	}
	openAPIBody struct {
		Schema   openAPISchema
		Examples yaml.Node
	}
	openAPISchema struct {
		Ref              string `yaml:"$ref"`
		Type             openAPIType
		Description      string
		Const            any
		Enum             []string
		Required         []string
		Properties       yaml.Node
		Items            *openAPISchema
		Minimum, Maximum *int64
		MaxLength        *int64 `yaml:"maxLength"`
		Default          any
	}
)

// openAPIType is a type. Of a list, such as a type and null, it is the first.
type openAPIType string

// UnmarshalYAML implements yaml.Unmarshaler.
func (t *openAPIType) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		n = n.Content[0]
	}
	*t = openAPIType(n.Value)
	return nil
}

// eachPair calls fn for every key of a mapping, in order.
func eachPair(n *yaml.Node, fn func(key string, value *yaml.Node) error) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if err := fn(n.Content[i].Value, n.Content[i+1]); err != nil {
			return fmt.Errorf("%s: %w", n.Content[i].Value, err)
		}
	}
	return nil
}

// docsPage returns the data of the page.
func docsPage(root *yaml.Node) (frontend.Docs, error) {
	var doc openAPI
	if err := root.Decode(&doc); err != nil {
		return frontend.Docs{}, fmt.Errorf("openapi.yaml: %w", err)
	}
	d := frontend.Docs{Title: doc.Info.Title, Version: doc.Info.Version, Summary: doc.Info.Summary, Text: parseMarkdown(doc.Info.Description)}
	at := map[string]int{}
	for i, tag := range doc.Tags {
		at[tag.Name] = i
		d.Sections = append(d.Sections, frontend.DocsSection{Name: tag.Name, Anchor: anchor(tag.Name), Text: parseMarkdown(tag.Description)})
	}
	add := func(path string, item *yaml.Node) error {
		var shared []openAPIParameter
		return eachPair(item, func(method string, n *yaml.Node) error {
			if method == "parameters" {
				return n.Decode(&shared)
			}
			o, tag, err := doc.operation(method, path, n, shared)
			if err == nil {
				section := &d.Sections[at[tag]]
				section.Operations = append(section.Operations, o)
			}
			return err
		})
	}
	for _, all := range []*yaml.Node{&doc.Paths, &doc.Webhooks} {
		if err := eachPair(all, add); err != nil {
			return d, fmt.Errorf("openapi.yaml: %w", err)
		}
	}
	err := eachPair(&doc.Components.Schemas, func(name string, n *yaml.Node) error {
		var s openAPISchema
		if err := n.Decode(&s); err != nil {
			return err
		}
		fields, err := s.fields("")
		d.Schemas = append(d.Schemas, frontend.DocsSchema{Name: name, Anchor: anchor(name), Type: s.typeText(), Text: parseMarkdown(s.Description), Fields: fields})
		return err
	})
	if err != nil {
		return d, fmt.Errorf("openapi.yaml: %w", err)
	}
	err = eachPair(&doc.Components.Examples, func(code string, n *yaml.Node) error {
		var e struct{ Value frontend.DocsProblem }
		err := n.Decode(&e)
		d.Problems = append(d.Problems, e.Value)
		return err
	})
	return d, err
}

// operation returns one operation for the page, and its tag.
func (doc *openAPI) operation(method, path string, n *yaml.Node, shared []openAPIParameter) (o frontend.DocsOperation, tag string, err error) {
	var op openAPIOperation
	if err := n.Decode(&op); err != nil {
		return o, "", err
	}
	o = frontend.DocsOperation{Method: strings.ToUpper(method), Path: path, Anchor: anchor(method + path), Summary: op.Summary, Text: parseMarkdown(op.Description)}
	for _, s := range op.Security {
		for name := range s {
			o.Secret = name
		}
	}
	for _, p := range append(shared, op.Parameters...) {
		if p.Ref != "" {
			p = doc.Components.Parameters[refName(p.Ref)]
		}
		o.Parameters = append(o.Parameters, frontend.DocsField{Name: p.Name, In: p.In, Type: p.Schema.typeText(), Ref: refName(p.Schema.Ref), Required: p.Required, Text: parseMarkdown(p.Description)})
	}
	if o.Bodies, err = bodies(&op.RequestBody.Content); err != nil {
		return o, "", err
	}
	err = eachPair(&op.Responses, func(status string, n *yaml.Node) error {
		var r openAPIResponse
		if err := n.Decode(&r); err != nil {
			return err
		}
		if r.Ref != "" {
			r = doc.Components.Responses[refName(r.Ref)]
		}
		all, err := bodies(&r.Content)
		answer := frontend.DocsAnswer{Status: status, Class: status[:1] + "xx", Text: parseMarkdown(r.Description), Codes: r.Codes}
		for _, b := range all {
			if strings.HasPrefix(b.Kind, "application/problem") {
				for _, e := range b.Examples {
					answer.Codes = append(answer.Codes, e.Name)
				}
			} else {
				answer.OAuth = answer.OAuth || b.Kind == "application/json" && len(r.Codes) > 0
				answer.Bodies = append(answer.Bodies, b)
			}
		}
		o.Answers = append(o.Answers, answer)
		return err
	})
	return o, op.Tags[0], err
}

// bodies returns the media types, schemas and examples of a body.
func bodies(content *yaml.Node) (all []frontend.DocsBody, err error) {
	err = eachPair(content, func(kind string, n *yaml.Node) error {
		var in openAPIBody
		if err := n.Decode(&in); err != nil {
			return err
		}
		b := frontend.DocsBody{Kind: kind, Ref: refName(in.Schema.Ref)}
		err := eachPair(&in.Examples, func(name string, n *yaml.Node) error {
			var e struct {
				Value   yaml.Node
				Summary string
			}
			err := n.Decode(&e)
			if err != nil || e.Value.Kind == 0 { // a reference
				b.Examples = append(b.Examples, frontend.DocsExample{Name: name})
				return err
			}
			text, err := toJSON(&e.Value)
			b.Examples = append(b.Examples, frontend.DocsExample{Name: name, Summary: e.Summary, Text: string(indent(text))})
			return err
		})
		all = append(all, b)
		return err
	})
	return all, err
}
