package main

import (
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
// --help. With WRITE_DOCS it writes them (`task docs`).
func TestConfiguration_IsCurrent(t *testing.T) {
	text, err := os.ReadFile(configurationMD)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- settings: generated from --help by `task docs` -->\n", "<!-- end of settings -->"
	head, rest, found := strings.Cut(string(text), begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the settings between %q and %q", configurationMD, begin, end)
	}
	current := head + begin + settingsTable(t) + end + tail
	if os.Getenv("WRITE_DOCS") != "" {
		if err := os.WriteFile(configurationMD, []byte(current), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if current != string(text) {
		t.Errorf("deploy/CONFIGURATION.md differs from --help; run:\n" +
			"go run github.com/go-task/task/v3/cmd/task@v3.20.0 docs")
	}
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
