package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"loginhub/hub/provider"
)

// configCmd is `loginhub config`. None of its commands uses the network or Redis.
type configCmd struct {
	Check  configCheckCmd  `cmd:"" help:"Check all settings, offline. Exit code 2 if one is wrong."`
	Show   configShowCmd   `cmd:"" help:"Print each setting's value and where it comes from; of a secret only whether it is set."`
	Schema configSchemaCmd `cmd:"" help:"Print the JSON Schema of the file of --config, for editors."`
}

type (
	configCheckCmd  struct{}
	configShowCmd   struct{}
	configSchemaCmd struct{}
)

// Run implements `loginhub config check`.
func (configCheckCmd) Run(c *Config) error {
	set, err := c.load()
	if err != nil {
		return &usageError{err}
	}
	for _, text := range set.warnings(time.Now()) {
		fmt.Println("warning:", text)
	}
	providers := set.site.ids()
	if set.sandbox() {
		providers = []string{"sandbox"}
	}
	fmt.Printf("ok; clients: %d, providers: %s\n", max(1, len(set.clients)), strings.Join(providers, ", "))
	return nil
}

// Run implements `loginhub config show`. The output is a file for --config, but for the
// secrets.
func (configShowCmd) Run(c *Config, k *kong.Context) error {
	lines, err := c.effective(k)
	if err != nil {
		return err
	}
	for _, l := range lines {
		fmt.Println(l.Key + ": " + l.Value + " # " + l.Source)
	}
	return c.showClients()
}

// effectiveSetting is one setting's value, and where it comes from.
type effectiveSetting struct {
	Key    string `json:"key"`
	Value  string `json:"value"` // in YAML's flow style; of a secret only whether it is set
	Source string `json:"source"`
}

// effective returns all settings, without secrets.
func (c *Config) effective(k *kong.Context) (all []effectiveSetting, err error) {
	origins := c.origins(k)
	secrets := []string{"wechat_verify_file"}
	for name := range c.secretSettings() {
		secrets = append(secrets, strings.ToLower(strings.TrimPrefix(name, "LOGINHUB_")))
	}
	for _, f := range k.Model.Flags {
		key := settingKey(f)
		if key == "" || key == "clients" && c.file != nil && c.file.clients != nil {
			continue
		}
		value := f.Target.Interface()
		if slices.Contains(secrets, key) && !f.Target.IsZero() {
			value = "[set]"
		}
		switch v := value.(type) {
		case time.Duration:
			value = v.String()
		case string:
			if strings.HasSuffix(key, "_url") {
				value = hideSecrets(v)
			}
		}
		one := yaml.Node{}
		if err := one.Encode(value); err != nil {
			return nil, err
		}
		one.Style |= yaml.FlowStyle
		text, err := yaml.Marshal(&one)
		if err != nil {
			return nil, err
		}
		all = append(all, effectiveSetting{key, hidePasswords(strings.TrimSpace(string(text))), origins[f]})
	}
	return all, nil
}

// origins returns where each setting's value comes from.
func (c *Config) origins(k *kong.Context) map[*kong.Flag]string {
	from := map[*kong.Flag]string{}
	for _, f := range k.Model.Flags {
		from[f] = "default"
		if len(f.Envs) > 0 && os.Getenv(f.Envs[0]) != "" {
			from[f] = f.Envs[0]
		}
	}
	for _, p := range k.Path {
		switch {
		case p.Flag == nil:
		case p.Resolved:
			from[p.Flag] = fmt.Sprintf("%s, line %d", c.ConfigFile, c.file.lines[settingKey(p.Flag)])
		default:
			from[p.Flag] = "--" + p.Flag.Name
		}
	}
	return from
}

// hideSecrets returns a URL without user, password, query and fragment. If it is unclear
// where a password ends, the whole rest is hidden: a password may contain / or ?.
func hideSecrets(text string) string {
	scheme, rest, is := strings.Cut(text, "//")
	if !is {
		scheme, rest = "", text
	} else {
		scheme += "//"
	}
	end := len(rest)
	if at := strings.IndexAny(rest, "?#"); at >= 0 {
		end = at
	}
	base, tail := rest[:end], rest[end:]
	u, err := url.Parse(scheme + base)
	switch {
	case text == "":
		return ""
	case err != nil, u.Opaque != "", strings.Contains(u.Path+tail, "@"):
		return scheme + "[set]"
	case u.User != nil:
		base = "[set]@" + base[strings.LastIndex(base, "@")+1:]
	}
	if tail != "" {
		tail = tail[:1] + "[set]"
	}
	return scheme + base + tail
}

// urlPassword matches user and password of a URL.
var urlPassword = regexp.MustCompile(`//[^/@\s"']*@`)

