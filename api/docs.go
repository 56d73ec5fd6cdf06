package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"github.com/labstack/echo/v4"
	"go.yaml.in/yaml/v3"

	"loginhub/frontend"
)

// openAPISpec is the wire contract as OpenAPI 3.1, written by hand. The tests
// compare every answer with it, and it with the routes and the error table.
//
//go:embed openapi.yaml
var openAPISpec []byte

// openAPIDocuments are all forms of the API description. They are built once,
// because they are the same in every process.
var openAPIDocuments = sync.OnceValues(func() (d struct {
	yaml, json asset
	page       frontend.Docs
}, err error) {
	var root yaml.Node
	if err := yaml.Unmarshal(openAPISpec, &root); err != nil {
		return d, fmt.Errorf("openapi.yaml: %w", err)
	}
	text, err := toJSON(root.Content[0])
	if err != nil {
		return d, fmt.Errorf("openapi.yaml: %w", err)
	}
	d.yaml, d.json = newAsset("application/yaml", openAPISpec), newAsset("application/json", indent(text))
	d.page, err = docsPage(&root)
	return d, err
})

// docs is GET /docs, the API description as a page.
func (s *Server) docs(c echo.Context) error {
	d, err := openAPIDocuments()
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "docs.html", d.page)
}

// newAsset returns a file with its ETag, a hash of the body.
func newAsset(kind string, body []byte) asset {
	sum := sha256.Sum256(body)
	return asset{kind, `"` + hex.EncodeToString(sum[:8]) + `"`, body}
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
