package apidocs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"loginhub/frontend"
)

// typeText describes a schema in words: "string, at most 128 characters".
func (s openAPISchema) typeText() string {
	var words []string
	switch {
	case s.Ref != "":
		words = append(words, refName(s.Ref))
	case s.Const != nil:
		text, err := json.Marshal(s.Const)
		if err != nil {
			text = fmt.Append(nil, s.Const)
		}
		words = append(words, string(text))
	case len(s.Enum) > 0:
		words = append(words, strings.Join(s.Enum, " | "))
	case s.Items != nil:
		words = append(words, "list of "+s.Items.typeText())
	default:
		words = append(words, string(s.Type))
	}
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		words = append(words, fmt.Sprintf("%d to %d", *s.Minimum, *s.Maximum))
	case s.Minimum != nil:
		words = append(words, fmt.Sprintf("from %d", *s.Minimum))
	}
	if s.MaxLength != nil {
		words = append(words, fmt.Sprintf("at most %d characters", *s.MaxLength))
	}
	if s.Default != nil {
		words = append(words, fmt.Sprint("default ", s.Default))
	}
	return strings.Join(words, ", ")
}

// fields returns the properties of an object and of the objects inside it.
func (s openAPISchema) fields(prefix string) (all []frontend.DocsField, err error) {
	err = eachPair(&s.Properties, func(name string, n *yaml.Node) error {
		var p openAPISchema
		if err := n.Decode(&p); err != nil {
			return err
		}
		ref := refName(p.Ref)
		inner := p
		if p.Items != nil {
			ref, inner = refName(p.Items.Ref), *p.Items
		}
		all = append(all, frontend.DocsField{Name: prefix + name, Type: p.typeText(), Ref: ref,
			Required: slices.Contains(s.Required, name), Text: parseMarkdown(p.Description)})
		within, err := inner.fields(prefix + name + ".")
		all = append(all, within...)
		return err
	})
	return all, err
}

// refName returns the last part of a reference.
func refName(ref string) string { return ref[strings.LastIndex(ref, "/")+1:] }

// anchor returns a name as a fragment of the page's URL.
func anchor(name string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name)), "-")
}

// parseMarkdown parses the part of CommonMark that the API description uses:
// paragraphs, `code` and **strong**.
func parseMarkdown(text string) (all []frontend.DocsText) {
	for _, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if paragraph == "" {
			continue
		}
		var spans frontend.DocsText
		for i, part := range strings.Split(paragraph, "`") {
			if i%2 == 1 {
				spans = append(spans, frontend.DocsSpan{Code: true, Text: part})
				continue
			}
			for j, plain := range strings.Split(part, "**") {
				if plain != "" {
					spans = append(spans, frontend.DocsSpan{Strong: j%2 == 1, Text: plain})
				}
			}
		}
		all = append(all, spans)
	}
	return all
}
