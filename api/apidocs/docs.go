// Package apidocs turns an OpenAPI 3.1 document into JSON and into the data of the
// page that shows it. Which document, and how it is served, is up to the caller.
package apidocs

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"

	"loginhub/frontend"
)

// Documents are all forms of an API description.
type Documents struct {
	JSON []byte
	Page frontend.Docs
}

// Parse reads an OpenAPI 3.1 document in YAML.
func Parse(spec []byte) (d Documents, err error) {
	var root yaml.Node
	if err := yaml.Unmarshal(spec, &root); err != nil {
		return d, fmt.Errorf("openapi.yaml: %w", err)
	}
	text, err := toJSON(root.Content[0])
	if err != nil {
		return d, fmt.Errorf("openapi.yaml: %w", err)
	}
	d.JSON = indent(text)
	d.Page, err = docsPage(&root)
	return d, err
}

// toJSON encodes a node with its keys in their order, which Go maps would lose.
func toJSON(n *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	switch n.Kind {
	case yaml.AliasNode:
		return toJSON(n.Alias)
	case yaml.MappingNode, yaml.SequenceNode:
		marks := "[]"
		if n.Kind == yaml.MappingNode {
			marks = "{}"
		}
		b.WriteByte(marks[0])
		for i, part := range n.Content {
			switch {
			case n.Kind == yaml.MappingNode && i%2 == 1:
				b.WriteByte(':')
			case i > 0:
				b.WriteByte(',')
			}
			text, err := toJSON(part)
			if err != nil {
				return nil, err
			}
			b.Write(text)
		}
		b.WriteByte(marks[1])
		return b.Bytes(), nil
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, fmt.Errorf("line %d: %w", n.Line, err)
	}
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	if err := out.Encode(v); err != nil {
		return nil, fmt.Errorf("line %d: %w", n.Line, err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// indent indents a JSON text.
func indent(text []byte) []byte {
	var b bytes.Buffer
	if json.Indent(&b, text, "", "  ") != nil {
		return text // cannot happen: toJSON returns valid JSON
	}
	return b.Bytes()
}
