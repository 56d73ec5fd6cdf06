package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"loginhub/api/qr"
	"loginhub/hub/provider/app/assertion"
)

// credentials are the accounts that logins use: the deployment's, or a client's own.
// Equal credentials share connections and tokens.
type credentials struct {
	miniProgram wechatApp
	web         wechatApp
	jwksURL     string
	issuer      string
	qr          string // link, wxacode or a template
}

// wechatApp is a mini-program or a website application. The zero value means none.
type wechatApp struct {
	id, secret string
	page       string // of a mini-program
}

// String returns the AppID, without the secret.
func (a wechatApp) String() string { return a.id }

// Format prints the AppID for every verb, so that no verb prints the secret.
func (a wechatApp) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.id) }

// credentials returns the deployment's credentials.
func (c *Config) credentials() credentials {
	return credentials{
		miniProgram: wechatApp{c.WechatAppID, c.WechatAppSecret, c.WechatPage},
		web:         wechatApp{id: c.WechatWebAppID, secret: c.WechatWebAppSecret},
		jwksURL:     c.AppJWKSURL, issuer: c.AppIssuer, qr: c.QR,
	}
}

// providers returns the names of the providers that these credentials configure.
func (c credentials) providers() (names []string) {
	for name, has := range map[string]bool{"wechat": c.miniProgram.id != "", "wechat_web": c.web.id != "", "app": c.jwksURL != ""} {
		if has {
			names = append(names, name)
		}
	}
	return names
}

// needsPublicURL reports whether a provider must know the hub's URL.
func (s *settings) needsPublicURL() bool {
	needs := func(c credentials) bool { return c.web.id != "" || c.jwksURL != "" }
	for _, own := range s.clientCredentials {
		if needs(own) {
			return true
		}
	}
	return needs(s.credentials())
}

var (
	pagePath   = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$`)
	verifyName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}\.txt$`)
)

// qrKind reports whether the text is a valid content of a QR code.
func qrKind(text string) bool {
	return text == "link" || text == "wxacode" ||
		strings.Contains(text, "{ticket}") && strings.Contains(text, ":") && len(text) <= 512
}

// verifyFile parses NAME:CONTENT. The name ends in .txt, so it is never a ticket's
// id.
func verifyFile(text string) (file [2]string, err error) {
	if text == "" {
		return file, nil
	}
	name, content, _ := strings.Cut(text, ":")
	if !verifyName.MatchString(name) || content == "" || len(content) > 1024 {
		return file, errors.New("must be NAME.txt:CONTENT, as WeChat's console gives the file")
	}
	return [2]string{name, content}, nil
}

// readLogo reads the logo. It returns nil if path is empty.
func readLogo(path string, read reader) (*qr.Logo, error) {
	if path == "" {
		return nil, nil
	}
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	return qr.NewLogo(text)
}

// secretSetting reads a secret from an environment variable or a file. Exactly one
// must be named.
func secretSetting(env, file string, read reader) (string, error) {
	switch {
	case (env == "") == (file == ""):
		return "", errors.New("app_secret_env (the name of a variable) or app_secret_file (a path) is required, one of both")
	case env != "":
		text := os.Getenv(env)
		if text == "" {
			return "", fmt.Errorf("app_secret_env: the variable %.64q is not set", env)
		}
		text, err := parseSecret(text, false)
		if err != nil {
			return "", fmt.Errorf("app_secret_env: the variable %.64q: %w", env, err)
		}
		return text, nil
	}
	text, err := readSecretFile(file, false, read)
	if err != nil {
		return "", fmt.Errorf("app_secret_file: %w", err)
	}
	return text, nil
}

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

// credentials returns the client's own credentials; what it does not set is base.
func (e clientEntry) credentials(base credentials, read reader) (credentials, error) {
	var err error
	if e.Wechat != nil {
		if base.miniProgram, err = e.Wechat.wechatApp(base.miniProgram.page, read); err != nil {
			return base, fmt.Errorf("wechat: %w", err)
		}
	}
	if e.WechatWeb != nil {
		if base.web, err = e.WechatWeb.wechatApp("", read); err != nil {
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
	if e.QR == "wxacode" && base.miniProgram.id == "" {
		return base, errors.New("qr wxacode: needs a mini-program")
	}
	return base, nil
}

var appID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (a appEntry) wechatApp(page string, read reader) (wechatApp, error) {
	if !appID.MatchString(a.AppID) {
		return wechatApp{}, errors.New("app_id: required, as WeChat's console shows it")
	}
	secret, err := secretSetting(a.SecretEnv, a.SecretFile, read)
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
