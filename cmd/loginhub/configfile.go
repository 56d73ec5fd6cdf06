package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// configFile is the file of --config: a mapping of settings, beside what a clients file
// contains. A setting's key is the name of its variable in lower case, without LOGINHUB_.
// The environment and flags override it.
type configFile struct {
	settings map[string]string // by key; items of a list are joined by commas
	lines    map[string]int    // of all keys
	clients  *yaml.Node        // the keys of a clients file; nil if there are none
}

// settingKey returns the key of a setting in the file; "" if the flag is no setting.
func settingKey(f *kong.Flag) string {
	if len(f.Envs) == 0 || f.Name == "config" {
		return ""
	}
	return strings.ToLower(strings.TrimPrefix(f.Envs[0], "LOGINHUB_"))
}

// settingFlags returns the flags that are settings, by key.
func settingFlags(k *kong.Application) map[string]*kong.Flag {
	flags := map[string]*kong.Flag{}
	for _, f := range k.Flags {
		if key := settingKey(f); key != "" {
			flags[key] = f
		}
	}
	return flags
}

// parseConfigFile parses the file's text. Errors name the path and the line.
func parseConfigFile(path string, text []byte, flags map[string]*kong.Flag) (*configFile, error) {
	f := &configFile{settings: map[string]string{}, lines: map[string]int{}}
	text, err := decodeText(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var document yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	switch err := d.Decode(&document); {
	case errors.Is(err, io.EOF):
		return f, nil // empty, or only comments: every setting has its default
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case document.Content[0].Kind != yaml.MappingNode:
		return nil, fmt.Errorf("%s: expected settings, for example\nlisten: :8080", path)
	}
	if err := d.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: there is a second document in the file, after '---'; keep all settings in one", path)
	}
	content := document.Content[0].Content
	var errs []error
	for i := 0; i < len(content); i += 2 {
		if err := f.add(content[i], content[i+1], flags); err != nil {
			errs = append(errs, fmt.Errorf("%s: line %d: %s: %w", path, content[i].Line, content[i].Value, err))
		}
	}
	return f, errors.Join(errs...)
}

// add adds a key and its value.
func (f *configFile) add(key, value *yaml.Node, flags map[string]*kong.Flag) error {
	if line := f.lines[key.Value]; line > 0 {
		return fmt.Errorf("it is set in line %d too", line)
	}
	f.lines[key.Value] = key.Line
	flag := flags[key.Value]
	if slices.Contains(clientsFileFields, key.Value) && (flag == nil || value.Kind != yaml.ScalarNode) {
		if f.clients == nil {
			f.clients = &yaml.Node{Kind: yaml.MappingNode, Line: key.Line}
		}
		f.clients.Content = append(f.clients.Content, key, value)
		return nil
	}
	if slices.Contains(settingGroups, key.Value) && value.Kind == yaml.MappingNode {
		return f.addGroup(key, value, flags)
	}
	if flag == nil {
		return errors.New("it is not a setting" + nearest(key.Value, slices.Concat(slices.Collect(maps.Keys(flags)), clientsFileFields)))
	}
	text, err := settingText(flag, value)
	f.settings[key.Value] = text
	return err
}

// settingGroups are the keys under which settings may be written as a mapping: file below
// audit is audit_file.
var settingGroups = []string{"audit"}

func (f *configFile) addGroup(group, settings *yaml.Node, flags map[string]*kong.Flag) error {
	var errs []error
	for i := 0; i < len(settings.Content); i += 2 {
		key := *settings.Content[i]
		key.Value = group.Value + "_" + key.Value
		if err := f.add(&key, settings.Content[i+1], flags); err != nil {
			errs = append(errs, fmt.Errorf("line %d: %s: %w", key.Line, settings.Content[i].Value, err))
		}
	}
	return errors.Join(errs...)
}

// settingText returns a setting's value as its variable has it.
func settingText(flag *kong.Flag, n *yaml.Node) (string, error) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	text := strings.TrimSpace(n.Value)
	switch {
	case n.Kind == yaml.SequenceNode && flag.IsSlice():
		var items []string
		if err := n.Decode(&items); err != nil {
			return "", errors.New("expected a list of texts")
		}
		text = strings.Join(items, ",")
	case n.Kind != yaml.ScalarNode:
		return "", errors.New("expected one value")
	case n.Tag == "!!null":
		return "", errors.New(`it has no value; remove the line, or write "" for an empty text`)
	}
	if flag.Enum != "" && !flag.EnumMap()[text] {
		return "", fmt.Errorf("%.40q: %s", text, strings.ReplaceAll(strings.TrimPrefix(flag.Enum, ","), ",", ", "))
	}
	trial := reflect.New(flag.Target.Type()).Elem()
	if err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scanText(text)}, trial); err != nil {
		return "", err
	}
	return text, nil
}

// scanText returns a scanner with one value.
func scanText(text string) *kong.Scanner { return kong.Scan().PushTyped(text, kong.FlagValueToken) }

// Validate implements kong.Resolver.
func (f *configFile) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver, which asks for each flag that is not given. A
// variable overrides the file.
func (f *configFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	text, set := f.settings[settingKey(flag)]
	if !set {
		return nil, nil
	}
	variable := flag.Envs[0]
	for _, name := range []string{variable, variable + "_FILE", strings.TrimSuffix(variable, "_FILE")} { // a secret and its file are one setting
		if _, overridden := os.LookupEnv(name); overridden {
			return nil, nil
		}
	}
	return text, nil
}

// readConfigFile reads the file again, for its providers and clients.
func (c *Config) readConfigFile() error {
	if c.ConfigFile == "" {
		return nil
	}
	text, err := c.read(c.ConfigFile)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	if c.file, err = parseConfigFile(c.ConfigFile, text, c.flags); err != nil {
		return err
	}
	if c.file.clients != nil && c.Clients != "" {
		return fmt.Errorf("%s has providers or clients, and %s (LOGINHUB_CLIENTS) is to have them too; put both into one of the files: keep one", c.ConfigFile, c.Clients)
	}
	return nil
}

// changed returns the keys of the settings that differ in next.
func (f *configFile) changed(next *configFile) (keys []string) {
	if f == nil || next == nil {
		return nil
	}
	for _, pair := range [][2]map[string]string{{f.settings, next.settings}, {next.settings, f.settings}} {
		for key, text := range pair[0] {
			if other, set := pair[1][key]; (!set || other != text) && !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// configPath returns the path of the file: from --config in the arguments, or from the
// environment.
func configPath(args []string) string {
	for i, arg := range args {
		if value, is := strings.CutPrefix(arg, "--config="); is {
			return value
		}
		if arg == "--config" && i+1 < len(args) {
			return args[i+1]
		}
		if arg == "--" {
			break
		}
	}
	return os.Getenv("LOGINHUB_CONFIG")
}

// nearest returns a hint with the known name that is nearest to a misspelt one.
func nearest(name string, known []string) string {
	best, distance := "", len(name)/2+1
	slices.Sort(known)
	for _, k := range known {
		if d := editDistance(name, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "; do you mean " + best + "?"
}

// editDistance returns how many bytes to insert, delete or replace to turn a into b
// (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
