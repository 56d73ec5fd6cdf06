package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"loginhub/hub/client"
	"loginhub/hub/provider/app/assertion"
)

// openIDEntry holds a client's settings of OpenID Connect and OAuth 2.0. The clients file
// never contains the secret.
type openIDEntry struct {
	SecretFile             string         `yaml:"secret_file"`
	SecretEnv              string         `yaml:"secret_env"`
	RedirectURIs           []string       `yaml:"redirect_uris"`
	PostLogoutRedirectURIs []string       `yaml:"post_logout_redirect_uris"`
	Grants                 []string       `yaml:"grants"`
	IDTokenAlg             string         `yaml:"id_token_alg"`
	TokenAlg               string         `yaml:"token_alg"`
	Claims                 map[string]any `yaml:"claims"`
	BackchannelLogoutURI   string         `yaml:"backchannel_logout_uri"`
	BackchannelSession     bool           `yaml:"backchannel_logout_session_required"`
	JWKSFile               string         `yaml:"jwks_file"`
	JWKSURI                string         `yaml:"jwks_uri"`
	DPoPBound              bool           `yaml:"dpop_bound_access_tokens"`
}

var openIDFields = []string{"secret_file", "secret_env", "redirect_uris", "post_logout_redirect_uris", "grants", "id_token_alg", "token_alg",
	"claims", "backchannel_logout_uri", "backchannel_logout_session_required", "jwks_file", "jwks_uri", "dpop_bound_access_tokens"}

// Bounds of a client's settings.
const (
	minClientSecret = 16 // characters
	maxRedirectURIs = 100
	maxRedirectURI  = 1024 // bytes
	maxClaims       = 4 << 10
)

// apply checks the settings and sets them in the client. plain allows redirect URIs with
// http on any host: the hub's own URL is http too, as in a trial or an intranet.
func (e openIDEntry) apply(c *client.Client, read reader, plain bool) error {
	var err error
	if c.Grants, err = e.grants(); err != nil {
		return err
	}
	if c.TokenAlg, err = oneOf("token_alg", e.TokenAlg, "", client.AlgEdDSA, client.AlgRS256); err != nil {
		return err
	}
	if len(c.Grants) == 0 {
		if !c.DeliversCode() {
			return e.requireUnset()
		}
		own := openIDEntry{SecretFile: e.SecretFile, SecretEnv: e.SecretEnv}
		e.SecretFile, e.SecretEnv = "", ""
		return errors.Join(e.requireUnset(), own.applyCredentials(c, read), requireSecret(c))
	}
	if c.IDTokenAlg, err = oneOf("id_token_alg", e.IDTokenAlg, client.AlgRS256, client.AlgES256, client.AlgEdDSA); err != nil {
		return err
	}
	if err := e.applyCredentials(c, read); err != nil {
		return err
	}
	if err := requireSecret(c); err != nil {
		return err
	}
	for name, list := range map[string][]string{"redirect_uris": e.RedirectURIs, "post_logout_redirect_uris": e.PostLogoutRedirectURIs} {
		if len(list) > maxRedirectURIs {
			return fmt.Errorf("%s: at most %d", name, maxRedirectURIs)
		}
		for _, uri := range list {
			if err := checkRedirectURI(uri, plain); err != nil {
				return fmt.Errorf("%s: %.120q: %w", name, uri, err)
			}
		}
	}
	if e.BackchannelLogoutURI != "" {
		if u, err := parseEndpoint(e.BackchannelLogoutURI); err != nil || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("backchannel_logout_uri %.120q: an absolute http or https URL without a fragment", hideSecrets(e.BackchannelLogoutURI))
		}
	}
	if err := checkClaims(e.Claims); err != nil {
		return fmt.Errorf("claims: %w", err)
	}
	c.RedirectURIs, c.PostLogoutRedirectURIs, c.Claims = e.RedirectURIs, e.PostLogoutRedirectURIs, e.Claims
	c.BackchannelLogoutURI, c.BackchannelLogoutSessionRequired = e.BackchannelLogoutURI, e.BackchannelSession
	c.DPoPBound = e.DPoPBound
	c.OfflineAccess = c.HasGrant(client.GrantRefresh)
	return nil
}

