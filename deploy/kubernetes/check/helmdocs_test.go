package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestHelm_Documents compares the values of README.md with values.yaml and with the
// schema. With WRITE_DOCS it writes them (`task docs`).
func TestHelm_Documents(t *testing.T) {
	const path = chartFolder + "/README.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- values: generated from values.yaml and values.schema.json by `task docs` -->\n", "<!-- end of values -->"
	head, rest, found := strings.Cut(string(text), begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("README.md has no place for the values between %q and %q", begin, end)
	}
	current := head + begin + valuesTable(t) + end + tail
	if os.Getenv("WRITE_DOCS") != "" {
		if err := os.WriteFile(path, []byte(current), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if current != string(text) {
		t.Errorf("%s differs from values.yaml or its schema; run:\n"+
			"go run github.com/go-task/task/v3/cmd/task@v3.20.0 docs", path)
	}
}

// valuesTable lists each value with its default and the schema's description, in the
// order of values.yaml. A value of the schema that values.yaml lacks is an error.
func valuesTable(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(chartFolder + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(chartFolder + "/values.yaml"); err != nil {
		t.Fatal(err)
	}
	var file yaml.Node
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	b := &strings.Builder{}
	b.WriteString("| value | default | meaning |\n| --- | --- | --- |\n")
	rows(t, b, "", file.Content[0], schema)
	return b.String()
}

func rows(t *testing.T, b *strings.Builder, prefix string, values *yaml.Node, schema map[string]any) {
	t.Helper()
	properties := schema["properties"].(map[string]any)
	found := map[string]bool{"global": true}
	for i := 0; i < len(values.Content); i += 2 {
		name, value := values.Content[i].Value, values.Content[i+1]
		one, known := properties[name].(map[string]any)
		found[name] = true
		switch {
		case !known:
			t.Fatalf("values.schema.json has no %s%s", prefix, name)
		case one["properties"] != nil && one["description"] == nil:
			rows(t, b, prefix+name+".", value, one)
		default:
			fmt.Fprintf(b, "| `%s%s` | %s | %s |\n", prefix, name, shortDefault(t, value), one["description"])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		switch {
		case found[name]:
		case prefix == "secret.files.": // those that few need have no default
			fmt.Fprintf(b, "| `%s%s` | | %s |\n", prefix, name, properties[name].(map[string]any)["description"])
		default:
			t.Errorf("values.yaml has no %s%s", prefix, name)
		}
	}
}

// shortDefault is a value in one line, or nothing if it is long.
func shortDefault(t *testing.T, value *yaml.Node) string {
	t.Helper()
	var plain any
	if err := value.Decode(&plain); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	if short := strings.Trim(string(text), `"`); short != "" && len(short) <= 80 {
		return "`" + short + "`"
	} else if short == "" {
		return ""
	}
	return "see values.yaml"
}
