package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// writeConfig writes a file for --config, and returns its path.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "loginhub.yaml")
	mustWrite(t, path, text)
	return path
}

func mustWrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestConfigFile_Values: the environment overrides the file, also if the one names a secret
// and the other its file.
func TestConfigFile_Values(t *testing.T) {
	path := writeConfig(t, `listen: 127.0.0.1:8443
admin_listen: ""
rate_limit: 7
ticket_ttl: 30s
sandbox: true
trusted_proxies: [10.0.0.0/8, "::1"]
keys_file: /not/read
log: warn
audit: {file: /not/opened, chain: true}
providers: [{id: corp, kind: app, jwks_url: https://sso.example.com/jwks, issuer: https://sso.example.com}]
clients:
  - id: a
    origins: [https://a.example.com]
`)
	s := mustParseSettings(t, "CONFIG="+path, "KEYS="+goodKey, "LOG=error", "PUBLIC_URL=http://localhost:8080")
	if s.Listen != "127.0.0.1:8443" || s.AdminListen != "" || s.RateLimit != 7 || s.TicketTTL != 30*time.Second || !s.Sandbox || len(s.proxies) != 2 || !s.AuditChain || s.AuditFile != "/not/opened" || s.Log != "error" ||
		len(s.clients) != 1 || !slices.Equal(s.site.ids(), []string{"corp"}) {
		t.Errorf("parsed %+v, clients %v, providers %v", s.Config, s.clients, s.site.ids())
	}
	onlyProviders := writeConfig(t, "providers: [{id: corp, kind: app, jwks_url: https://sso.example.com/jwks, issuer: https://sso.example.com}]")
	if s := mustParseSettings(t, "CONFIG="+onlyProviders, "PUBLIC_URL=http://localhost:8080"); s.clients != nil || s.sandbox() {
		t.Errorf("a file without clients: %v, sandbox %t", s.clients, s.sandbox())
	}
	mustParseSettings(t, "CONFIG="+writeConfig(t, "# nothing is set\n"))
}

func TestConfigFile_Errors(t *testing.T) {
	for text, want := range map[string]string{
		"lisen: :80":                        "line 1: lisen: it is not a setting; do you mean listen?",
		"\nclient: []":                      "line 2: client: it is not a setting; do you mean clients?",
		"something_else: 1":                 "line 1: something_else: it is not a setting",
		"config: other.yaml":                "line 1: config: it is not a setting",
		"log: info\nlog: warn":              "line 2: log: it is set in line 1 too",
		"rate_limit: many":                  "line 1: rate_limit: expected a valid",
		"ticket_ttl: 5":                     "line 1: ticket_ttl: expected duration",
		"qr_level: Z":                       `line 1: qr_level: "Z": L, M, Q, H`,
		"listen:":                           "line 1: listen: it has no value",
		"listen: [a]":                       "line 1: listen: expected one value",
		"audit: {fil: x}":                   "line 1: fil: it is not a setting; do you mean audit_file?",
		"audit_file: x\naudit: {file: y}":   "line 2: file: it is set in line 1 too",
		"- a":                               "expected settings",
		"a: b: c":                           "mapping values",
		"log: info\n---\nlog: warn":         "second document",
		"clients:\n  - id: a\n    orgin: x": "line 3",
		"clients: /nowhere.yaml":            "/nowhere.yaml",
		"clients: [{id: a}]\nproviders: x":  "line 2",
	} {
		path := writeConfig(t, text)
		if _, err := parseSettings(t, "CONFIG="+path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) && want != "/nowhere.yaml" {
			t.Errorf("%q: %v, wanted %q and the path", text, err, want)
		}
	}
	inline := writeConfig(t, "clients: [{id: a, origins: ['https://a.test']}]")
	if _, err := parseSettings(t, "CONFIG="+inline, "CLIENTS="+inline); err == nil || !strings.Contains(err.Error(), "keep one") {
		t.Errorf("clients in two files: %v", err)
	}
}

// TestConfigFile_Init: the files of `loginhub init` are valid, for the program and for the
// schema, and the schema knows the keys that the program knows.
func TestConfigFile_Init(t *testing.T) {
	cli, _, err := parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := cli.schema()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("loginhub.json", document); err != nil {
		t.Fatal(err)
	}
	valid := compiler.MustCompile("loginhub.json")
	client := valid.Properties["clients"].OneOf[1].Items2020
	for _, key := range slices.Concat(clientFields, openIDFields) {
		if client.Properties[key] == nil {
			t.Errorf("the schema has no client setting %s", key)
		}
	}
	if n := len(clientFields) + len(openIDFields); len(client.Properties) != n || len(valid.Properties) != len(cli.flags)+len(clientsFileFields)+len(settingGroups)-1 {
		t.Errorf("the schema has %d client settings of %d, and %d settings of %d", len(client.Properties), n, len(valid.Properties), len(cli.flags))
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"keys": goodKey, "redis-url": "redis://127.0.0.1:1", "wechat-secret": "secret"} {
		mustWrite(t, filepath.Join(dir, name), text)
	}
	for usage, valuesValid := range map[string]bool{"sandbox": true, "production": true, "misspelt": false} {
		path := filepath.Join(dir, usage+".yaml")
		if err := (initCmd{File: path, For: usage}).Run(); err != nil {
			t.Fatal(err)
		}
		if err := (initCmd{File: path, For: usage}).Run(); err == nil {
			t.Error("init overwrites a file")
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		local := strings.ReplaceAll(string(text), "/etc/loginhub", dir)
		if !valuesValid {
			local = strings.Replace(local, "origins:", "orgins:", 1)
		}
		var values any
		if err := yaml.Unmarshal([]byte(local), &values); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, path, local)
		_, err = parseSettings(t, "CONFIG="+path)
		if invalid := valid.Validate(values); (err == nil) != valuesValid || (invalid == nil) != valuesValid {
			t.Errorf("%s: the program: %v; the schema: %v", usage, err, invalid)
		}
	}
}
