package main

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"loginhub/hub/ticket"
)

// clientsFile is the clients file's shape. Unknown fields are refused: a
// misspelt option must not silently mean its default.
type clientsFile struct {
	Clients []clientEntry `yaml:"clients"`
}

type clientEntry struct {
	ID             string   `yaml:"id"`
	Label          label    `yaml:"label"`
	Origins        []string `yaml:"origins"`
	Providers      []string `yaml:"providers"`
	Subject        string   `yaml:"subject"`
	NumberMatching bool     `yaml:"number_matching"`
	TokenTTL       string   `yaml:"token_ttl"`

	line int
}

type label struct {
	ZH string `yaml:"zh"`
	EN string `yaml:"en"`
}

// UnmarshalYAML keeps the line for errors.
func (c *clientEntry) UnmarshalYAML(n *yaml.Node) error {
	type plain clientEntry
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		// The node's own Decode forgets KnownFields.
		if key := n.Content[i]; !slices.Contains(clientFields, key.Value) {
			return fmt.Errorf("line %d: unknown field %.40q; known are %s", key.Line, key.Value, strings.Join(clientFields, ", "))
		}
	}
	if err := n.Decode((*plain)(c)); err != nil {
		return err
	}
	c.line = n.Line
	return nil
}

var clientFields = []string{"id", "label", "origins", "providers", "subject", "number_matching", "token_ttl"}

// readClients reads the clients file; providers are those that this node has.
func readClients(path string, providers []string) ([]*ticket.Client, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file clientsFile
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(file.Clients) == 0 {
		return nil, fmt.Errorf("%s: no clients; expected a list under 'clients'", path)
	}
	var all []*ticket.Client
	for _, entry := range file.Clients {
		client, err := entry.client(providers)
		if err == nil && slices.ContainsFunc(all, func(c *ticket.Client) bool { return c.ID == client.ID }) {
			err = fmt.Errorf("id %s is there twice", client.ID)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, entry.line, err)
		}
		all = append(all, client)
	}
	return all, nil
}

var clientID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (e clientEntry) client(providers []string) (*ticket.Client, error) {
	c := &ticket.Client{ID: e.ID, LabelZH: e.Label.ZH, LabelEN: e.Label.EN, Providers: e.Providers,
		Subject: e.Subject, NumberMatching: e.NumberMatching}
	if !clientID.MatchString(e.ID) {
		return nil, fmt.Errorf("id %.80q: 1 to 64 letters, digits, dots, dashes and underscores", e.ID)
	}
	for _, text := range e.Origins {
		u, err := url.Parse(text)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Scheme+"://"+u.Host != strings.ToLower(text) || u.Hostname() == "" {
			return nil, fmt.Errorf("origin %.80q: must be like https://www.example.com, without a path", text)
		}
		c.Origins = append(c.Origins, strings.ToLower(text))
	}
	for _, p := range e.Providers {
		if !slices.Contains(providers, p) {
			return nil, fmt.Errorf("provider %.40q is not configured here; there is %s", p, strings.Join(providers, ", "))
		}
	}
	if !slices.Contains([]string{"", ticket.SubjectOpenID, ticket.SubjectUnionID}, e.Subject) {
		return nil, fmt.Errorf("subject %.40q: openid or unionid", e.Subject)
	}
	if e.TokenTTL != "" {
		ttl, err := time.ParseDuration(e.TokenTTL)
		if err != nil || ttl <= 0 {
			return nil, fmt.Errorf("token_ttl %.40q: a duration like 5m", e.TokenTTL)
		}
		c.TokenTTL = ttl
	}
	return c, nil
}
