package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"loginhub/api/assertion"
)

// appEntry is a client's own mini-program or website application. Its secret
// never stands in the file itself.
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
	return strictly(n, (*plain)(a), "app_id", "app_secret_env", "app_secret_file", "page")
}

// UnmarshalYAML refuses unknown fields.
func (i *issuerEntry) UnmarshalYAML(n *yaml.Node) error {
	type plain issuerEntry
	return strictly(n, (*plain)(i), "jwks_url", "issuer")
}

// strictly decodes a mapping that has no other fields: a node's own Decode
// forgets KnownFields.
func strictly(n *yaml.Node, into any, known ...string) error {
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		if key := n.Content[i]; !slices.Contains(known, key.Value) {
			return fmt.Errorf("line %d: unknown field %.40q; known are %s", key.Line, key.Value, strings.Join(known, ", "))
		}
	}
	return n.Decode(into)
}

// hasOwn reports whether the entry brings anything of its own.
func (e clientEntry) hasOwn() bool {
	return e.QR != "" || e.Wechat != nil || e.WechatWeb != nil || e.App != nil
}

// credentials are the client's own over the deployment's.
func (e clientEntry) credentials(base credentials, read reader) (credentials, error) {
	var err error
	if e.Wechat != nil {
		if base.program, err = e.Wechat.app(base.program.page, read); err != nil {
			return base, fmt.Errorf("wechat: %w", err)
		}
	}
	if e.WechatWeb != nil {
		if base.web, err = e.WechatWeb.app("", read); err != nil {
			return base, fmt.Errorf("wechat_web: %w", err)
		}
	}
	if e.App != nil {
		base.jwksURL, base.issuer = e.App.JWKSURL, e.App.Issuer
		if err := assertion.CheckURL(base.jwksURL); err != nil {
			return base, fmt.Errorf("app: jwks_url: %w", err)
		}
		if base.issuer == "" {
			return base, errors.New("app: issuer: required")
		}
	}
	if e.QR != "" {
		base.qr = e.QR
		if !qrKind(e.QR) {
			return base, fmt.Errorf("qr %.80q: link, wxacode, or a URL with {ticket} in it", e.QR)
		}
	}
	if e.QR == "wxacode" && base.program.id == "" {
		return base, errors.New("qr wxacode: needs a mini-program")
	}
	return base, nil
}

var appID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (a appEntry) app(page string, read reader) (wechatApp, error) {
	if !appID.MatchString(a.AppID) {
		return wechatApp{}, errors.New("app_id: required, as WeChat's console shows it")
	}
	secret, err := secretFrom(a.SecretEnv, a.SecretFile, read)
	if err != nil {
		return wechatApp{}, err
	}
	if a.Page != "" {
		page = a.Page
	}
	if page != "" && !pagePath.MatchString(page) {
		return wechatApp{}, errors.New("page: like pages/confirm/confirm, no leading slash, no query")
	}
	return wechatApp{a.AppID, secret, page}, nil
}
