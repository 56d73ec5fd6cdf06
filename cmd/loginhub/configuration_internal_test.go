package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const configurationMD = "../../deploy/CONFIGURATION.md"

// settingsTable renders the settings of --help as a Markdown table.
func settingsTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n| --- | --- | --- |\n")
	for _, f := range newParser(t, &commands{}).Model.Flags {
		if len(f.Envs) == 0 {
			continue
		}
		value := f.Default
		if value != "" {
			value = "`" + value + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Envs[0], value, strings.ReplaceAll(f.Help, "|", `\|`))
	}
	return b.String()
}

// TestConfiguration_IsCurrent compares the settings of deploy/CONFIGURATION.md with
// --help, and those in the schema of the Helm chart's values with the program's schema.
// With WRITE_DOCS it writes them (`task docs`).
func TestConfiguration_IsCurrent(t *testing.T) {
	for path, render := range map[string]func(*testing.T, string) string{
		configurationMD:                        configurationText,
		"../../deploy/helm/values.schema.json": valuesSchema,
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		current := render(t, string(text))
		if os.Getenv("WRITE_DOCS") != "" {
			if err := os.WriteFile(path, []byte(current), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if current != string(text) {
			t.Errorf("%s differs from --help; run:\n"+
				"go run github.com/go-task/task/v3/cmd/task@v3.20.0 docs", path)
		}
	}
}

// configurationText puts the settings of --help into CONFIGURATION.md.
func configurationText(t *testing.T, text string) string {
	t.Helper()
	const begin, end = "<!-- settings: generated from --help by `task docs` -->\n", "<!-- end of settings -->"
	head, rest, found := strings.Cut(text, begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the settings between %q and %q", configurationMD, begin, end)
	}
	return head + begin + settingsTable(t) + end + tail
}

// valuesSchema puts the schema of the settings file into the schema of the chart's
// values: without secrets, which come from a Secret, without the addresses, which the
// chart sets, and without paths of other files with settings.
func valuesSchema(t *testing.T, text string) string {
	t.Helper()
	cli, _, err := parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := cli.schema()
	if err != nil {
		t.Fatal(err)
	}
	settings := file["properties"].(map[string]any)
	for name := range settings {
		if _, secret := settings[name+"_file"]; secret || name == "listen" || name == "admin_listen" {
			delete(settings, name)
		}
	}
	settings["clients"] = settings["clients"].(schema)["oneOf"].([]any)[1]
	var values schema
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		t.Fatal(err)
	}
	values["$defs"] = file["$defs"]
	values["properties"].(map[string]any)["config"] = schema{
		"type": "object", "additionalProperties": false, "properties": settings,
		"description": "Settings, sites and providers, as in the file of --config.",
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(values); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestConfiguration_ClientsFileIsValid reads the document's example and demands a row for every
// field.
func TestConfiguration_ClientsFileIsValid(t *testing.T) {
	text, err := os.ReadFile(configurationMD)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range clientFields {
		if !strings.Contains(string(text), "\n| `"+field+"` |") {
			t.Errorf("no row for %s", field)
		}
	}
	_, example, _ := strings.Cut(string(text), "<!-- clients.yaml -->\n```yaml\n")
	example, _, ended := strings.Cut(example, "\n```")
	dir := t.TempDir()
	path, secret := filepath.Join(dir, "clients.yaml"), filepath.Join(dir, "shop-web")
	example = strings.Replace(example, "/run/secrets/shop-web", secret, 1)
	for name, content := range map[string]string{path: example, secret: "s3cret"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SHOP_WECHAT_SECRET", "s3cret")
	s := mustParseSettings(t, withSettings(production, "CLIENTS="+path)...)
	if !ended || len(s.clients) != 2 || len(s.clientCredentials) != 1 {
		t.Errorf("clients %+v, own applications %v", s.clients, s.clientCredentials)
	}
	_, minimal, _ := strings.Cut(string(text), "<!-- minimal.yaml -->\n```yaml\n")
	minimal, _, ended = strings.Cut(minimal, "\n```")
	if inSandbox := mustParseSettings(t, "CLIENTS="+writeClients(t, minimal)); !ended || len(inSandbox.clients) != 1 {
		t.Errorf("the minimal file %q: %+v", minimal, inSandbox.clients)
	}
	if examples := mustParseSettings(t, "CLIENTS=../../deploy/examples/clients.yaml"); len(examples.clients) != 2 {
		t.Errorf("the examples' clients %+v", examples.clients)
	}
}