// oneOf returns the value, or the first of the known ones if it is not set.
func oneOf(name, value string, known ...string) (string, error) {
	if value == "" || slices.Contains(known, value) {
		if value == "" {
			value = known[0]
		}
		return value, nil
	}
	return "", fmt.Errorf("%s %.40q: use one of %s", name, value, strings.TrimPrefix(strings.Join(known, ", "), ", "))
}

// grants returns the client's grants: the given ones, or authorization_code if there are
// redirect URIs.
func (e openIDEntry) grants() ([]string, error) {
	known := []string{client.GrantCode, client.GrantDevice, client.GrantRefresh}
	for i, grant := range e.Grants {
		if !slices.Contains(known, grant) || slices.Contains(e.Grants[:i], grant) {
			return nil, fmt.Errorf("grants %.60q: %s, each once", grant, strings.Join(known, ", "))
		}
	}
	code := slices.Contains(e.Grants, client.GrantCode)
	switch {
	case len(e.Grants) == 0 && len(e.RedirectURIs) > 0:
		return []string{client.GrantCode}, nil
	case code && len(e.RedirectURIs) == 0:
		return nil, errors.New("grants authorization_code: needs redirect_uris")
	case !code && len(e.RedirectURIs) > 0:
		return nil, errors.New("redirect_uris: are for the grant authorization_code, which grants does not list")
	case len(e.Grants) == 1 && e.Grants[0] == client.GrantRefresh:
		return nil, errors.New("grants refresh_token: needs authorization_code or device_code beside it")
	}
	return e.Grants, nil
}

// requireSecret refuses a client that is to exchange codes and has no secret.
func requireSecret(c *client.Client) error {
	if c.DeliversCode() && c.Secret == nil {
		return errors.New("delivery code: needs secret_file, with which the site's back end exchanges the code")
	}
	return nil
}

// requireUnset refuses settings that do nothing without a grant.
func (e openIDEntry) requireUnset() error {
	for name, set := range map[string]bool{"secret_file": e.SecretFile != "", "secret_env": e.SecretEnv != "", "id_token_alg": e.IDTokenAlg != "",
		"claims": len(e.Claims) > 0, "post_logout_redirect_uris": len(e.PostLogoutRedirectURIs) > 0, "backchannel_logout_uri": e.BackchannelLogoutURI != "",
		"backchannel_logout_session_required": e.BackchannelSession, "jwks_file": e.JWKSFile != "", "jwks_uri": e.JWKSURI != "",
		"dpop_bound_access_tokens": e.DPoPBound} {
		if set {
			return fmt.Errorf("%s: is for OpenID clients; set redirect_uris, or grants (secret_file also with delivery: code)", name)
		}
	}
	return nil
}

// applyCredentials sets how the client authenticates: by a secret, by keys, or not at
// all.
func (e openIDEntry) applyCredentials(c *client.Client, read reader) error {
	set := 0
	for _, value := range []string{e.SecretFile, e.SecretEnv, e.JWKSFile, e.JWKSURI} {
		if value != "" {
			set++
		}
	}
	switch {
	case set > 1:
		return errors.New("secret_file, secret_env, jwks_file and jwks_uri: set one of them")
	case strings.HasPrefix(e.SecretEnv, "LOGINHUB_"):
		return fmt.Errorf("secret_env %.64q: a variable of your own, which does not begin with LOGINHUB_", e.SecretEnv)
	case e.SecretFile+e.SecretEnv != "":
		secret, err := readSecret(e.SecretEnv, e.SecretFile, false, read)
		if err != nil {
			return fmt.Errorf("client secret: %w", err)
		}
		if len([]rune(secret)) < minClientSecret {
			return fmt.Errorf("client secret: shorter than %d characters; make one with `openssl rand -base64 32`", minClientSecret)
		}
		sum := sha256.Sum256([]byte(secret))
		c.Secret = sum[:]
	case e.JWKSFile != "":
		text, err := read(e.JWKSFile)
		if err != nil {
			return fmt.Errorf("jwks_file: %w", err)
		}
		keys, err := assertion.ParseJWKS(text)
		if err == nil && len(keys) == 0 {
			err = errors.New("no usable key: public keys for signatures, EC P-256, Ed25519 or RSA")
		}
		if err != nil {
			return fmt.Errorf("jwks_file %s: %w", e.JWKSFile, err)
		}
		c.JWKS = text
	case e.JWKSURI != "":
		u, err := parseEndpoint(e.JWKSURI)
		if err != nil || u.Scheme != "https" && !(u.Scheme == "http" && client.IsLoopback(u.Hostname())) {
			return fmt.Errorf("jwks_uri %.120q: an absolute https URL without a fragment", hideSecrets(e.JWKSURI))
		}
		c.JWKSURI = e.JWKSURI
	}
	return nil
}

