package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"loginhub/api"
)

// credentials are what a login goes by: the deployment's, or a client's own over
// them. Two that are equal share their connections and tokens.
type credentials struct {
	program wechatApp
	web     wechatApp
	jwksURL string
	issuer  string
	qr      string // link, wxacode or a template
}

// wechatApp is a mini-program or a website application; the zero value is none.
type wechatApp struct {
	id, secret string
	page       string // of a mini-program
}

// LogValue is what of it may stand in a log.
func (a wechatApp) String() string { return a.id }

// Format keeps the secret out of every verb.
func (a wechatApp) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.id) }

// credentials are the deployment's.
func (c *Config) credentials() credentials {
	return credentials{
		program: wechatApp{c.WechatAppID, c.WechatAppSecret, c.WechatPage},
		web:     wechatApp{id: c.WechatWebAppID, secret: c.WechatWebAppSecret},
		jwksURL: c.AppJWKSURL, issuer: c.AppIssuer, qr: c.QR,
	}
}

// providers are the names of those that confirm with these credentials.
func (c credentials) providers() (names []string) {
	for name, has := range map[string]bool{"wechat": c.program.id != "", "wechat_web": c.web.id != "", "app": c.jwksURL != ""} {
		if has {
			names = append(names, name)
		}
	}
	return names
}

// needsPublicURL reports whether anything names the hub to somebody else.
func (s *settings) needsPublicURL() bool {
	needs := func(c credentials) bool { return c.web.id != "" || c.jwksURL != "" }
	for _, own := range s.own {
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

// qrKind reports whether the text says what a code holds.
func qrKind(text string) bool {
	return text == "link" || text == "wxacode" ||
		strings.Contains(text, "{ticket}") && strings.Contains(text, ":") && len(text) <= 512
}

// verifyFile reads NAME:CONTENT. The name ends in .txt, so no ticket has it.
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

// readLogo reads the logo's file; none without a path.
func readLogo(path string, read reader) (*api.Logo, error) {
	if path == "" {
		return nil, nil
	}
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	return api.NewLogo(text)
}

// secretFrom reads a secret from a variable of the environment or from a file,
// of which exactly one is named.
func secretFrom(env, file string, read reader) (string, error) {
	switch {
	case (env == "") == (file == ""):
		return "", errors.New("app_secret_env (the name of a variable) or app_secret_file (a path) is required, one of both")
	case env != "":
		text := os.Getenv(env)
		if text == "" {
			return "", fmt.Errorf("app_secret_env: the variable %.64q is not set", env)
		}
		text, err := secret(text, false)
		if err != nil {
			return "", fmt.Errorf("app_secret_env: the variable %.64q: %w", env, err)
		}
		return text, nil
	}
	text, err := secretIn(file, false, read)
	if err != nil {
		return "", fmt.Errorf("app_secret_file: %w", err)
	}
	return text, nil
}
