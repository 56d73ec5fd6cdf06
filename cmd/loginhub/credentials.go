package main

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"loginhub/api/qr"
	"loginhub/hub/provider"
)

// credentials are the providers and the QR code that logins use: the deployment's, or a
// client's own. Equal providers share connections and tokens.
type credentials struct {
	providers []providerEntry // in the order of the configuration
	qr        string          // link, a template, or what drawer knows
}

// providerEntry is one configured provider.
type providerEntry struct {
	id     string
	kind   provider.Kind
	config provider.Config
	key    providerKey
}

// providerKey is equal for equal configurations, which share a provider.
type providerKey struct {
	kind   string
	digest [sha256.Size]byte
}

// Format prints the id for every verb, so that no verb prints a secret.
func (e providerEntry) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.id) }

// rawProvider is a provider as it is written down, not checked.
type rawProvider struct {
	id, kind string
	values   map[string]string
	lines    map[string]int // of the fields in the clients file; nil for the short form
	line     int
}

// entry checks a provider. read reads its secrets; nil if the values contain them.
func (r rawProvider) entry(read reader) (providerEntry, error) {
	var names []string
	for _, kind := range kinds() {
		if kind.Name == r.kind {
			f := &provider.Fields{ID: r.id, Values: r.values}
			if read != nil {
				f.ReadSecret = func(variable, file string) (string, error) { return readSecret(variable, file, false, read) }
				f.ReadKey = func(variable, file string) (string, error) { return readSecret(variable, file, true, read) }
			}
			e := providerEntry{id: r.id, kind: kind, config: kind.Read(f)}
			e.key = providerKey{kind.Name, f.Digest()}
			return e, f.Err()
		}
		if !kind.Development {
			names = append(names, kind.Name)
		}
	}
	return providerEntry{}, fmt.Errorf("kind %.40q is unknown; there is %s", r.kind, strings.Join(names, ", "))
}

// shortForms returns the providers that variables configure. variables has the variable
// of each field.
func (c *Config) shortForms() (all []rawProvider, variables map[string]map[string]string) {
	variables = map[string]map[string]string{
		"wechat":     {"app_id": "LOGINHUB_WECHAT_APP_ID", "app_secret": "LOGINHUB_WECHAT_APP_SECRET", "page": "LOGINHUB_WECHAT_PAGE", "api_url": "LOGINHUB_WECHAT_API_URL"},
		"wechat_web": {"app_id": "LOGINHUB_WECHAT_WEB_APP_ID", "app_secret": "LOGINHUB_WECHAT_WEB_APP_SECRET", "api_url": "LOGINHUB_WECHAT_API_URL", "authorize_url": "LOGINHUB_WECHAT_OPEN_URL"},
		"app":        {"jwks_url": "LOGINHUB_APP_JWKS_URL", "issuer": "LOGINHUB_APP_ISSUER"},
	}
	add := func(id string, values map[string]string) {
		all = append(all, rawProvider{id: id, kind: id, values: values})
	}
	if c.WechatAppID != "" {
		values := c.miniProgramValues()
		values["app_id"], values["app_secret"] = c.WechatAppID, c.WechatAppSecret
		add("wechat", values)
	}
	if c.WechatWebAppID != "" {
		values := c.websiteValues()
		values["app_id"], values["app_secret"] = c.WechatWebAppID, c.WechatWebAppSecret
		add("wechat_web", values)
	}
	if c.AppJWKSURL != "" {
		add("app", map[string]string{"jwks_url": c.AppJWKSURL, "issuer": c.AppIssuer})
	}
	return all, variables
}

// miniProgramValues returns what all mini-programs share unless they set it themselves.
func (c *Config) miniProgramValues() map[string]string {
	return map[string]string{"page": c.WechatPage, "env_version": c.WechatEnvVersion, "api_url": c.WechatAPIURL,
		"check_path": strconv.FormatBool(c.WechatCheckPath), "scheme": strconv.FormatBool(c.WechatScheme)}
}

// websiteValues returns what all website applications share.
func (c *Config) websiteValues() map[string]string {
	return map[string]string{"api_url": c.WechatAPIURL, "authorize_url": c.WechatOpenURL}
}

// credentials returns what variables configure. Errors name the variable. A missing
// value is no error here: validate's rules name both variables of a pair.
func (c *Config) credentials() (credentials, error) {
	set := credentials{qr: c.QR}
	var errs []error
	raws, variables := c.shortForms()
	for _, raw := range raws {
		e, err := raw.entry(nil)
		for _, err := range fieldErrors(err) {
			if raw.values[err.Field] != "" {
				errs = append(errs, fmt.Errorf("%s: %w", cmp.Or(variables[raw.id][err.Field], err.Field), err.Err))
			}
		}
		set.providers = append(set.providers, e)
	}
	return set, errors.Join(errs...)
}

// fieldErrors returns the errors that Fields.Err has joined.
func fieldErrors(err error) (all []*provider.FieldError) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, one := range joined.Unwrap() {
		var e *provider.FieldError
		if errors.As(one, &e) {
			all = append(all, e)
		}
	}
	return all
}

