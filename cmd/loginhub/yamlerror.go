package main

import (
	"errors"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	wrongType    = regexp.MustCompile(`(?s)^(line \d+): cannot unmarshal !!(\w+) .*into (\S+)$`)
	unknownField = regexp.MustCompile(`^(line \d+): field (.+) not found in type \S+$`)
)

// explainYAML replaces the parser's errors about a value's type, which name the type in Go,
// with what the file should have there. It leaves out the value, which may be a secret.
func explainYAML(err error) error {
	var wrong *yaml.TypeError
	if !errors.As(err, &wrong) {
		return err
	}
	var errs []error
	for _, text := range wrong.Errors {
		if m := wrongType.FindStringSubmatch(text); m != nil {
			text = m[1] + ": expected " + expectedValue(m[3]) + ", found " + foundValue(m[2])
		} else if m := unknownField.FindStringSubmatch(text); m != nil {
			text = m[1] + ": unknown field " + m[2]
		}
		errs = append(errs, errors.New(text))
	}
	return errors.Join(errs...)
}

// expectedValue describes what decodes into a Go type.
func expectedValue(typ string) string {
	switch {
	case typ == "string":
		return "a text"
	case typ == "bool":
		return "true or false"
	case strings.HasPrefix(typ, "int"), strings.HasPrefix(typ, "uint"):
		return "a whole number"
	case typ == "[]string":
		return "a list of texts, such as [a, b]"
	case strings.HasPrefix(typ, "[]"):
		return "a list, each item with a dash"
	}
	return "fields, each as NAME: VALUE"
}

// foundValue describes a value by its tag.
func foundValue(tag string) string {
	switch tag {
	case "seq":
		return "a list"
	case "map":
		return "fields"
	case "null":
		return "nothing"
	case "str":
		return "a text"
	case "bool":
		return "true or false"
	case "int", "float":
		return "a number"
	}
	return "another kind of value"
}