// parseEndpoint parses an absolute URL of a server.
func parseEndpoint(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("not a URL")
	case len(text) > maxRedirectURI:
		return nil, fmt.Errorf("longer than %d bytes", maxRedirectURI)
	case u.Hostname() == "" || u.User != nil || strings.ContainsAny(text, "#\\ "):
		return nil, errors.New("an absolute URL with a host, without user, fragment, backslash and space")
	}
	return u, nil
}

// privateScheme matches the scheme of a native app: a reversed domain name (RFC 8252,
// section 7.1).
var privateScheme = regexp.MustCompile(`^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:`)

// responseFields are the parameters that the hub adds to a redirect URI.
var responseFields = []string{"code", "state", "iss", "error", "error_description"}

// checkRedirectURI checks a redirect URI of the clients file. Only an app's own scheme
// has no host. plain allows http on every host.
func checkRedirectURI(text string, plain bool) error {
	if privateScheme.MatchString(text) && len(text) <= maxRedirectURI && !strings.ContainsAny(text, "#*\\ @") {
		_, err := url.Parse(text)
		return err
	}
	u, err := parseEndpoint(text)
	if err != nil {
		return err
	}
	host := u.Hostname()
	switch {
	case strings.Contains(text, "*"):
		return errors.New("wildcards are not supported; list each URI")
	case u.Scheme != "https" && !(u.Scheme == "http" && (plain || client.IsLoopback(host))):
		return errors.New("https, http on a loopback address, or an app's own scheme with a dot, like com.example.app:/login")
	}
	shown, err := browserHost(host)
	if err != nil || strings.Trim(shown, "[]") != host || strings.HasSuffix(host, ".") || !strings.HasPrefix(text, u.Scheme+"://"+u.Host) {
		return errors.New("write scheme and host as a browser's address bar shows them: lower case, punycode")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("the query is malformed")
	}
	for _, name := range responseFields {
		if query.Has(name) {
			return fmt.Errorf("the query must not contain %s, which the hub adds", name)
		}
	}
	return nil
}

// placeholder matches what looks like a placeholder of a claim template.
var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// ownClaims are the claims that the hub sets itself.
var ownClaims = []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "auth_time", "nonce", "acr", "amr", "azp", "at_hash", "c_hash",
	"s_hash", "sid", "scope", "client_id", "events", "cnf", "act", "typ", "token_use"}

// checkClaims checks the names and the templates of a client's claims.
func checkClaims(claims map[string]any) error {
	for name, value := range claims {
		if slices.Contains(ownClaims, name) || name == "" {
			return fmt.Errorf("%.40q: the hub sets it", name)
		}
		if err := checkTemplates(value); err != nil {
			return fmt.Errorf("%.40s: %w", name, err)
		}
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if len(text) > maxClaims {
		return fmt.Errorf("longer than %d bytes", maxClaims)
	}
	return nil
}

// checkTemplates checks the placeholders of every string in a value.
func checkTemplates(value any) error {
	switch v := value.(type) {
	case string:
		for _, found := range placeholder.FindAllString(v, -1) {
			if !slices.Contains([]string{"{sub}", "{sub_local}", "{openid}", "{unionid}", "{nickname}"}, found) {
				return fmt.Errorf("%.40s: {sub}, {sub_local}, {openid}, {unionid} or {nickname}", found)
			}
		}
	case []any:
		for _, one := range v {
			if err := checkTemplates(one); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, one := range v {
			if err := checkTemplates(one); err != nil {
				return err
			}
		}
	}
	return nil
}