// ids returns the ids of the providers.
func (c credentials) ids() (ids []string) {
	for _, e := range c.providers {
		ids = append(ids, e.id)
	}
	return ids
}

// with returns the credentials with one provider more, in place of one with its id.
func (c credentials) with(e providerEntry) credentials {
	c.providers = slices.Clone(c.providers)
	if i := slices.Index(c.ids(), e.id); i >= 0 {
		c.providers[i] = e
	} else {
		c.providers = append(c.providers, e)
	}
	return c
}

// all returns the deployment's credentials ("") and those of clients with their own.
func (s *settings) allCredentials() map[string]credentials {
	all := maps.Clone(s.clientCredentials)
	if all == nil {
		all = map[string]credentials{}
	}
	all[""] = s.site
	return all
}

// needsPublicURL reports whether a provider must know the hub's URL.
func (s *settings) needsPublicURL() bool {
	for _, c := range s.allCredentials() {
		if slices.ContainsFunc(c.providers, func(e providerEntry) bool { return e.kind.PublicURL }) {
			return true
		}
	}
	return false
}

// checkQR returns what is wrong with LOGINHUB_QR. It has to suit the deployment's providers
// or those of some client.
func (s *settings) checkQR() error {
	for _, c := range s.allCredentials() {
		if c.qr = s.QR; c.checkQR() == nil {
			return nil
		}
	}
	return s.site.checkQR()
}

var verifyName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}\.txt$`)

// isTemplate reports whether the text is the content of a QR code, with the ticket's place.
func isTemplate(text string) bool {
	return strings.Contains(text, "{ticket}") && strings.Contains(text, ":") && len(text) <= 512
}

// drawer returns the provider that draws the QR codes, if qr names its id or its kind's
// codes.
func (c credentials) drawer() (providerEntry, bool) {
	i := slices.IndexFunc(c.providers, func(e providerEntry) bool {
		return e.kind.QR != "" && (c.qr == e.kind.QR || c.qr == e.id)
	})
	if i < 0 {
		return providerEntry{}, false
	}
	return c.providers[i], true
}

// checkQR returns what is wrong with the setting of the QR code.
func (c credentials) checkQR() error {
	if _, drawn := c.drawer(); drawn || c.qr == "link" || isTemplate(c.qr) {
		return nil
	}
	var known []string
	for _, k := range kinds() {
		if k.QR != "" && k.QR == c.qr {
			return fmt.Errorf("%s needs a provider of the kind %s; configure one, or use link", c.qr, k.Name)
		}
		if k.QR != "" {
			known = append(known, k.QR)
		}
	}
	return fmt.Errorf("%.80q: link, %s, the id of a provider that draws codes, or a URL with {ticket} in it", c.qr, strings.Join(known, ", "))
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

// readSecret reads a secret from an environment variable or a file; one of both is "".
func readSecret(env, file string, lines bool, read reader) (string, error) {
	if env == "" {
		return readSecretFile(file, lines, read)
	}
	text := os.Getenv(env)
	if text == "" {
		return "", fmt.Errorf("the variable %.64q is not set", env)
	}
	text, err := parseSecret(text, lines)
	if err != nil {
		return "", fmt.Errorf("the variable %.64q: %w", env, err)
	}
	return text, nil
}

var providerID = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// UnmarshalYAML reads the fields of a provider, which its kind knows.
func (r *rawProvider) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: a provider has fields: id, kind and those of its kind", n.Line)
	}
	r.values, r.lines, r.line = map[string]string{}, map[string]int{}, n.Line
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if value.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: %.40q must be one value, no list and no mapping", value.Line, key.Value)
		}
		if _, twice := r.lines[key.Value]; twice {
			return fmt.Errorf("line %d: %.40q is set twice", key.Line, key.Value)
		}
		r.values[key.Value], r.lines[key.Value] = value.Value, key.Line
	}
	r.id, r.kind = r.values["id"], r.values["kind"]
	delete(r.values, "id")
	delete(r.values, "kind")
	return nil
}

// listed returns the provider of an entry in the clients file. Errors name the line.
func (r rawProvider) listed(read reader) (providerEntry, error) {
	if !providerID.MatchString(r.id) {
		return providerEntry{}, fmt.Errorf("line %d: provider id %.40q: 1 to 32 lower-case letters, digits, dashes and underscores, a letter or digit first", r.line, r.id)
	}
	e, err := r.entry(read)
	if err == nil && e.kind.Development {
		err = fmt.Errorf("kind %s is used only if no provider is configured", r.kind)
	}
	var errs []error
	for _, err := range fieldErrors(err) {
		line := r.line
		if at := r.lines[err.Field]; at > 0 {
			line = at
		}
		errs = append(errs, fmt.Errorf("line %d: provider %s: %w", line, r.id, err))
	}
	if err != nil && errs == nil {
		errs = append(errs, fmt.Errorf("line %d: provider %s: %w", r.line, r.id, err))
	}
	return e, errors.Join(errs...)
}