// hidePasswords replaces user and password of the URLs in a text.
func hidePasswords(text string) string { return urlPassword.ReplaceAllString(text, "//[set]@") }

// showClients prints the providers and clients. Valid ones contain no secret, only the
// names of files and variables; others are not printed.
func (c *Config) showClients() error {
	path := c.Clients
	if c.file != nil && c.file.clients != nil {
		path = c.ConfigFile
	}
	if path == "" {
		return nil
	}
	base, err := c.credentials()
	if err == nil {
		_, err = c.readClients(path, base)
	}
	if err != nil {
		fmt.Printf("# providers and clients are not shown, because they are not valid; see: loginhub config check\n")
		return nil
	}
	node := &yaml.Node{}
	if path == c.ConfigFile {
		node = c.file.clients
	} else if text, err := c.read(path); err != nil {
		return err
	} else if err := yaml.Unmarshal(text, node); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	hideURLs(node)
	text, err := yaml.Marshal(node)
	fmt.Printf("# %s\n%s", path, hidePasswords(string(text)))
	return err
}

// urlKey matches the keys whose value is the URL of a server that the hub calls.
var urlKey = regexp.MustCompile(`^(url|.+_url|.+_uri|subject_map)$`)

// hideURLs hides the secrets of the URLs in a tree.
func hideURLs(node *yaml.Node) {
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 1 && child.Kind == yaml.ScalarNode && urlKey.MatchString(node.Content[i-1].Value) {
			child.Value = hideSecrets(child.Value)
		}
		hideURLs(child)
	}
}

// clientsSchema describes the keys of a clients file.
//
//go:embed clients.schema.json
var clientsSchema []byte

// schema is a JSON Schema, draft 2020-12.
type schema map[string]any

// Run implements `loginhub config schema`.
func (configSchemaCmd) Run(c *Config) error {
	whole, err := c.schema()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(whole, "", "  ")
	fmt.Println(string(text))
	return err
}

func (c *Config) schema() (schema, error) {
	var whole schema
	if err := json.Unmarshal(clientsSchema, &whole); err != nil {
		return nil, err
	}
	properties, ok := whole["properties"].(map[string]any)
	if !ok {
		return nil, errors.New("clients.schema.json has no properties")
	}
	for key, flag := range c.flags {
		one := settingSchema(flag)
		if inline, both := properties[key]; both { // clients: a list, or a path
			one = schema{"description": flag.Help, "oneOf": []any{one, inline}}
		}
		properties[key] = one
	}
	for _, group := range settingGroups {
		members := schema{}
		for key := range c.flags {
			if name, in := strings.CutPrefix(key, group+"_"); in {
				members[name] = properties[key]
			}
		}
		properties[group] = schema{"type": "object", "additionalProperties": false, "properties": members}
	}
	if providers, is := properties["providers"].(map[string]any); is {
		providers["items"] = schema{"oneOf": providerSchemas()}
	}
	return whole, nil
}

// providerSchemas returns the schema of a provider of each kind.
func providerSchemas() (all []schema) {
	for _, kind := range kinds() {
		if kind.Development {
			continue
		}
		fields := &provider.Fields{}
		kind.Read(fields)
		properties := schema{"id": schema{"type": "string", "pattern": providerID.String()}, "kind": schema{"const": kind.Name}}
		for _, name := range fields.Names() {
			properties[name] = schema{"type": []string{"string", "boolean", "integer"}}
		}
		all = append(all, schema{"type": "object", "additionalProperties": false, "required": []string{"id", "kind"}, "properties": properties})
	}
	return all
}

// settingSchema returns the schema of one setting.
func settingSchema(f *kong.Flag) schema {
	s := schema{"description": f.Help}
	kind := f.Target.Type()
	switch {
	case kind == reflect.TypeFor[time.Duration]():
		s["type"], s["pattern"] = "string", `^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$`
	case kind.Kind() == reflect.Bool:
		s["type"] = "boolean"
	case kind.Kind() == reflect.Int:
		s["type"] = "integer"
	case kind.Kind() == reflect.Float64:
		s["type"] = "number"
	case kind.Kind() == reflect.Slice:
		s["type"], s["items"] = []string{"array", "string"}, schema{"type": "string"}
	default:
		s["type"] = "string"
	}
	if f.Enum != "" {
		values := []any{}
		for _, value := range f.EnumSlice() {
			if kind.Kind() == reflect.Int {
				values = append(values, json.Number(value))
			} else if value != "" {
				values = append(values, value)
			}
		}
		s["enum"] = values
	}
	switch {
	case f.Default == "":
	case s["type"] == "string":
		s["default"] = f.Default
	default:
		s["default"] = json.RawMessage(f.Default)
	}
	return s
}
