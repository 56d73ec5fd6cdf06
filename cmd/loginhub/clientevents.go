package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"loginhub/hub/client"
)

// eventsEntry says where a client's events go. The clients file never contains the secret.
type eventsEntry struct {
	URL        string `yaml:"url"`
	SecretFile string `yaml:"secret_file"`
	SecretEnv  string `yaml:"secret_env"`
}

// UnmarshalYAML refuses unknown fields.
func (e *eventsEntry) UnmarshalYAML(n *yaml.Node) error {
	type plain eventsEntry
	return decodeStrict(n, (*plain)(e), "url", "secret_file", "secret_env")
}

// maxEventSecrets is how many secrets may sign an event: two while the secret changes.
const maxEventSecrets = 2

// events checks the settings. It returns nil for a client without events.
func (e *eventsEntry) events(read reader) (*client.Events, error) {
	if e == nil {
		return nil, nil
	}
	u, err := parseEndpoint(e.URL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("events: url %.120q: %w", hideSecrets(e.URL), err)
	case u.Scheme != "https" && !(u.Scheme == "http" && client.IsLoopback(u.Hostname())):
		return nil, fmt.Errorf("events: url %.120q: https, or http on a loopback address: events are personal data", hideSecrets(e.URL))
	case (e.SecretFile == "") == (e.SecretEnv == ""):
		return nil, errors.New("events: set secret_file or secret_env, one of them")
	case strings.HasPrefix(e.SecretEnv, "LOGINHUB_"):
		return nil, fmt.Errorf("events: secret_env %.64q: a variable of your own, which does not begin with LOGINHUB_", e.SecretEnv)
	}
	text, err := readSecret(e.SecretEnv, e.SecretFile, true, read)
	if err != nil {
		return nil, fmt.Errorf("events: secret: %w", err)
	}
	events := &client.Events{URL: e.URL}
	for i, line := range strings.Fields(text) {
		secret, err := parseEventSecret(line)
		if err == nil && i == maxEventSecrets {
			err = fmt.Errorf("at most %d, newest first", maxEventSecrets)
		}
		if err != nil {
			return nil, fmt.Errorf("events: secret %d: %w", i+1, err)
		}
		events.Secrets = append(events.Secrets, secret)
	}
	return events, nil
}

// parseEventSecret parses a secret of Standard Webhooks. Errors do not contain it.
func parseEventSecret(text string) ([]byte, error) {
	const advice = "make one with `echo whsec_$(openssl rand -base64 32)`, and give the site the same text"
	encoded, prefixed := strings.CutPrefix(text, "whsec_")
	secret, err := base64.StdEncoding.Strict().DecodeString(encoded)
	switch {
	case !prefixed:
		return nil, errors.New("it does not begin with whsec_ (Standard Webhooks); " + advice)
	case err != nil:
		return nil, errors.New("it is not whsec_ and base64; " + advice)
	case len(secret) < 24 || len(secret) > 64:
		return nil, fmt.Errorf("it has %d bytes, not 24 to 64; %s", len(secret), advice)
	}
	return secret, nil
}
