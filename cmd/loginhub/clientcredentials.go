package main

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// appEntry is a client's own mini-program or website application. The clients file
// never contains the secret.
type appEntry struct {
	AppID      string `yaml:"app_id"`
	SecretEnv  string `yaml:"app_secret_env"`
	SecretFile string `yaml:"app_secret_file"`
	Page       string `yaml:"page"` // of a mini-program
}

// issuerEntry is a client's own app.
type issuerEntry struct {
	JWKSURL string `yaml:"jwks_url"`
	Issuer  string `yaml:"issuer"`
}

// UnmarshalYAML refuses unknown fields.
func (a *appEntry) UnmarshalYAML(n *yaml.Node) error {
	type plain appEntry
	return decodeStrict(n, (*plain)(a), "app_id", "app_secret_env", "app_secret_file", "page")
}

// UnmarshalYAML refuses unknown fields.
func (i *issuerEntry) UnmarshalYAML(n *yaml.Node) error {
	type plain issuerEntry
	return decodeStrict(n, (*plain)(i), "jwks_url", "issuer")
}

// decodeStrict decodes a mapping and refuses unknown fields. yaml.Node.Decode ignores
// KnownFields.
func decodeStrict(n *yaml.Node, into any, known ...string) error {
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		if key := n.Content[i]; !slices.Contains(known, key.Value) {
			return fmt.Errorf("line %d: unknown field %.40q; known are %s", key.Line, key.Value, strings.Join(known, ", "))
		}
	}
	return n.Decode(into)
}

// hasCredentials reports whether the entry has a provider or QR code of its own.
func (e clientEntry) hasCredentials() bool {
	return e.QR != "" || e.Wechat != nil || e.WechatWeb != nil || e.App != nil
}

// raws returns the client's own providers, with the values that all of the deployment
// share. Their ids are those of the short form.
func (e clientEntry) raws(c *Config) (all []rawProvider) {
	if e.Wechat != nil {
		all = append(all, rawProvider{id: "wechat", kind: "wechat", values: e.Wechat.over(c.miniProgramValues())})
	}
	if e.WechatWeb != nil {
		all = append(all, rawProvider{id: "wechat_web", kind: "wechat_web", values: e.WechatWeb.over(c.websiteValues())})
	}
	if e.App != nil {
		all = append(all, rawProvider{id: "app", kind: "app", values: map[string]string{"jwks_url": e.App.JWKSURL, "issuer": e.App.Issuer}})
	}
	return all
}

// over sets the entry's values in those that it shares.
func (a appEntry) over(values map[string]string) map[string]string {
	values["app_id"], values["app_secret_env"], values["app_secret_file"] = a.AppID, a.SecretEnv, a.SecretFile
	if a.Page != "" {
		values["page"] = a.Page
	}
	return values
}

// clientCredentials returns the client's credentials; what it does not set is base.
func (c *Config) clientCredentials(e clientEntry, base credentials) (credentials, error) {
	for _, raw := range e.raws(c) {
		own, err := raw.entry(c.read)
		if err != nil {
			return base, fmt.Errorf("%s: %w", raw.id, err)
		}
		base = base.with(own)
	}
	if e.QR != "" {
		base.qr = e.QR
		if err := base.checkQR(); err != nil {
			return base, fmt.Errorf("qr: %w", err)
		}
	}
	return base, nil
}
